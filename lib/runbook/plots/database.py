"""A picture of the database's tables by size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.facts import Missing
from runbook.plots.picture import INK, Picture, bars_height, no_evidence, nothing

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.database import Database

MIB = 1024**2
MOST_TABLES = 12


def table_sizes(facts: Facts) -> Picture:
    """Return the largest tables with what their rows and their indexes take."""
    fact: Database | Missing = facts.get("database")
    title = "Database tables by size"
    if isinstance(fact, Missing):
        return no_evidence(title, fact)
    if "tables" not in fact.answers:
        return nothing(title, f"No evidence: {fact.unanswered.get('tables', 'it was not asked')}")
    found = sorted(fact.answers["tables"], key=lambda row: -(row["table_bytes"] + row["index_bytes"]))
    if not found:
        return nothing(title, "There is no table in this database.")
    whole = sum(row["table_bytes"] + row["index_bytes"] for row in found) / MIB
    shown = found[:MOST_TABLES]
    first = shown[0]
    share = 100 * (first["table_bytes"] + first["index_bytes"]) / MIB / whole if whole else 0
    picture = Picture(
        f"{title}: {first['name']} takes {share:.0f} % of {whole:.1f} MiB", height_inches=bars_height(len(shown))
    )
    axes = picture.panel("size (MiB)")
    rows = [row["table_bytes"] / MIB for row in shown]
    indexes = [row["index_bytes"] / MIB for row in shown]
    places = list(range(len(shown)))
    axes.barh(places, rows, height=0.62, color="#7a9cc0", edgecolor=INK, linewidth=0.6, label="rows")
    axes.barh(
        places,
        indexes,
        left=rows,
        height=0.62,
        color="#f2f2f2",
        edgecolor=INK,
        linewidth=0.6,
        hatch="///",
        label="indexes",
    )
    for place, row in enumerate(shown):
        total = (row["table_bytes"] + row["index_bytes"]) / MIB
        axes.annotate(
            f" {total:.1f} MiB, {row['estimated_rows']:,} rows", (total, place), va="center", fontsize=8.5, color=INK
        )
    axes.set_yticks(places, [row["name"] for row in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.margins(x=0.28)
    axes.legend(loc="lower right", fontsize=8.5, frameon=False)
    return picture
