"""Dumps of the database as tables: each with what is known of it, and what each method of compression took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.facts import Missing
from runbook.tables.shown import count, missing_table, shown
from runbook.tables.table import Cell, Table, duration, size

if TYPE_CHECKING:
    import datetime as dt

    from runbook.facts import Facts
    from runbook.facts.database import Database
    from runbook.facts.dumps import Dump
    from runbook.verdict import Verdicts


@shown("dumps")
def dumps(fact: tuple[Dump, ...], facts: Facts, _verdicts: Verdicts | None) -> Table:
    """Return the dumps, the one taken last first, each with what its manifest says of it."""
    rows: list[tuple[Cell, ...]] = [
        (
            dump.name,
            facts.at - dump.made,
            size(dump.bytes),
            None if dump.manifest is None else dump.manifest.rows,
            "" if dump.manifest is None else dump.manifest.revision,
            _proof(dump, facts),
        )
        for dump in fact
    ]
    whole = sum(1 for dump in fact if dump.manifest is not None)
    title = f"{count(len(rows), 'dump')} in the folder, {whole} of them with a manifest"
    return Table(("file", "age", "size", "rows", "revision", "proven"), tuple(rows), title)


def _proof(dump: Dump, facts: Facts) -> str:
    if dump.manifest is None:
        beside = "only a checksum" if dump.checksum else "nothing"
        return f"its manifest cannot be used: {dump.problem}" if dump.problem else f"{beside} beside it"
    if dump.checksum and dump.checksum != dump.manifest.sha256:
        return "NOT GOOD: its checksum and its manifest differ"
    if dump.manifest.proven is not None:
        return f"restored and compared {_ago(facts, dump.manifest.proven)} ago"
    return f"read to its end {_ago(facts, dump.manifest.verified)} ago"


def _ago(facts: Facts, at: dt.datetime) -> str:
    return duration((facts.at - at).total_seconds())


def backup_methods(facts: Facts) -> Table:
    """Return what each method of compression took, from the manifests: the newest backup of each, the smallest first."""
    found: tuple[Dump, ...] | Missing = facts.get("dumps")
    if isinstance(found, Missing):
        return missing_table(found)
    newest: dict[tuple[str, int], Dump] = {}
    for dump in found:
        if dump.manifest is not None:
            newest.setdefault((dump.manifest.method, dump.manifest.processes), dump)
    rows: list[tuple[Cell, ...]] = [
        (method, processes, size(dump.bytes), round(dump.manifest.seconds, 1), size(dump.manifest.database_bytes), dump.manifest.rows, dump.name)
        for (method, processes), dump in sorted(newest.items(), key=lambda item: item[1].bytes)
        if dump.manifest is not None
    ]  # fmt: skip
    columns = ("compression", "processes", "size", "took (s)", "database", "rows", "newest backup made so")
    title = f"{count(len(rows), 'way')} of compressing tried so far, the smallest result first"
    return Table.of(columns, rows, title=title if rows else "No backup with a manifest yet: nothing to compare.")


def vacuumed(before: Facts, after: Facts) -> Table:
    """Return what vacuum did: dead rows of each table before and after, and how it has grown or shrunk."""
    for facts in (before, after):
        if isinstance(facts.get("database"), Missing):
            return missing_table(facts.get("database"))
    was = {(row["schema"], row["name"]): row for row in before.database.rows("tables")}
    rows: list[tuple[Cell, ...]] = []
    for row in after.database.rows("tables"):
        old = was.get((row["schema"], row["name"]), {})
        last = row["last_vacuum"] or row["last_autovacuum"] or ""
        rows.append((f"{row['schema']}.{row['name']}", row["live_rows"], old.get("dead_rows"), row["dead_rows"], size(row["table_bytes"]), str(last)[:16]))  # fmt: skip
    rows.sort(key=lambda row: (-int(str(row[2] or 0)), str(row[0])))
    freed = sum((old["dead_rows"] or 0) for old in was.values()) - sum(int(str(row[3] or 0)) for row in rows)
    columns = ("table", "rows", "dead before", "dead after", "size", "last vacuum (UTC)")
    return Table.of(columns, rows, title=f"{max(0, freed):,} dead rows fewer than before")


@shown("database")
def wraparound(fact: Database, _facts: Facts, _verdicts: Verdicts | None) -> Table:
    """Return how far each database is on its way to wraparound: at 100 % it takes no more writes."""
    rows: list[tuple[Cell, ...]] = [
        (row["database"], row["age"], float(row["percent"])) for row in fact.rows("wraparound")
    ]
    rows.sort(key=lambda row: -float(str(row[2])))
    return Table.of(("database", "transactions since freezing", "way to wraparound (%)"), rows, title="Transaction age")
