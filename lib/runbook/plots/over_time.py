"""Pictures over time: log lines, errors, statuses, and any number of earlier records."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from matplotlib.dates import date2num
from matplotlib.ticker import MaxNLocator

from runbook.facts import Missing
from runbook.plots.picture import (
    COLOURS,
    DASHES,
    HATCHED,
    INK,
    MARKERS,
    Picture,
    limit_line,
    no_evidence,
    nothing,
    utc_axis,
)
from runbook.tables.shown import period

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runbook.facts import Facts
    from runbook.facts.log_lines import Line
    from runbook.facts.logs import Logs
    from runbook.parameters import Threshold

MINUTES_A_DAY = 1440
STEPS = ((2, 5), (12, 30), (72, 120), (10_000, 1440))  # up to so many hours: steps of so many minutes
MOST_SERIES = 8
FEWEST_FOR_TREND = 2
STATUS_STYLES = {"1xx": ("#999999", ""), "2xx": ("#9db8d3", ""), "3xx": ("#e8e8e8", ""), "4xx": ("#E69F00", "///"), "5xx": ("#a32a00", "xxx")}  # fmt: skip
SERIES_STYLES = tuple(zip(COLOURS, HATCHED, strict=True))
SHORTEST_SHOWN = dt.timedelta(minutes=30)  # an axis over less has no sensible marks
Counts = dict[str, dict[dt.datetime, int]]


def lines_over_time(facts: Facts) -> Picture:
    """Return how many lines each service wrote over time: a silence shows as well as a burst."""
    fact: Logs | Missing = facts.get("logs")
    if isinstance(fact, Missing):
        return no_evidence("Log lines", fact)
    counts = _count(fact, lambda line: line.service)
    loudest = max(counts, key=lambda name: sum(counts[name].values()), default="nobody")
    title = f"Log lines: {len(fact.lines):,} {period(fact.since)}, most from {loudest}"
    return _stacked(title, fact, counts, "lines", f"No service wrote a line {period(fact.since)}.")


def errors_over_time(facts: Facts) -> Picture:
    """Return how many errors each service logged over time, failed requests among them."""
    fact: Logs | Missing = facts.get("logs")
    if isinstance(fact, Missing):
        return no_evidence("Errors in the logs", fact)
    counts = _count(fact, lambda line: line.service if line.bad else "")
    total = sum(sum(per.values()) for per in counts.values())
    title = f"Errors in the logs: {total:,} {period(fact.since)}"
    return _stacked(
        title, fact, counts, "errors", f"{len(fact.lines):,} lines were read, and none of them is an error."
    )


def requests_over_time(facts: Facts) -> Picture:
    """Return how many requests got which kind of answer over time."""
    fact: Logs | Missing = facts.get("logs")
    if isinstance(fact, Missing):
        return no_evidence("Requests by status", fact)
    requests = frozenset(fact.requests)
    counts = _count(fact, lambda line: f"{line.access.status // 100}xx" if line.access and line in requests else "")
    title = f"Requests by status: {len(requests):,} {period(fact.since)}, {len(fact.failed_requests):,} failed (5xx)"
    empty = "No request was logged: nobody asked, or the access log is off."
    return _stacked(title, fact, dict(sorted(counts.items())), "requests", empty, styles=STATUS_STYLES)


def trend(
    series: Mapping[str, Sequence[tuple[dt.datetime, float]]],
    label: str,
    limits: Threshold | None = None,
    *,
    per: float = 1.0,
) -> Picture:
    """Given numbers over time by name, return their lines in units of `per`, the limits marked; the last point is now."""
    long = {
        name: [(moment, value / per) for moment, value in points]
        for name, points in series.items()
        if len(points) >= FEWEST_FOR_TREND
    }
    title = f"Trend of {label}"
    if not long:
        return nothing(
            f"{title}: nothing to compare with", "This is the first record. Run it again later: each run adds a point."
        )
    common = _common(list(long))
    number = max(len(points) for points in long.values())
    chosen = sorted(long, key=lambda name: -long[name][-1][1])[:MOST_SERIES]
    climbing = max(chosen, key=lambda name: long[name][-1][1] - long[name][0][1])
    step = long[climbing][-1][1] - long[climbing][0][1]
    moved = f"; {_short(climbing, common)} moved most upwards, by {step:+.3g}" if step > 0 else "; none climbs"
    picture = Picture(f"{title}: {number} records{moved}", height_inches=3.0)
    axes = picture.panel(y_label=label)
    for place, name in enumerate(chosen):
        moments, values = zip(*long[name], strict=True)
        axes.plot(
            moments, values, color=COLOURS[place % len(COLOURS)], linestyle=DASHES[place % len(DASHES)],
            marker=MARKERS[place % len(MARKERS)], markersize=4, linewidth=1.4, label=_short(name, common),
        )  # fmt: skip
    utc_axis(axes)
    if limits is not None:
        limit_line(axes, limits.warning, f"warning {limits.warning:g}", vertical=False)
        limit_line(axes, limits.critical, f"critical {limits.critical:g}", vertical=False)
        axes.set_ylim(bottom=0)
    picture.legend(loc="outside lower left", ncols=4, fontsize=8, frameon=False)
    return picture


def _minutes(fact: Logs) -> int:
    """Return the step that suits the time the lines span."""
    hours = (fact.lines[-1].at - fact.lines[0].at).total_seconds() / 3600 if fact.lines else 0.0
    return next(minutes for most, minutes in STEPS if hours <= most)


def _count(fact: Logs, series: Callable[[Line], str]) -> Counts:
    """Count lines by series and step of time; a line whose series is empty is left out."""
    minutes = _minutes(fact)
    counts: Counts = {}
    for line in fact.lines:
        name = series(line)
        if name:
            per = counts.setdefault(name, {})
            moment = _floor(line.at, minutes)
            per[moment] = per.get(moment, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -sum(item[1].values())))


def _stacked(
    title: str,
    fact: Logs,
    counts: Counts,
    what: str,
    empty: str,
    *,
    styles: Mapping[str, tuple[str, str]] | None = None,
) -> Picture:
    """Draw counts as bars on one another, in the order of `counts`, over the whole time that the lines span."""
    if not counts:
        return nothing(title, empty)
    minutes = _minutes(fact)
    moments = _every(_floor(fact.lines[0].at, minutes), _floor(fact.lines[-1].at, minutes), minutes)
    picture = Picture(title, height_inches=2.9)
    axes = picture.panel(y_label=f"{what} in {minutes} minutes")
    bottom = [0] * len(moments)
    for place, name in enumerate(list(counts)[:MOST_SERIES]):
        heights = [counts[name].get(moment, 0) for moment in moments]
        colour, hatch = (styles or {}).get(name, SERIES_STYLES[place])
        axes.bar(
            date2num(moments), heights, 0.86 * minutes / MINUTES_A_DAY, bottom=bottom, align="edge", color=colour, hatch=hatch,
            edgecolor=INK, linewidth=0.4, label=f"{name} ({sum(heights):,})",
        )  # fmt: skip
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    step = dt.timedelta(minutes=minutes)
    axes.set_xlim(*date2num([moments[0] - step / 2, max(moments[-1] + step, moments[0] + SHORTEST_SHOWN)]))
    utc_axis(axes)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    picture.legend(loc="outside lower left", ncols=4, fontsize=8, frameon=False)
    return picture


def _floor(moment: dt.datetime, minutes: int) -> dt.datetime:
    step = minutes * 60
    return dt.datetime.fromtimestamp(int(moment.timestamp()) // step * step, dt.UTC)


def _every(first: dt.datetime, last: dt.datetime, minutes: int) -> list[dt.datetime]:
    """Return every step from the first to the last, also those in which nothing happened."""
    step = dt.timedelta(minutes=minutes)
    return [first + step * number for number in range(int((last - first) / step) + 1)]


def _common(names: list[str]) -> tuple[str, str]:
    """Return what all names begin and end with, up to a dot, so that the legend can leave it out."""
    parts = [name.split(".") for name in names]
    head = 0
    while all(len(part) > head + 1 and part[head] == parts[0][head] for part in parts):
        head += 1
    tail = 0
    while all(len(part) > head + tail + 1 and part[-tail - 1] == parts[0][-tail - 1] for part in parts):
        tail += 1
    begin, end = ".".join(parts[0][:head]), ".".join(parts[0][len(parts[0]) - tail :]) if tail else ""
    return (f"{begin}." if begin else "", f".{end}" if end else "")


def _short(name: str, common: tuple[str, str]) -> str:
    return name.removeprefix(common[0]).removesuffix(common[1])
