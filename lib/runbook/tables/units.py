"""systemd's units that matter: what must run and start by itself, and when timers fire."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.tables.shown import count, shown
from runbook.tables.table import Cell, Table
from runbook.tables.verdicts import findings_of, reason_of, state_of

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.units import Units
    from runbook.verdict import Verdicts


@shown("units")
def units(fact: Units, facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return the systemd units that matter: whether they run, start by themselves, and when timers fire."""
    rows: list[tuple[Cell, ...]] = []
    for name, unit in sorted(fact.expected.items()):
        found = findings_of(verdicts, name, "units", "backup")
        fires = None if unit.next is None else unit.next - facts.at
        last = unit.last or unit.ended
        rows.append(
            (
                state_of(found),
                name,
                unit.active,
                unit.enabled,
                unit.result,
                None if last is None else facts.at - last,
                fires,
                reason_of(found),
            )
        )
    columns = ("state", "unit", "is", "by itself", "last result", "last run before", "next run in", "finding")
    return Table.of(
        columns,
        rows,
        title=f"{count(len(fact.expected), 'unit')} looked at, failed: {', '.join(fact.failed) or 'none'}",
    ).all
