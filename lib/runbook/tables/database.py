"""What the database says of itself: sessions, locks, sizes, and the operator's own query."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from runbook.facts import Missing
from runbook.tables.shown import count, missing_table, shown
from runbook.tables.table import Cell, Table, size
from runbook.tables.verdicts import findings_of, reason_of, state_of, titled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbook.facts import Facts
    from runbook.facts.database import Database, Rows
    from runbook.facts.resources import Filesystem
    from runbook.verdict import Verdicts

MIB = 1024**2
DAY = 86_400
LONGEST_CELL = 200
SHORTEST_DAYS = 1.0
VOLUMES = "/var/lib/docker/volumes"


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
    judged = findings_of(verdicts, None, "database.connections", "database.long-query", "database.idle-in-transaction")
    columns = ("role", "application", "state", "waits for", "transaction s", "in this state s", "last query")
    return Table(columns, tuple(rows), titled(count(len(rows), "session"), judged), reason_of(judged))


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
    title = titled(f"{count(len(rows), 'session')} waiting for a lock", findings_of(verdicts, None, "database.locks"))
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
    # the biggest first; below a MiB the order says nothing, and would change with every look
    found.sort(key=lambda row: (-round((row["table_bytes"] + row["index_bytes"]) / MIB), row["name"]))
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
                row["estimated_rows"] / 1000,
                percent,
                _cleaned(row, facts.at),
                reason_of(judged),
            )
        )
    columns = (
        "state",
        "table",
        "table MiB",
        "indexes MiB",
        "thousand rows (estimate)",
        "dead %",
        "cleaned before",
        "finding",
    )
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


def growth(facts: Facts, trend: Mapping[str, Sequence[tuple[dt.datetime, float]]]) -> Table:
    """Given sizes in bytes over time by name, return how fast each grows, and when the disk is full at that rate."""
    disk = _disk(facts)
    rows: list[tuple[Cell, ...]] = []
    for name, points in trend.items():
        days = (points[-1][0] - points[0][0]).total_seconds() / DAY
        rate = (points[-1][1] - points[0][1]) / days if days >= SHORTEST_DAYS else None
        left = disk.free_bytes / rate if disk is not None and rate is not None and rate > 0 else None
        rows.append((_plain(name), points[-1][1] / MIB, len(points), days, None if rate is None else rate / MIB, left))
    rows.sort(key=lambda row: -float(str(row[1])))
    columns = ("what", "MiB now", "records", "over days", "MiB a day", "days until full")
    room = f"{disk.mount} has {size(disk.free_bytes)} free" if disk is not None else "the free space is not known"
    note = f"A rate needs records over {SHORTEST_DAYS:g} days or more. Where nothing grows, nothing stands under days until full."
    return Table(columns, tuple(rows), f"Growth over earlier records; {room}", note)


def _disk(facts: Facts) -> Filesystem | None:
    """Return the file system that holds Docker's volumes, and the database with them."""
    fact = facts.get("filesystems")
    if isinstance(fact, Missing):
        return None
    holding = [item for item in fact if VOLUMES.startswith(item.mount.rstrip("/") + "/")]
    return max(holding, key=lambda item: len(item.mount), default=None)


def _plain(path: str) -> str:
    """Given a number's path in a record, return what it is called: `database.answers.tables.clients.table_bytes` -> `clients, table`.

    >>> _plain("database.answers.tables.clients.table_bytes"), _plain("database.answers.server.0.database_bytes")
    ('clients, table', 'server, database')
    """
    words = [word for word in path.removeprefix("database.answers.").split(".") if not word.isdigit()]
    return f"{words[-2]}, {words[-1].removesuffix('_bytes')}"


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
