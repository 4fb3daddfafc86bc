"""Pictures of certificates: days left against the limits, and the days on which they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.dates import AutoDateLocator, DateFormatter, date2num

from runbook.facts import Missing
from runbook.plots.picture import INK, Picture, bars_height, colour_of, flat_bars, no_evidence, nothing

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.certificates import CertificateFact
    from runbook.parameters import Parameters, Threshold

DAY = 86_400
SHORTEST_SHOWN_DAYS = 0.5


def days_left(facts: Facts, parameters: Parameters) -> Picture:
    """Return the days left of each certificate on disk, the fewest on top, its own limits as ticks on its bar."""
    fact: tuple[CertificateFact, ...] | Missing = facts.get("certificates")
    if isinstance(fact, Missing):
        return no_evidence("Days left of each certificate", fact)
    limits: dict[str, Threshold] = {item.name: item.days_left for item in parameters.certificates.items}
    left = sorted(
        ((item.disk.not_after - facts.at).total_seconds() / DAY, item.name) for item in fact if item.disk is not None
    )
    if not left:
        return nothing("Days left of each certificate", "No certificate could be read.")
    days, names = [item[0] for item in left], [item[1] for item in left]
    ends = "has EXPIRED" if days[0] <= 0 else f"ends first, in {days[0]:.0f} days"
    picture = Picture(f"Days left of each certificate: {names[0]} {ends}", height_inches=bars_height(len(names)))
    axes = picture.panel("days left (logarithmic; - - warning, \u2014 critical)")
    colours = [colour_of(day, limits[name].warning, limits[name].critical, low_is_bad=True) for day, name in left]
    texts = [f"{day:,.0f} days" if day > 0 else f"EXPIRED {-day:,.0f} days ago" for day in days]
    lengths = [max(day, SHORTEST_SHOWN_DAYS) for day in days]
    beyond = [max(length, limits[name].warning) for length, name in zip(lengths, names, strict=True)]
    flat_bars(axes, names, lengths, colours, texts, text_at=beyond)
    for place, name in enumerate(names):
        for value, style in ((limits[name].warning, "--"), (limits[name].critical, "-")):
            axes.plot([value, value], [place - 0.4, place + 0.4], color=INK, linewidth=1.6, linestyle=style, zorder=5)
    axes.set_xscale("log")
    axes.set_xlim(SHORTEST_SHOWN_DAYS, max(days[-1], 30) * 30)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    return picture


def expiry_dates(facts: Facts) -> Picture:
    """Return from when to when each certificate holds, on disk and as served, with today marked."""
    fact: tuple[CertificateFact, ...] | Missing = facts.get("certificates")
    if isinstance(fact, Missing):
        return no_evidence("When certificates end", fact)
    bars = []
    for item in sorted(fact, key=lambda one: one.disk.not_after if one.disk else facts.at):
        bars += [
            (f"{item.name}, {where}", leaf)
            for where, leaf in (("disk", item.disk), ("served", item.served))
            if leaf is not None
        ]
    if not bars:
        return nothing("When certificates end", "No certificate could be read.")
    differ = [item.name for item in fact if item.serves_disk is False]
    seen = f"{', '.join(differ)}: served is NOT what lies on disk" if differ else "what is served is what lies on disk"
    picture = Picture(f"When certificates end: {seen}", height_inches=bars_height(len(bars)))
    axes = picture.panel("month (UTC)")
    for place, (name, leaf) in enumerate(bars):
        served = name.endswith("served")
        axes.barh(
            place, (leaf.not_after - leaf.not_before).total_seconds() / DAY, left=date2num(leaf.not_before), height=0.55, color="#dce6f0" if served else "#7a9cc0",
            edgecolor=INK, linewidth=0.6, hatch=".." if served else "",
        )  # fmt: skip
        axes.annotate(
            f" {leaf.not_after:%Y-%m-%d}", (date2num(leaf.not_after), place), va="center", fontsize=8.5, color=INK
        )
    axes.axvline(date2num(facts.at), color=INK, linewidth=1.2, linestyle="--")
    axes.annotate(
        "today",
        (facts.at, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        fontsize=7.5,
    )
    axes.xaxis.set_major_locator(AutoDateLocator(maxticks=8))
    axes.xaxis.set_major_formatter(DateFormatter("%Y-%m"))
    axes.set_yticks(range(len(bars)), [name for name, _ in bars])
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.12)
    return picture
