"""Paths of the server with what they must be, and the names of the stack's variables (never their values)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.tables.shown import count, shown
from runbook.tables.table import Cell, Table, size
from runbook.tables.verdicts import findings_of, reason_of, state_of

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.inventory import PathStat, Variables
    from runbook.verdict import Verdicts


@shown("paths")
def locations(fact: dict[str, PathStat], facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return every path with its owner, mode, size and age; those that are not there stand among the findings."""
    rows: list[tuple[Cell, ...]] = []
    judged = {row.subject for row in findings_of(verdicts, None, "inventory")}
    for path in sorted({*fact, *(subject for subject in judged if subject.startswith("/"))}):
        item = fact.get(path)
        found = findings_of(verdicts, path, "inventory")
        if item is None:
            rows.append((state_of(found), path, "not there", None, None, None, None, reason_of(found)))
            continue
        length = size(item.size_bytes) if item.kind == "file" else None
        owner = f"{item.owner}:{item.group}"
        rows.append(
            (state_of(found), path, item.kind, owner, item.mode, length, facts.at - item.modified, reason_of(found))
        )
    columns = ("state", "path", "kind", "owner", "mode", "size", "changed before", "finding")
    return Table.of(columns, rows, title=f"{count(len(fact), 'path')} found, {len(rows) - len(fact)} not there").all


@shown("variables")
def variables(fact: Variables, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return the names of variables that the compose file uses or the environment file sets: what lacks stands first."""
    rows: list[tuple[Cell, ...]] = []
    for name in sorted({*fact.used, *fact.set, *fact.empty}):
        found = findings_of(verdicts, name, "inventory")
        given = "set" if name in fact.set else "empty" if name in fact.empty else "lacking"
        rows.append((state_of(found), name, given, name in fact.used, name in fact.with_default, reason_of(found)))
    rows.sort(key=lambda row: ({"lacking": 0, "empty": 1, "set": 2}[str(row[2])], not row[3]))
    columns = ("state", "variable", "in the environment file", "used by the compose file", "has a default", "finding")
    lacking = ", ".join(fact.lacking) or "none"
    return Table.of(
        columns, rows, title=f"{count(len(fact.used), 'variable')} used by the compose file; lacking: {lacking}"
    )
