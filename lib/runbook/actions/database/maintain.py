"""Maintain the database: VACUUM (ANALYZE) table by table, and drop on purpose what a restore has kept. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runbook.actions import shell, stack
from runbook.actions.database import proof
from runbook.changes.plan import Context, Plan, Step
from runbook.commands import Command
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Missing
from runbook.facts.dump_candidates import KEPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook.facts.dumps import OneDatabase
    from runbook.parameters import Parameters

VACUUM_SECONDS = 6 * 3600.0
MOST_STEPS = 40  # a plan stays readable; of more tables, those with the most dead rows are taken
MEBIBYTE = 2**20
SINCE = """select 1 / (count(*) = 1)::int from pg_stat_user_tables where schemaname = :'schema' and relname = :'table' and last_vacuum >= to_timestamp(:'stamp', 'YYYYMMDD"T"HH24MISS"Z"')"""
VACUUMED = 'printf "%s" "$1" | docker exec -i "$2" psql -qAtX -v ON_ERROR_STOP=1 -v schema="$5" -v table="$6" -v stamp="$7" -U "$3" -d "$4"'
NEVER_FULL = "never VACUUM FULL: it locks the table for everybody until it is written anew, and needs as much room again; plain VACUUM makes the room reusable"


def vacuum(context: Context) -> Plan:
    """Given `table` and `drop`, return the plan: vacuum one table or all, or drop a kept database. Raises ParametersError, PreflightError."""
    unwanted = str(context.values.get("drop", "")).strip()
    if unwanted:
        return _drop(context, unwanted)
    found = context.facts.get("database")
    if isinstance(found, Missing) or "tables" in found.unanswered:
        said = found.reason if isinstance(found, Missing) else found.unanswered["tables"]
        raise PreflightError(f"the tables could not be looked at: {said}", remedy="open 06-database/query")
    rows = sorted(found.rows("tables"), key=lambda row: (-(row["dead_rows"] or 0), row["schema"], row["name"]))
    names = [(str(row["schema"]), str(row["name"])) for row in rows]
    chosen = _chosen(str(context.values.get("table", "")).strip(), names)
    parameters = context.parameters
    title = f"Vacuum and analyze {'.'.join(chosen[0]) if len(chosen) == 1 else f'{len(chosen)} tables'}"
    if not chosen:
        return Plan(title, parameters.target, context.stamp, nothing="the database has no tables")
    left = len(names) - len(chosen) if not context.values.get("table") else 0
    notes = (NEVER_FULL, *((f"{left} tables with fewer dead rows are left out; run again for the next ones",) if left else ()))  # fmt: skip
    return Plan(
        title,
        parameters.target,
        context.stamp,
        steps=tuple(_step(parameters, context.stamp, schema, name) for schema, name in chosen),
        basis={"tables": sorted(".".join(name) for name in chosen)},
        notes=notes,
    )


def _chosen(table: str, names: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return one table, by name with or without its schema, or those with the most dead rows, in the order of their names."""
    if not table:
        return sorted(names[:MOST_STEPS])
    fitting = [name for name in names if table in {name[1], ".".join(name)}]
    if len(fitting) == 1:
        return fitting
    listed = ", ".join(sorted(".".join(name) for name in names)[:20])
    problem = f"{table[:80]!r} fits {len(fitting)} tables; there are: {listed}"
    raise ParametersError("table", [problem], remedy="write one of these, or nothing for all")


def _step(parameters: Parameters, stamp: str, schema: str, table: str) -> Step:
    settings = parameters.database
    container = parameters.stack.container(settings.service)
    word = re.sub(r"[^a-z0-9]+", "-", f"{schema}-{table}".lower()).strip("-")
    done = ("bash", "-c", VACUUMED, "vacuumed", SINCE, container, settings.user, settings.name, schema, table, stamp)
    return Step(
        f"vacuum-{word}",
        stack.script(
            shell.text("vacuum.sh"), container, settings.user, settings.name, schema, table,
            why=f"make the room of dead rows in {schema}.{table} reusable, and refresh what the planner knows of it", seconds=VACUUM_SECONDS, sudo=False,
        ),
        affects=f"{schema}.{table}",
        no_undo="nothing visible changes: only dead rows go",
        done=Command(done),
        output=True,
    )  # fmt: skip


def _drop(context: Context, name: str) -> Plan:
    """Return the plan that drops a database which a restore has kept; no other one can be named."""
    parameters = context.parameters
    known: dict[str, OneDatabase] | Missing = context.facts.get("databases")
    if isinstance(known, Missing):
        raise PreflightError(f"the databases could not be listed: {known.reason}", remedy="open 06-database/query")
    match = KEPT.fullmatch(name)
    if match is None or match[1] != parameters.database.name:
        kept = ", ".join(sorted(other for other in known if KEPT.fullmatch(other))) or "none"
        problem = f"{name[:80]!r} is not a database that a restore has kept; there are: {kept}"
        raise ParametersError("drop", [problem], remedy="only these can be dropped here")
    title = f"Drop the kept database {name}"
    if name not in known:
        return Plan(title, parameters.target, context.stamp, nothing="it is not there (any more)")
    size = known[name].bytes / MEBIBYTE
    return Plan(
        title,
        parameters.target,
        context.stamp,
        steps=(Step("drop", proof.drop(parameters, name), affects=name, no_undo="a dropped database only comes back from a backup"),),
        basis={"database": name},
        losses=(f"{name} with all its rows ({size:.0f} MiB freed); rows that are in no other database or backup are gone for good",),
        danger=True,
    )  # fmt: skip
