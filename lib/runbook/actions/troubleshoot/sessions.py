"""What lets an application into its database again: roles, limits, settings of sessions, sessions that hold others up. Pure.

Each change is one SQL statement by psql in the database's container, as the operator's own role; values travel as psql
variables and are quoted there, never pasted into the statement's text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runbook.actions import stack
from runbook.changes.plan import Context, Plan, Step
from runbook.errors import PreflightError
from runbook.facts import Missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbook.commands import Command
    from runbook.facts.database import Database
    from runbook.triage import Cause

MOST_NAMED = 5
SETTING = re.compile(r"[a-z_]+(\.[a-z_]+)?")
OF_THESE = "from pg_stat_activity where pid = any (string_to_array(:'pids', ',')::int[]);"
ENDS = "a session that was ended is gone; its transaction is rolled back, and the application opens another one"
# what is to be taken back must not hold for the session that takes it back
UNBOUND = "-c statement_timeout=0 -c lock_timeout=5000 -c default_transaction_read_only=off -c synchronous_commit=off -c search_path=public"
# $1 container, $2 role, $3 database, $4 session settings, $5 statement with :"name" and :'name' in it, then name=value pairs
SQL = r"""
set -euo pipefail
container=$1 role=$2 database=$3 unbound=$4 statement=$5; shift 5
variables=(); for pair in "$@"; do variables+=(--variable "$pair"); done
printf '%s\n' "$statement" | docker exec --interactive --env PGOPTIONS="$unbound" "$container" psql --no-psqlrc --quiet --tuples-only --no-align \
  --variable ON_ERROR_STOP=1 --username "$role" --dbname "$database" "${variables[@]}" --file -
"""
# the role gets the password that the database's own container was made with; the hash that it had is kept, to go back
SAME_AS_FILE = r"""
set -euo pipefail
container=$1 role=$2 folder=$3
install -d -m 700 "$folder"
ask() { docker exec --interactive --env PGROLE="$role" "$container" sh -c 'exec psql --no-psqlrc --quiet --tuples-only --no-align --variable ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --variable role="$PGROLE" '"$1"' --file -'; }
if [ ! -s "$folder/verifier" ]; then
  printf "select rolpassword from pg_authid where rolname = :'role';\n" | ask "" > "$folder/verifier.part"
  chmod 600 "$folder/verifier.part"; sync -f "$folder/verifier.part"; mv -T "$folder/verifier.part" "$folder/verifier"
fi
printf 'alter role :"role" password :%s;\n' "'password'" | ask '--variable password="$POSTGRES_PASSWORD"'
"""
GO_BACK = r"""
set -euo pipefail
container=$1 role=$2 folder=$3
[ -s "$folder/verifier" ] || { echo "nothing was kept, so nothing was changed"; exit 0; }
docker exec --interactive --env PGROLE="$role" --env OLD="$(cat "$folder/verifier")" "$container" sh -c \
  'printf "alter role :\"role\" password :%s;\n" "'"'"'old'"'"'" | psql --no-psqlrc --quiet --variable ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres --variable role="$PGROLE" --variable old="$OLD" --file -'
"""


def _sql(context: Context, statement: str, values: Mapping[str, object], *, why: str, connect: str = "") -> Command:
    """Return the change that runs statements with these values; `connect` is the database to log in to, its own by default."""
    settings = context.parameters.database
    pairs = [f"{name}={value}" for name, value in values.items()]
    words = (
        context.parameters.stack.container(settings.service),
        settings.user,
        connect or settings.name,
        UNBOUND,
        statement,
    )
    return stack.script(SQL, *words, *pairs, why=why, sudo=False)


def _database(context: Context) -> Database:
    found = context.facts.get("database")
    if isinstance(found, Missing):
        raise PreflightError(
            f"the database could not be asked: {found}",
            remedy="bring it up first: 08-troubleshoot/service-wont-start with service db",
        )
    answers: Database = found
    return answers


def _plan(
    context: Context, title: str, steps: Sequence[Step], basis: Mapping[str, object], losses: tuple[str, ...] = ()
) -> Plan:
    proofs = stack.served(context.parameters)
    return Plan(title, context.parameters.target, context.stamp, steps=(*steps, *proofs), basis=basis, losses=losses)


def open_role(context: Context, cause: Cause) -> Plan:
    """Let a role log in again: LOGIN, no expiry of its password, no limit of its own. Raises PreflightError."""
    role = cause.row.subject.removeprefix("role ")
    row = next((item for item in _database(context).rows("roles") if item["role"] == role), None)
    if row is None:
        raise PreflightError(f"there is no role {role}", remedy="look again: run this page from the top")
    values = {"role": role, "most": row["most"]}

    def change(statement: str, why: str) -> Command:
        return _sql(context, statement, values, why=why)

    steps = []
    if not row["may_log_in"]:
        back = Step("nologin-again", change('alter role :"role" nologin;', f"forbid {role} to log in again"))
        steps.append(Step("allow-login", change('alter role :"role" login;', f"let {role} log in"), role, undo=(back,)))
    if row["expired"]:
        command = change("alter role :\"role\" valid until 'infinity';", f"let the password of {role} hold")
        steps.append(
            Step("no-expiry", command, role, no_undo=f"to have it expire again: alter role {role} valid until '...'")
        )
    if row["most"] >= 0:
        back = Step("limit-again", change('alter role :"role" connection limit :most;', f"give {role} its limit again"))
        command = change('alter role :"role" connection limit -1;', f"take away the limit of connections of {role}")
        steps.append(Step("no-limit", command, role, undo=(back,)))
    return _plan(
        context,
        f"Let the role {role} in",
        steps,
        {"role": role, "was": [row["may_log_in"], row["expired"], row["most"]]},
    )


def open_database(context: Context, cause: Cause) -> Plan:
    """Let connections into the database: ALLOW_CONNECTIONS, and no limit of its own."""
    del cause
    name = context.parameters.database.name
    (row,) = _database(context).rows("limits")
    values = {"name": name, "most": row["most"]}
    statement = 'alter database :"name" connection limit :most;'
    back = Step("limit-again", _sql(context, statement, values, why="give it its limit again", connect="postgres"))
    statement = 'alter database :"name" connection limit -1;'
    command = _sql(context, statement, values, why=f"take away the limit of connections of {name}", connect="postgres")
    return _plan(
        context,
        f"Let connections into the database {name}",
        (Step("no-limit", command, name, undo=(back,)),),
        {"most": row["most"]},
    )


def reset_setting(context: Context, cause: Cause) -> Plan:
    """Take back a setting that somebody gave to the server, the database or a role. Raises PreflightError for one in a file."""
    found = _database(context)
    wanted = {"database.read-only": "default_transaction_read_only"}.get(cause.row.check, cause.row.subject)
    if not SETTING.fullmatch(wanted):
        raise PreflightError(
            f"{cause.row.subject}: {cause.row.reason}", remedy=f"the evidence: {cause.row.evidence[:200]}"
        )
    rows = [
        (row["role"], row["setting"].partition("=")[2])
        for row in found.rows("overrides")
        if row["setting"].partition("=")[0] == wanted
    ]
    steps = [_reset(context, wanted, role, value, number) for number, (role, value) in enumerate(rows)]
    server = [row for row in found.answers.get("changed_settings", []) if row["name"] == wanted and row["file"]]
    for row in server:
        if not row["file"].endswith("postgresql.auto.conf"):
            raise PreflightError(
                f"{wanted} = {row['setting']} stands in {row['file']}, which only a person should edit",
                remedy="take the line out, then run: select pg_reload_conf()",
            )
    by_system = (
        [row["setting"] for row in found.answers.get("read_only_by", []) if row["database"] == "server"]
        if "read_only" in wanted
        else []
    )
    if server or by_system:
        values = {"value": server[0]["setting"] if server else "on"}
        again = _sql(
            context,
            f"alter system set {wanted} = :'value';\nselect pg_reload_conf();",
            values,
            why=f"set {wanted} again",
        )
        reset = _sql(
            context,
            f"alter system reset {wanted};\nselect pg_reload_conf();",
            {},
            why=f"take back {wanted} of the whole server",
        )
        steps.append(Step("reset-server", reset, "the database's server", undo=(Step("set-server-again", again),)))
    if not steps:
        raise PreflightError(
            f"{cause.row.subject}: {cause.row.reason}: nothing that can be taken back was found",
            remedy=f"the evidence: {cause.row.evidence[:200]}",
        )
    return _plan(
        context,
        f"Take back {wanted}",
        (*steps, _end_old(context)),
        {"setting": wanted, "rows": [list(row) for row in rows]},
    )


def _reset(context: Context, name: str, role: str, value: str, number: int) -> Step:
    """Return the step that takes back a setting of a role, or of the database for all roles."""
    everybody = role == "all roles"
    target = 'database :"here"' if everybody else 'role :"role"'
    values = {"role": role, "here": context.parameters.database.name, "value": value.strip('"')}
    statement = (
        f"alter {target} reset {name};"
        if everybody
        else f'alter {target} reset {name};\nalter {target} in database :"here" reset {name};'
    )
    again = _sql(context, f"alter {target} set {name} = :'value';", values, why=f"set {name} again")
    command = _sql(context, statement, values, why=f"take back {name} = {value} for {role}")
    return Step(f"reset-{number}", command, role, undo=(Step(f"set-again-{number}", again),))


def _end_old(context: Context) -> Step:
    """Return the step that ends the application's sessions, which keep the settings that they began with."""
    statement = "select pg_terminate_backend(pid) from pg_stat_activity where datname = :'here' and pid <> pg_backend_pid() and backend_type = 'client backend';"
    command = _sql(
        context,
        statement,
        {"here": context.parameters.database.name},
        why="end the sessions that began with the old settings",
    )
    return Step("end-sessions", command, "sessions", no_undo=ENDS)


def end_sessions(context: Context, cause: Cause) -> Plan:
    """End the sessions that hold others up, those alone that the evidence names; what they did is kept. Raises PreflightError."""
    found, patience = _database(context), context.parameters.database.blocked_seconds.warning
    holders = {row["pid"] for row in found.answers.get("lock_holders", []) if (row["seconds"] or 0) >= patience}
    blocking = {pid for row in found.answers.get("activity", []) for pid in row["blocked_by"] or ()}
    named = {int(pid) for pid in re.findall(r"pid (\d+)", cause.row.evidence)}
    return _end(context, sorted(holders or blocking or named), "what these sessions have not committed")


def end_largest(context: Context, _cause: Cause) -> Plan:
    """End the sessions of the one client that holds most connections, if it alone holds more than half of all. Raises PreflightError."""
    rows = _database(context).answers.get("activity", [])
    groups: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        groups.setdefault((str(row["application"]), str(row["client"])), []).append(row["pid"])
    (application, client), pids = max(groups.items(), key=lambda item: len(item[1]), default=(("", ""), []))
    if 2 * len(pids) <= len(rows):
        raise PreflightError(
            "no connection is left, and no client alone holds most of them",
            remedy="raise max_connections, or find out who opens so many: 06-database/query",
        )
    return _end(
        context,
        sorted(pids),
        f"what the {len(pids)} sessions of {application or 'a program without a name'} at {client} have not committed",
    )


def _end(context: Context, pids: list[int], loss: str) -> Plan:
    if not pids:
        raise PreflightError("no session is left that holds others up", remedy="look again: run this page from the top")
    values = {"pids": ",".join(map(str, pids))}
    told = f"{len(pids)} sessions" if len(pids) > MOST_NAMED else f"the sessions {values['pids']}"
    show = f"select pid, usename, application_name, client_addr, state, xact_start, query {OF_THESE}"
    steps = (
        Step(
            "keep-evidence",
            _sql(context, show, values, why="show what these sessions do, for the record"),
            no_undo="it only reads",
            output=True,
        ),
        Step(
            "end-sessions",
            _sql(context, f"select pg_terminate_backend(pid) {OF_THESE}", values, why=f"end {told}"),
            "sessions",
            no_undo=ENDS,
        ),
    )
    return _plan(context, f"End {told}", steps, {"pids": pids}, losses=(loss,))


def same_password(context: Context, cause: Cause) -> Plan:
    """Give the role the password that the stack is configured with. Raises PreflightError where another part is to be mended."""
    if re.search("too many (clients|connections)|remaining connection slots", cause.row.reason):
        return end_largest(context, cause)
    if "password authentication failed" not in cause.row.reason:
        raise PreflightError(
            f"{cause.row.subject}: {cause.row.reason}",
            remedy="the database's own words are in the evidence: mend what they name",
        )
    drifted = [
        row for row in context.verdicts if row.check == "inventory.env-container" and "DATABASE_URL" in row.reason
    ]
    if drifted:
        raise PreflightError(
            f"{drifted[0].subject}: its container was made with another password than the file has now",
            remedy=f"./runbook run 02-services/control -p services {drifted[0].subject} -p action recreate",
        )
    settings, folder = context.parameters.database, f"{context.work}/password"
    words = (context.parameters.stack.container(settings.service), settings.user, folder)
    back = Step("password-back", stack.script(GO_BACK, *words, why="give the role the password that it had"))
    command = stack.script(
        SAME_AS_FILE, *words, why=f"give the role {settings.user} the password of the environment file"
    )
    step = Step("same-password", command, settings.user, undo=(back,))
    return _plan(
        context, f"Give the role {settings.user} the password of the environment file", (step,), {"role": settings.user}
    )
