"""PostgreSQL from inside its container, in a session that cannot write.

Every question is one SELECT that returns one line of JSON with its name, all asked in one psql: a question that fails
(a right is missing, a page is corrupt) leaves the others answered, and its own place empty with psql's words.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from runbook.commands import Command
from runbook.errors import ParametersError, ParseError
from runbook.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from runbook.commands import Result
    from runbook.parameters import Parameters

QUESTIONS = {
    "server": """select current_setting('server_version') as version, pg_is_in_recovery() as in_recovery,
        extract(epoch from now() - pg_postmaster_start_time())::bigint as uptime_seconds,
        pg_database_size(current_database()) as database_bytes""",
    "settings": """select name, setting, source from pg_settings where name in ('fsync', 'full_page_writes', 'autovacuum', 'synchronous_commit',
        'ssl', 'data_checksums', 'max_connections', 'track_counts', 'zero_damaged_pages', 'ignore_checksum_failure')""",
    "read_only_by": """select coalesce(d.datname, 'all databases') as database, coalesce(r.rolname, 'all roles') as role, c as setting
        from pg_db_role_setting s left join pg_database d on d.oid = s.setdatabase left join pg_roles r on r.oid = s.setrole,
        unnest(s.setconfig) c where c ~ 'read_only=(on|true|1)'
        union all select 'server', 'all roles', name || '=on' from pg_file_settings where name = 'default_transaction_read_only'
        and setting ~* '^(on|true|1|yes)$' and applied""",
    "connections": """select count(*) filter (where backend_type = 'client backend') as used, current_setting('max_connections')::int as most,
        current_setting('superuser_reserved_connections')::int as reserved from pg_stat_activity""",
    "activity": """select pid, usename as role, application_name as application, client_addr::text as client, state,
        wait_event_type, wait_event, pg_blocking_pids(pid) as blocked_by,
        round(extract(epoch from now() - xact_start))::bigint as transaction_seconds,
        round(extract(epoch from now() - query_start))::bigint as query_seconds,
        round(extract(epoch from now() - state_change))::bigint as state_seconds,
        left(regexp_replace(query, '''[^'']*''', '''?''', 'g'), 160) as query
        from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() and datname = current_database()""",
    "lock_holders": """select l.pid, l.relation::regclass::text as "table", l.mode, a.usename as role, a.application_name as application, a.state,
        round(extract(epoch from now() - a.xact_start))::bigint as seconds, left(regexp_replace(a.query, '''[^'']*''', '''?''', 'g'), 120) as query
        from pg_locks l join (select pid, usename, application_name, state, xact_start, query, null as virtual from pg_stat_activity
        union all select null, owner, 'nobody', 'prepared', prepared, gid, '-1/' || transaction::text from pg_prepared_xacts) a
        on a.pid = l.pid or (l.pid is null and a.virtual = l.virtualtransaction) join pg_class c on c.oid = l.relation join pg_namespace n on n.oid = c.relnamespace
        where l.granted and l.mode in ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock') and c.relkind in ('r', 'p')
        and n.nspname !~ '^(pg_|information_schema)' and l.database = (select oid from pg_database where datname = current_database())""",
    "tables": """select n.nspname as schema, c.relname as name, greatest(c.reltuples, 0)::bigint as estimated_rows, s.n_live_tup as live_rows,
        s.n_dead_tup as dead_rows, pg_table_size(c.oid) as table_bytes, pg_indexes_size(c.oid) as index_bytes,
        s.last_vacuum, s.last_autovacuum, s.last_analyze, s.last_autoanalyze, s.n_tup_del as deleted_rows
        from pg_class c join pg_namespace n on n.oid = c.relnamespace left join pg_stat_user_tables s on s.relid = c.oid
        where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_toast'""",
    "indexes": """select i.indexrelid::regclass::text as name, i.indrelid::regclass::text as "table", i.indisvalid as valid,
        pg_relation_size(i.indexrelid) as bytes, s.idx_scan as scans from pg_index i join pg_class c on c.oid = i.indexrelid
        join pg_namespace n on n.oid = c.relnamespace left join pg_stat_user_indexes s on s.indexrelid = i.indexrelid
        where n.nspname not in ('pg_catalog', 'pg_toast')""",
    "wraparound": """select datname as database, age(datfrozenxid) as age, round(100 * age(datfrozenxid) / 2147483648.0, 2) as percent
        from pg_database where datallowconn""",
    "checksums": """select datname as database, coalesce(checksum_failures, 0) as failures,
        extract(epoch from now() - checksum_last_failure)::bigint as failed_seconds_ago, deadlocks, temp_bytes
        from pg_stat_database where datname is not null""",
    "trust": """select type, array_to_string(database, ',') as database, array_to_string(user_name, ',') as role, address, auth_method
        from pg_hba_file_rules where auth_method = 'trust' and type like 'host%'
        and address not in ('127.0.0.1', '::1', 'localhost', 'samehost')""",
    "triggers": """select tgname as name, tgrelid::regclass::text as "table", tgenabled = 'D' as disabled,
        left(regexp_replace(p.prosrc, '[[:space:]]+', ' ', 'g'), 120) as does from pg_trigger t join pg_proc p on p.oid = t.tgfoid where not tgisinternal""",
    "constraints": """select conname as name, conrelid::regclass::text as "table" from pg_constraint where not convalidated""",
    "sequences": """select schemaname || '.' || sequencename as name, round(100.0 * coalesce(last_value, 0) / max_value, 2) as percent from pg_sequences""",
    "revision": "select version_num as revision from alembic_version",
    "roles": """select rolname as role, rolcanlogin as may_log_in, coalesce(rolvaliduntil < now(), false) as expired, rolconnlimit as most,
        (select count(*) from pg_stat_activity a where a.usename = rolname) as used, rolname = current_user as ours from pg_roles
        where rolname !~ '^pg_'""",
    "limits": """select datallowconn as allows, datconnlimit as most,
        (select count(*) from pg_stat_activity a where a.datname = d.datname) as used from pg_database d where datname = current_database()""",
    "overrides": """select coalesce(r.rolname, 'all roles') as role, c as setting from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole,
        unnest(s.setconfig) c where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))""",
    "changed_settings": """select name, setting, unit, source, coalesce(sourcefile, '') as file, pending_restart from pg_settings
        where source in ('configuration file', 'command line', 'global', 'database', 'user', 'database user')
        and name !~ '^(lc_|log_|DateStyle|TimeZone|default_text_search_config|listen_addresses|application_name|client_encoding)'""",
    "file_errors": """select 'postgresql.conf' as file, sourceline as line, error from pg_file_settings where error is not null
        union all select 'pg_hba.conf', line_number, error from pg_hba_file_rules where error is not null""",
    "rejected": """select line_number as line, type, array_to_string(database, ',') as database, array_to_string(user_name, ',') as role, address
        from pg_hba_file_rules where auth_method = 'reject'""",
    "prepared": """select gid, owner as role, round(extract(epoch from now() - prepared))::bigint as seconds from pg_prepared_xacts
        where database = current_database()""",
    "slots": """select slot_name as name, active, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint as held_bytes from pg_replication_slots
        where not pg_is_in_recovery()""",
    "archiver": """select failed_count as failed, last_failed_wal as wal, coalesce(last_failed_time > last_archived_time, failed_count > 0) as failing
        from pg_stat_archiver where current_setting('archive_mode') <> 'off'""",
    "row_rules": """select c.relname as "table", case when c.relforcerowsecurity then 'forced row security' else 'row security' end as what from pg_class c
        join pg_namespace n on n.oid = c.relnamespace where c.relrowsecurity and n.nspname !~ '^pg_' union all
        select tablename, 'rule ' || rulename from pg_rules where schemaname not in ('pg_catalog', 'information_schema') union all
        select '(all)', 'event trigger ' || evtname from pg_event_trigger""",
}
SELECT = re.compile(r"\s*(select|with|values|table)\b", re.IGNORECASE)
LONGEST_QUERY = 100_000
# a superuser gives up his rights first: what is left can read every table, but end no session and read no file
WRAPPED = r"""select pg_has_role(current_user, 'pg_read_all_data', 'member') as may \gset
\if :may
set role pg_read_all_data;
\endif
select query_to_xml('select row_to_json(runbook_row)::text as r from (' || :'query' || E'\n) runbook_row limit ' || :'rows', true, false, '');
"""


@dataclass(frozen=True, slots=True)
class Database:
    """The answers by question; each a list of rows (JSON objects). `unanswered` holds psql's words for those without."""

    answers: dict[str, list[dict[str, Any]]]
    unanswered: dict[str, str] = field(default_factory=dict)

    def rows(self, question: str) -> list[dict[str, Any]]:
        """Return the rows of a question. Raises KeyError for one without an answer."""
        return self.answers[question]

    def frame(self, question: str) -> pd.DataFrame:
        """Return the rows of a question as a DataFrame."""
        return frame(self.answers[question])


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of the operator's own SELECT; `more` says that there were more than asked for."""

    query: str
    rows: list[dict[str, Any]]
    more: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns' names, in order; none when there are no rows."""
        return tuple(self.rows[0]) if self.rows else ()

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame."""
        return frame(self.rows)


def frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Given rows, return a DataFrame."""
    import pandas as pd  # noqa: PLC0415 (half a second that only what shows frames should wait for)

    return pd.DataFrame(rows)


def psql(parameters: Parameters, *words: str, stdin: str, timeout: float | None = None) -> Command:
    """Return a psql command in the database's container: read-only session, bounded statements, no terminal."""
    settings = parameters.database
    seconds = settings.statement_timeout_seconds
    options = f"-c default_transaction_read_only=on -c statement_timeout={round(seconds * 1000)} -c lock_timeout={round(seconds * 200)}"
    return Command(
        ("docker", "exec", "--interactive", "--env", f"PGOPTIONS={options}", "--env", "PGCONNECT_TIMEOUT=5", "--env", "PGAPPNAME=runbook",
         parameters.stack.container(settings.service), "psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only",
         "--username", settings.user, "--dbname", settings.name, *words, "--file", "-"),
        stdin=stdin, timeout=timeout or seconds + 10,
    )  # fmt: skip


def script(parameters: Parameters) -> str:
    """Return the SQL of all questions, one line each, and whether every expected table holds a row."""
    tables = [name for name in parameters.database.expected_tables if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$.]*", name)]
    filled = {
        f"filled:{name}": f"select exists (select 1 from {'.'.join(quoted(part) for part in name.split('.'))}) as filled"  # noqa: S608 (names from our own constants, and tables quoted as identifiers)
        for name in tables
    }
    return "".join(
        f"select jsonb_build_object('{name}', coalesce((select jsonb_agg(q) from ({' '.join(sql.split())}) q), '[]'::jsonb));\n"  # noqa: S608 (names from our own constants, and tables quoted as identifiers)
        for name, sql in (QUESTIONS | filled).items()
    )


def quoted(name: str) -> str:
    """Given a name, return it as an SQL identifier (lexical rules of PostgreSQL, 4.1.1).

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def database_commands(parameters: Parameters) -> dict[str, Command]:
    """Ask everything in one session."""
    return {"psql": psql(parameters, stdin=script(parameters))}


def parse_database(results: Mapping[str, Result], _parameters: Parameters) -> Database:
    """Read one JSON object a line; psql names the line, and so the question, of an error."""
    result = results["psql"]
    answers: dict[str, list[dict[str, Any]]] = {}
    for line in result.stdout.splitlines():
        if line.startswith("{"):
            answers |= json.loads(line)
    if not answers:
        told = result.stderr.strip().splitlines()
        raise ParseError("psql", told[0] if told else "it printed nothing")
    asked = re.findall(r"jsonb_build_object\('([^']+)'", result.command.stdin)
    told_of = {int(line): said for line, said in re.findall(r"<stdin>:(\d+): (?:ERROR|FATAL):\s*(.*)", result.stderr)}
    return Database(
        answers,
        {name: told_of.get(line, "no answer") for line, name in enumerate(asked, 1) if name not in answers},
    )


database = Fact("database", database_commands, parse_database)


def query(values: Mapping[str, Any]) -> Fact[Rows]:
    """Given a notebook's values (`query`, `rows`), return the fact that runs the operator's own SELECT.

    The text goes to the server as a value, never as a command: query_to_xml runs it as one read-only query, so that
    neither a second statement nor a write can hide in it; rights beyond reading tables are given up before. Raises
    ParametersError for what is no query.
    """
    sql = str(values.get("query", "")).strip().rstrip(";").rstrip()
    most = int(values.get("rows", 200))
    if not SELECT.match(sql) or "\0" in sql or len(sql) > LONGEST_QUERY:
        raise ParametersError(
            "query",
            [f"{sql[:60]!r} is not one SELECT (it must begin with select, with, values or table, and be no longer than {LONGEST_QUERY} characters)"],
            remedy="write one query that reads; to change data, use the runbooks of kind change",
        )  # fmt: skip

    def ask(parameters: Parameters) -> dict[str, Command]:
        words = ("--variable", "ON_ERROR_STOP=1", "--variable", f"query={sql}", "--variable", f"rows={most + 1}")
        return {"psql": psql(parameters, *words, stdin=WRAPPED)}

    def parse(results: Mapping[str, Result], _parameters: Parameters) -> Rows:
        result = results["psql"]
        if not result.ok:
            told = re.findall(r"ERROR:\s*(.*)", result.stderr) or result.stderr.strip().splitlines() or [result.meaning]
            raise ParseError("the query", told[0], remedy="mend the query and run again")
        rows = read_xml(result.stdout)
        return Rows(sql, rows[:most], more=len(rows) > most)

    return Fact("query", ask, parse, optional=frozenset({"psql"}))


def read_xml(text: str) -> list[dict[str, Any]]:
    """Given query_to_xml's answer with one JSON text a row, return the rows.

    >>> read_xml('<row xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><r>{"a":1}</r></row>')
    [{'a': 1}]
    """
    try:
        root = ET.fromstring(f"<rows>{text}</rows>")  # noqa: S314 (our own database's answer; no entities are declared in it)
    except ET.ParseError as error:
        raise ParseError("the answer to the query", f"{error}: {text[:120]}") from None
    return [json.loads(row.text or "null") for row in root.iter("r")]
