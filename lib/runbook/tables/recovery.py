"""Disaster recovery as tables: what is there and what it would give, and what the recovery measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.facts import Missing
from runbook.tables.shown import missing_table
from runbook.tables.table import Table, size

if TYPE_CHECKING:
    from runbook.facts import Facts


def recovery_source(facts: Facts) -> Table:
    """Given the facts, return the copy that would be recovered, and what it holds."""
    copy = facts.get("copy")
    if isinstance(copy, Missing):
        return missing_table(copy)
    database, objects = copy.manifest.get("database") or {}, copy.manifest.get("objects") or {}
    rows = sum(int(table["rows"]) for table in (database.get("tables") or {}).values())
    lines = (
        ("lost server", copy.lost),
        ("data as of", copy.data_as_of),
        ("files of the copies", f"{copy.files} ({size(copy.size_bytes)})"),
        ("database", f"{len(database.get('tables') or {})} tables, {rows} rows, revision {database.get('revision')}"),
        ("objects", f"{objects.get('count', 0)} ({size(objects.get('bytes', 0))})"),
        (
            "images",
            ", ".join(sorted({str(item.get("image")) for item in (copy.manifest.get("services") or {}).values()})),
        ),
        ("older copies", ", ".join(copy.older[:3]) or "none"),
    )
    return Table.of(("what", "found"), lines, title=f"The copy to recover from: run {copy.run}")


def recovery_measured(facts: Facts) -> Table:
    """Given the facts after a recovery, return its recovery time and recovery point."""
    found = facts.get("recovered")
    if isinstance(found, Missing):
        return missing_table(found)
    if found is None:
        return Table((), (), "No recovery has come to its end on this host.")
    rows = (
        ("recovery time (s)", str(found.recovery_seconds)),
        ("begun", found.begun),
        ("ended", found.ended),
        ("recovery point: data as of", found.data_as_of),
        ("from the backup run", found.copy),
    )
    return Table.of(
        ("what", "measured"), rows, title=f"Recovered in {found.recovery_seconds} s, data as of {found.data_as_of}"
    )
