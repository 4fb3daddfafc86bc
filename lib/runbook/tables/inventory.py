"""Paths of the server with what they must be, and the names of the stack's variables (never their values)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.tables.shown import count, shown
from runbook.tables.table import Cell, Table, size
from runbook.tables.verdicts import findings_of, reason_of, state_of, titled

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.inventory import Packages, PathStat, Variables
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
        given = "set" if name in fact.set else "empty" if name in fact.empty else "lacking"
        rows.append((name, given, name in fact.used, name in fact.with_default))
    rows.sort(key=lambda row: ({"lacking": 0, "empty": 1, "set": 2}[str(row[1])], not row[2]))
    columns = ("variable", "in the environment file", "used by the compose file", "has a default")
    found = findings_of(verdicts, None, "inventory.env", "inventory.env-empty")
    lacking = ", ".join(fact.lacking) or "none"
    title = f"{count(len(fact.used), 'variable')} used by the compose file; lacking: {lacking}"
    return Table(columns, tuple(rows), titled(title, found), reason_of(found))


@shown("packages")
def packages(fact: Packages, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return the packages that would be upgraded, those for security first."""
    found = findings_of(verdicts, None, "inventory.packages")
    rows = [(name, fact.installed.get(name, "not installed"), name in fact.security) for name in fact.upgradable]
    rows.sort(key=lambda row: (not row[2], row[0]))
    title = f"{fact.system}: {len(fact.upgradable)} of {count(len(fact.installed), 'package')} could be upgraded"
    return Table(("package", "installed", "for security"), tuple(rows), titled(title, found), reason_of(found))
