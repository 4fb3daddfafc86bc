"""What the database refuses or holds back by its own settings: roles, limits, time limits, rules, files with errors. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.facts.database import Database
    from runbook.parameters import DatabaseSettings

CONNECTIONS, MAINTAIN, QUERY = "08-troubleshoot/database-connections", "06-database/maintain", "06-database/query"
SHORT_TIMEOUT_MILLISECONDS = 2000
LONG_PREPARED_SECONDS = 5
HELD_BYTES = 1 << 30
MILLISECONDS = {"": 1, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000}
TIMEOUTS = (
    "statement_timeout",
    "lock_timeout",
    "transaction_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
)


def roles(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    """The role in use may log in, is not expired, and is not at its limit of connections."""
    for row in found.rows("roles"):
        name, most = row["role"], row["most"]
        wrong = (
            (not row["may_log_in"] and row["ours"], "may not log in (NOLOGIN)", "no", "rolcanlogin false"),
            (row["expired"], "may log in no more: its password has expired (VALID UNTIL)", "expired", "rolvaliduntil lies in the past"),
            (most >= 0 and row["used"] >= most, "has no connection left: its own limit is reached", f"{row['used']}", f"rolconnlimit {most}"),
        )  # fmt: skip
        for bad, told, value, evidence in wrong:
            if bad:
                yield Verdict(
                    State.CRITICAL, "database.role", f"role {name}", f"the role {name} {told}", value=value, limit=str(most) if most >= 0 else "may",
                    evidence=f"pg_roles: {evidence}", next=CONNECTIONS,
                )  # fmt: skip


def limits(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    """The database takes connections, and is not at its own limit."""
    for row in found.rows("limits"):
        if not row["allows"]:
            yield Verdict(
                State.CRITICAL, "database.limit", "database", "it takes no connections (ALLOW_CONNECTIONS false)", "no", "yes", "pg_database: datallowconn false", CONNECTIONS
            )  # fmt: skip
        elif row["most"] >= 0 and row["used"] >= row["most"]:
            yield Verdict(
                State.CRITICAL, "database.limit", "database", "its own limit of connections is reached", str(row["used"]), str(row["most"]),
                f"pg_database: datconnlimit {row['most']}", CONNECTIONS,
            )  # fmt: skip


def timeouts(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    """No time limit is so short that it ends what the application asks."""
    said = [(f"for {row['role']}", *row["setting"].partition("=")[::2]) for row in found.rows("overrides")]
    said += [
        (f"source {row['source']} {row['file']}".strip(), row["name"], f"{row['setting']}{row['unit'] or ''}")
        for row in found.answers.get("changed_settings", [])
    ]
    for where, name, value in said:
        spelled = re.fullmatch(r"(\d+)\s*(ms|s|min|h)?", value.strip())
        most = int(spelled[1]) * MILLISECONDS[spelled[2] or ""] if spelled else 0
        if name in TIMEOUTS and 0 < most < SHORT_TIMEOUT_MILLISECONDS:
            yield Verdict(
                State.CRITICAL, "database.timeout", name, f"statements are ended after {most} ms" if name == "statement_timeout" else f"{name} is only {most} ms",
                f"{most} ms", f"{SHORT_TIMEOUT_MILLISECONDS} ms", f"{name} = {value} ({where})", CONNECTIONS,
            )  # fmt: skip
        if name == "synchronous_standby_names" and value.strip("' "):
            yield Verdict(
                State.CRITICAL, "database.standby", name, "every change waits for a standby that must confirm it", value, "empty",
                f"{name} = {value} ({where})", CONNECTIONS,
            )  # fmt: skip
        if name == "session_replication_role" and value == "replica":
            yield Verdict(
                State.CRITICAL, "database.altered", name, "triggers and foreign keys are not obeyed", value, "origin", f"{name} = {value} ({where})", MAINTAIN
            )  # fmt: skip
        if name in {"search_path", "role", "default_tablespace", "row_security"} and where.startswith("for "):
            yield Verdict(
                State.WARNING, "maybe.session-setting", name, f"sessions begin with another {name} than usual: tables may not be found", value, "not set",
                f"{name} = {value} ({where})", CONNECTIONS,
            )  # fmt: skip


def file_errors(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    """The configuration files hold no error: the server would not start with one, or goes on without the line."""
    for row in found.rows("file_errors"):
        yield Verdict(
            State.WARNING, "database.configuration", row["file"], "a line of it is wrong: it is not obeyed, and the next start may fail", f"line {row['line']}", "no error",
            f"{row['file']}, line {row['line']}: {row['error']}", CONNECTIONS,
        )  # fmt: skip


def rejected(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    """No rule of pg_hba.conf turns somebody away."""
    for row in found.rows("rejected"):
        yield Verdict(
            State.WARNING, "maybe.rejected", "pg_hba.conf", f"a rule turns away {row['role']} at {row['database']} from {row['address'] or 'the socket'}", "reject", "none",
            f"pg_hba.conf, line {row['line']}: {row['type']} {row['database']} {row['role']} {row['address'] or ''} reject", CONNECTIONS,
        )  # fmt: skip


def prepared(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    """No prepared transaction lies about: it holds its locks over every restart."""
    for row in found.rows("prepared"):
        if row["seconds"] >= LONG_PREPARED_SECONDS:
            yield Verdict(
                State.CRITICAL, "database.prepared", row["gid"], "a prepared transaction holds its locks, until it is committed or rolled back", f"{row['seconds']} s",
                f"{LONG_PREPARED_SECONDS} s", f"pg_prepared_xacts: {row['gid']} of {row['role']}", QUERY,
            )  # fmt: skip


def slots(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    """No replication slot that nobody uses holds back the log, which would fill the disk."""
    for row in found.rows("slots"):
        if not row["active"]:
            held = row["held_bytes"] or 0
            yield Verdict(
                State.CRITICAL if held >= HELD_BYTES else State.WARNING, "database.slot", row["name"], "nobody reads this replication slot: the write-ahead log grows until the disk is full",
                f"{held >> 20} MiB", "active", f"pg_replication_slots: {row['name']} inactive", MAINTAIN,
            )  # fmt: skip


def archiver(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    """Where the log is archived, archiving works."""
    for row in found.rows("archiver"):
        if row["failing"]:
            yield Verdict(
                State.WARNING, "database.archiving", "archiver", "the write-ahead log cannot be archived: it grows until the disk is full", f"{row['failed']} failures", "0",
                f"pg_stat_archiver: {row['wal']} failed last", MAINTAIN,
            )  # fmt: skip


def row_rules(found: Database, settings: DatabaseSettings) -> Iterator[Verdict]:
    """No rule or policy stands between the application and its rows, as far as nobody said that it should."""
    known = {table.rpartition(".")[2] for table in settings.expected_tables}
    for row in found.rows("row_rules"):
        if row["table"] in known or row["table"] == "(all)":
            yield Verdict(
                State.WARNING, "maybe.row-rule", row["table"], f"{row['what']} changes what is read or written", "set", "none", f"{row['what']} on {row['table']}", MAINTAIN
            )  # fmt: skip


def lock_holders(found: Database, settings: DatabaseSettings) -> Iterator[Verdict]:
    """Nobody holds a lock on a table that others would wait for."""
    held: dict[int, list[dict[str, Any]]] = {}
    for row in found.rows("lock_holders"):
        if (row["seconds"] or 0) >= settings.blocked_seconds.warning:
            held.setdefault(row["pid"], []).append(row)
    for pid, rows in held.items():
        first = rows[0]
        who = (
            f"pid {pid} ({first['role']} {first['application']}, {first['state']})"
            if pid
            else f"the prepared transaction {first['query']} of {first['role']}"
        )
        tables = ", ".join(sorted({row["table"] for row in rows}))
        yield Verdict(
            State.CRITICAL, "database.lock-holder", tables, f"a session has locked it for {first['seconds']} s: whoever needs it waits", f"{first['seconds']} s",
            f"{settings.blocked_seconds.warning:g} s",
            f"pg_locks: {who} holds {first['mode']}{': ' + first['query'] if pid else ''}", CONNECTIONS,
        )  # fmt: skip


def triggers(found: Database, settings: DatabaseSettings) -> Iterator[Verdict]:
    """Tell of triggers on the application's tables: they run with every write, and nothing else shows what they do."""
    known = {table.rpartition(".")[2] for table in settings.expected_tables}
    for row in found.rows("triggers"):
        if row["table"].rpartition(".")[2] in known and not row["disabled"] and row.get("does"):
            yield Verdict(
                State.WARNING, "maybe.trigger", row["table"], f"the trigger {row['name']} runs with each change of {row['table']}", "runs", "none", f"{row['name']}: {row['does']}", QUERY
            )  # fmt: skip


JUDGES: dict[str, Any] = {
    "lock_holders": lock_holders, "roles": roles, "limits": limits, "overrides": timeouts, "file_errors": file_errors, "rejected": rejected, "prepared": prepared,
    "slots": slots, "archiver": archiver, "row_rules": row_rules,
}  # fmt: skip
