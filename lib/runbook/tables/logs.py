"""What the logs say: lines, kinds of errors, failed requests, and the database's refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbook.facts.log_lines import parse_line
from runbook.tables.shown import count, period, shown
from runbook.tables.table import Cell, Table, text_of
from runbook.tables.verdicts import findings_of, titled

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.logs import Logs, Shape
    from runbook.parameters import Parameters
    from runbook.verdict import Verdicts

LAST_LINES = 40
LONGEST = 200


@shown("logs")
def log_lines(fact: Logs, _facts: Facts, _verdicts: Verdicts | None) -> Table:
    """Return the last lines of all services together, newest last; `.all` shows every line that was read."""
    rows = [(f"{line.at:%H:%M:%S}", line.service, line.level, line.message[:LONGEST]) for line in fact.lines]
    title = f"{count(len(fact.lines), 'line')} {period(fact.since)}, {count(len(fact.errors), 'error')}; the last {min(len(rows), LAST_LINES)}"
    return Table(("time (UTC)", "service", "level", "message"), tuple(rows[-LAST_LINES:]), title, _unread(fact)).all


def live_line(parameters: Parameters, service: str, text: str) -> str:
    """Given a line as it comes while a log is followed, return it as the tables show it: time, service, level, message.

    Compose writes the container's name before each line when it follows several.
    """
    services = {item.container: item.name for item in parameters.stack.services}
    name, bar, rest = text.partition("| ")
    several = bar and name.strip() in services
    found = parse_line(services[name.strip()] if several else service, rest if several else text)
    if found is None:
        return text_of(text)
    return f"{found.at:%H:%M:%S} {found.service:<11} {found.level:<8} {text_of(found.message)}"


@shown("logs")
def services(fact: Logs, _facts: Facts, _verdicts: Verdicts | None) -> Table:
    """Return how much each service said, how many errors, and when it spoke last."""
    names = sorted({*fact.read, *fact.unread, *(line.service for line in fact.lines)})
    rows: list[tuple[Cell, ...]] = []
    for name in names:
        lines = [line for line in fact.lines if line.service == name]
        last = f"{lines[-1].at:%Y-%m-%d %H:%M} UTC" if lines else None
        rows.append((name, len(lines), sum(1 for line in lines if line.bad), last, fact.unread.get(name)))
    return Table(
        ("service", "lines", "errors", "last line", "not read because"),
        tuple(rows),
        f"What each service wrote {period(fact.since)}",
    )


@shown("logs")
def messages(fact: Logs, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return the errors grouped by the shape of their message, the most frequent first."""
    shapes = fact.shapes([line for line in fact.errors if line.access is None])
    title = f"{count(sum(item.count for item in shapes), 'error')} of {count(len(shapes), 'kind')} {period(fact.since)}"
    return _shapes(shapes, titled(title, findings_of(verdicts, None, "logs.errors")), _unread(fact))


@shown("logs")
def database_refusals(fact: Logs, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return the lines that speak of the database not being reached, or refusing, grouped by shape."""
    shapes = fact.shapes(fact.connection_trouble)
    title = f"{count(len(fact.connection_trouble), 'line')} about the database not being reached {period(fact.since)}"
    return _shapes(shapes, titled(title, findings_of(verdicts, None, "logs.connections")), "")


@shown("logs")
def requests(fact: Logs, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return the requests that the server failed to answer, by status, path and upstream."""
    rows = [
        (number, status, path, upstream or "not named") for status, path, upstream, number in fact.failures_by_path()
    ]
    found = findings_of(verdicts, None, "logs.failed-requests")
    failed = sum(row[0] for row in rows)
    title = f"{count(failed, 'failed request')} of {len(fact.requests):,} {period(fact.since)}"
    note = "" if fact.requests else "No request was logged: nobody asked, or the access log is off."
    return Table(("count", "status", "path", "upstream"), tuple(rows), titled(title, found), note)


def _shapes(shapes: tuple[Shape, ...], title: str, note: str) -> Table:
    rows = [
        (item.count, item.service, item.level, item.shape, f"{item.first:%H:%M}", f"{item.last:%H:%M}")
        for item in shapes
    ]
    table = Table(("count", "service", "level", "kind of message", "first (UTC)", "last (UTC)"), tuple(rows), title)
    return replace(table, note=note)


def _unread(fact: Logs) -> str:
    parts = [f"Not read: {name} ({reason})." for name, reason in sorted(fact.unread.items())]
    parts += [f"Cut at the limit: {', '.join(fact.cut)}."] if fact.cut else []
    return " ".join(parts)
