"""What the database says of itself: sessions, locks, sizes, and the operator's own query."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from runbook.facts import Missing
from runbook.tables.shown import count, missing_table, shown
from runbook.tables.table import Cell, Table, size
from runbook.tables.verdicts import findings_of, reason_of, state_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbook.facts import Facts
    from runbook.facts.database import Database, Rows
    from runbook.verdict import Verdicts

MIB = 1024**2
DAY = 86_400
LONGEST_CELL = 200


def _rows(fact: Database, question: str) -> list[dict[str, Any]] | Table:
    if question in fact.answers:
        return fact.answers[question]
    return missing_table(Missing(f"database.{question}", fact.unanswered.get(question, "it was not asked")))


@shown("database")
def activity(fact: Database, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return every session with what it does and since when; the longest transaction first."""
    found = _rows(fact, "activity")
    if isinstance(found, Table):
        return found
    found.sort(key=lambda row: (-(row["transaction_seconds"] or 0), -(row["state_seconds"] or 0)))
    rows = [
        (
            row["role"],
            row["application"],
            row["state"],
            _waits(row),
            row["transaction_seconds"],
            row["state_seconds"],
            row["query"],
        )
        for row in found
    ]
    judged = findings_of(verdicts, None, "database.connections", "database.long", "database.idle")
    state = state_of(judged)
    columns = ("role", "application", "state", "waits for", "transaction s", "in this state s", "last query")
    return Table(
        columns, tuple(rows), f"{count(len(rows), 'session')}{f': {state}' if state else ''}", reason_of(judged)
    )


@shown("database")
def locks(fact: Database, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return who waits for whom."""
    found = _rows(fact, "activity")
    if isinstance(found, Table):
        return found
    sessions = {row["pid"]: row for row in found}
    rows = [
        (row["pid"], row["query_seconds"], row["query"], blocker, sessions.get(blocker, {}).get("query"))
        for row in found
        for blocker in row["blocked_by"] or ()
    ]
    state = state_of(findings_of(verdicts, None, "database.locks", "database.blocked"))
    title = f"{count(len(rows), 'session')} waiting for a lock{f': {state}' if state else ''}"
    return Table(("session", "waits s", "its query", "blocked by", "whose query"), tuple(rows), title)


@shown("database")
def slow_queries(fact: Database, _facts: Facts, _verdicts: Verdicts | None) -> Table:
    """Return the statements that are running now, the longest first."""
    found = _rows(fact, "activity")
    if isinstance(found, Table):
        return found
    running = sorted((row for row in found if row["state"] == "active"), key=lambda row: -(row["query_seconds"] or 0))
    rows = [(row["query_seconds"], row["role"], row["application"], _waits(row), row["query"]) for row in running]
    return Table(
        ("runs s", "role", "application", "waits for", "query"),
        tuple(rows),
        f"{count(len(rows), 'statement')} running now",
    )


@shown("database")
def table_sizes(fact: Database, facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return the tables by size, with their dead rows and when they were last cleaned up."""
    found = _rows(fact, "tables")
    if isinstance(found, Table):
        return found
    found.sort(key=lambda row: -(row["table_bytes"] + row["index_bytes"]))
    rows: list[tuple[Cell, ...]] = []
    for row in found:
        judged = findings_of(verdicts, row["name"], "database")
        live, dead = row["live_rows"] or 0, row["dead_rows"] or 0
        percent = 100.0 * dead / (live + dead) if live + dead else 0.0
        sizes = (row["table_bytes"] / MIB, row["index_bytes"] / MIB)
        rows.append(
            (
                state_of(judged),
                row["name"],
                *sizes,
                row["estimated_rows"],
                percent,
                _cleaned(row, facts.at),
                reason_of(judged),
            )
        )
    columns = ("state", "table", "table MiB", "indexes MiB", "rows (estimate)", "dead %", "cleaned before", "finding")
    whole = sum(row["table_bytes"] + row["index_bytes"] for row in found)
    return Table.of(columns, rows, title=f"{count(len(rows), 'table')} of {size(whole)} in all")


@shown("query")
def query(fact: Rows, _facts: Facts, _verdicts: Verdicts | None) -> Table:
    """Return the rows of the operator's own SELECT."""
    rows = [tuple(_cell(row[name]) for name in fact.columns) for row in fact.rows]
    more = "; there were more, which were not fetched" if fact.more else ""
    return Table(
        fact.columns,
        tuple(rows),
        f"{count(len(rows), 'row')}{more}",
        note=f"Asked: {' '.join(fact.query.split())[:LONGEST_CELL]}",
    )


def growth(trend: Mapping[str, Sequence[tuple[dt.datetime, float]]], free_bytes: float | None) -> Table:
    """Given sizes in bytes over time by name, and the free bytes of the disk, return how fast each grows."""
    rows: list[tuple[Cell, ...]] = []
    for name, points in sorted(trend.items()):
        days = (points[-1][0] - points[0][0]).total_seconds() / DAY
        rate = (points[-1][1] - points[0][1]) / days if days > 0 else None
        left = free_bytes / rate if rate and rate > 0 and free_bytes is not None else None
        rows.append((name, points[-1][1] / MIB, len(points), days, None if rate is None else rate / MIB, left))
    columns = ("what", "MiB now", "records", "over days", "grows MiB a day", "days until full")
    note = "Days until full: free space of the disk by this rate; nothing stands there while nothing grows."
    return Table(columns, tuple(rows), "Growth over earlier records", note)


def _waits(row: Mapping[str, Any]) -> str:
    waits = row["wait_event_type"]
    return "" if waits in {None, "Client"} else f"{waits}: {row['wait_event']}"


def _cleaned(row: Mapping[str, Any], now: dt.datetime) -> dt.timedelta | None:
    moments = [dt.datetime.fromisoformat(row[key]) for key in ("last_vacuum", "last_autovacuum") if row[key]]
    return now - max(moments) if moments else None


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:LONGEST_CELL]
