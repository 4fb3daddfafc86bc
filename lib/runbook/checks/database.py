"""The database: it answers, can be written, holds its tables, nobody is stuck, nothing wears out.

Longer than 300 lines: one short judge for each question of facts/database.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook.checks import database_limits, judge_condition, judge_number, schema, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.facts import Facts
    from runbook.facts.database import Database
    from runbook.parameters import DatabaseSettings, Parameters, Threshold

CONNECTIONS, CORRUPTION, RESTORE = (
    "08-troubleshoot/database-connections",
    "09-emergency/data-corruption",
    "06-database/restore",
)
QUERY, MAINTAIN, MIGRATE, BREACH = (
    "06-database/query",
    "06-database/maintain",
    "03-deploy/migrate",
    "09-emergency/security-breach",
)
MUST_BE = {
    "fsync": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "track_counts": "on",
    "ssl": "on",
    "data_checksums": "on",
    "zero_damaged_pages": "off",
    "ignore_checksum_failure": "off",
}
DANGEROUS = frozenset({"fsync", "full_page_writes", "zero_damaged_pages", "ignore_checksum_failure"})


def database(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge every answer; a question without an answer is UNKNOWN and says what psql said."""
    found = facts.get("database")
    if isinstance(found, Missing):
        return [unknown("database.reachable", "database", found, next_notebook=CONNECTIONS)]
    server = found.answers.get("server", [{}])[0]
    verdicts = [
        Verdict(
            State.OK,
            "database.reachable",
            "database",
            "a query was answered",
            value=str(server.get("version", "")),
            evidence="psql in the container",
        )
    ]
    for question, judge in JUDGES.items():
        if question in found.answers:
            verdicts += judge(found, parameters.database)
    verdicts += schema.tables(found, parameters.database)
    verdicts += [
        Verdict(
            State.UNKNOWN,
            "database.answers",
            name,
            f"no evidence: {said}",
            evidence=said,
            next=CORRUPTION if "page" in said else CONNECTIONS,
        )
        for name, said in sorted(found.unanswered.items())
        # a missing table is already told as such
        if not (name.startswith("filled:") and "does not exist" in said)
    ]
    return verdicts


def answered(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """The operator's own SELECT was answered; one that failed must not stand in a record that says OK."""
    found = facts.get("query")
    if isinstance(found, Missing):
        return [unknown("database.answered", "your query", found)]
    number = f"{'more than ' if found.more else ''}{len(found.rows)}"
    return [Verdict(State.OK, "database.answered", "your query", "it was answered", value=f"{number} rows")]


def revision(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """The database's schema is the one that the running image knows as its newest."""
    found, web = facts.get("database"), facts.get("web")
    if isinstance(found, Missing) or isinstance(web, Missing) or web.version is None:
        return []  # said elsewhere, or the application does not tell
    told = web.version.json
    head = told.get("revision") if isinstance(told, dict) else None
    rows = found.answers.get("revision")
    if not rows or head is None:
        return [
            Verdict(
                State.UNKNOWN,
                "database.revision",
                "schema",
                "no evidence: the application or the database does not tell its revision",
                evidence=web.version.error or str(web.version.status),
                next=MIGRATE,
            )
        ]
    current = ", ".join(str(row["revision"]) for row in rows)
    return [
        judge_condition(
            current == head,
            "database.revision",
            "schema",
            ok="the schema is the one the image knows",
            bad="the schema is not the newest that the image knows: migrations are pending, or it has moved past the image",
            state=State.WARNING,
            value=current,
            limit=str(head),
            evidence="alembic_version against the image's head",
            next=MIGRATE,
        )
    ]


def _writable(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    server = found.rows("server")[0]
    by = [f"{row['setting']} for {row['role']} in {row['database']}" for row in found.answers.get("read_only_by", [])]
    reason = "it is a standby" if server["in_recovery"] else f"sessions are read-only: {'; '.join(by)}"
    yield judge_condition(
        not server["in_recovery"] and not by,
        "database.read-only",
        "database",
        ok="can be written",
        bad=f"cannot be written: {reason}",
        value="read-only" if server["in_recovery"] or by else "read-write",
        limit="read-write",
        evidence="pg_is_in_recovery(), pg_db_role_setting, pg_file_settings",
        next=CONNECTIONS,
    )


def _settings(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    for row in found.rows("settings"):
        must = MUST_BE.get(row["name"])
        if must is not None and row["setting"] != must:
            yield Verdict(
                State.CRITICAL if row["name"] in DANGEROUS else State.WARNING,
                "database.settings",
                row["name"],
                "this setting endangers the data or the server",
                value=row["setting"],
                limit=must,
                evidence=f"pg_settings: source {row['source']}",
                next=MAINTAIN,
            )
    yield Verdict(State.OK, "database.settings", "settings", "looked at", value=f"{len(found.rows('settings'))}")


def _connections(found: Database, settings: DatabaseSettings) -> Iterator[Verdict]:
    row = found.rows("connections")[0]
    percent = 100 * row["used"] / max(1, row["most"] - row["reserved"])
    yield judge_number(
        "database.connections",
        "connections",
        percent,
        settings.connections_percent,
        unit="%",
        what="connections in use",
        next_notebook=CONNECTIONS,
        evidence=f"{row['used']} of {row['most']} ({row['reserved']} reserved)",
    )


def _activity(found: Database, settings: DatabaseSettings) -> Iterator[Verdict]:
    rows = found.rows("activity")
    active = [row for row in rows if row["state"] == "active"]
    idle = [row for row in rows if str(row["state"]).startswith("idle in transaction")]
    blocked = [row for row in rows if row["blocked_by"]]
    yield _oldest(
        "database.long-query",
        "queries",
        active,
        key="query_seconds",
        limit=settings.long_query_seconds,
        what="longest query",
    )
    yield _oldest(
        "database.idle-in-transaction",
        "transactions",
        idle,
        key="transaction_seconds",
        limit=settings.idle_in_transaction_seconds,
        what="longest open and idle transaction",
    )
    yield _oldest(
        "database.locks",
        "locks",
        blocked,
        key="query_seconds",
        limit=settings.blocked_seconds,
        what="longest wait for a lock",
        holders={row["pid"]: row for row in rows},
    )


def _oldest(
    check: str,
    subject: str,
    rows: list[dict[str, Any]],
    *,
    key: str,
    limit: Threshold,
    what: str,
    holders: dict[int, dict[str, Any]] | None = None,
) -> Verdict:
    worst = max(rows, key=lambda row: row[key] or 0, default=None)
    seconds = float(worst[key] or 0) if worst else 0.0
    evidence = (
        f"pid {worst['pid']} {worst['application']}: {worst['query'][:120]}; blocked by {worst['blocked_by'] or 'nobody'}"
        if worst
        else ""
    )
    holder = next((holders[pid] for pid in worst["blocked_by"] if pid in holders), None) if holders and worst else None
    if holder is not None:
        evidence = f"pid {holder['pid']} ({holder.get('role')} {holder['application']}, {holder['state']}) holds it: {holder['query'][:100]}; waiting: {evidence}"
    return judge_number(check, subject, seconds, limit, unit="s", what=what, next_notebook=QUERY, evidence=evidence)


def _dead_rows(found: Database, settings: DatabaseSettings) -> Iterator[Verdict]:
    for row in found.rows("tables"):
        dead, live = row["dead_rows"] or 0, row["live_rows"] or 0
        if dead >= settings.dead_rows_minimum:
            yield judge_number(
                "database.dead-rows",
                row["name"],
                100 * dead / (dead + live),
                settings.dead_rows_percent,
                unit="%",
                what="dead rows",
                next_notebook=MAINTAIN,
                evidence=f"{dead} dead, {live} live, last vacuum {row['last_autovacuum'] or row['last_vacuum'] or 'never'}",
            )


def _wraparound(found: Database, settings: DatabaseSettings) -> Iterator[Verdict]:
    worst = max(found.rows("wraparound"), key=lambda row: row["age"])
    yield judge_number(
        "database.wraparound",
        worst["database"],
        float(worst["percent"]),
        settings.wraparound_percent,
        unit="%",
        what="transaction numbers used up",
        next_notebook=MAINTAIN,
        evidence=f"age {worst['age']}",
    )


def _checksums(found: Database, settings: DatabaseSettings) -> Iterator[Verdict]:
    """Judge the count, which goes on until the statistics are reset: a failure of now, or one that nobody has looked into since."""
    rows = [row for row in found.rows("checksums") if int(row["failures"])]
    failures = sum(int(row["failures"]) for row in rows)
    ago = min((row["failed_seconds_ago"] for row in rows if row.get("failed_seconds_ago") is not None), default=None)
    recent = ago is None or ago <= settings.damage_recent_minutes * 60
    when = f", the last {ago // 60} minutes ago" if ago is not None else ""
    yield judge_condition(
        not failures,
        "database.checksums",
        "pages",
        ok="no page failed its checksum",
        bad="pages have failed their checksum: data is corrupt"
        if recent
        else f"pages failed their checksum{when}: find out whether they still do, then pg_stat_reset() ends this",
        state=State.CRITICAL if recent else State.WARNING,
        value=str(failures),
        limit="0",
        evidence=f"pg_stat_database.checksum_failures{when}" if failures else "pg_stat_database.checksum_failures",
        next=CORRUPTION,
    )


def _trust(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    rows = found.rows("trust")
    yield judge_condition(
        not rows,
        "database.trust",
        "pg_hba.conf",
        ok="nobody comes in over the network without a password",
        bad="somebody comes in over the network without a password",
        value=str(len(rows)),
        limit="0",
        evidence="; ".join(f"{row['type']} {row['database']} {row['role']} {row['address']}" for row in rows),
        next=BREACH,
    )


def _triggers(found: Database, settings: DatabaseSettings) -> Iterator[Verdict]:
    yield from schema.triggers(found, settings)
    yield from database_limits.triggers(found, settings)


JUDGES = {
    "server": _writable,
    "settings": _settings,
    "connections": _connections,
    "activity": _activity,
    "tables": _dead_rows,
    "wraparound": _wraparound,
    "checksums": _checksums,
    "indexes": schema.indexes,
    "trust": _trust,
    "triggers": _triggers,
    "constraints": schema.constraints,
    "sequences": schema.sequences,
    **database_limits.JUDGES,
}
