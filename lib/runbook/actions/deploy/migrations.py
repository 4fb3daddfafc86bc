"""Migrate the database up to what an image needs, or back down; every revision is a step of its own. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.actions import stack
from runbook.actions.database import dump
from runbook.actions.deploy import migration_scripts as scripts
from runbook.actions.deploy import schema
from runbook.actions.deploy.release import checked_hours, found_release, refuse_image
from runbook.actions.deploy.rollout import Rollout, in_image
from runbook.changes.plan import Context, Plan, Step
from runbook.commands import Command
from runbook.errors import PreflightError
from runbook.facts import Missing
from runbook.facts.compose import compose_argv
from runbook.facts.deploy import ALEMBIC

if TYPE_CHECKING:
    from runbook.facts.deploy import Found
    from runbook.facts.dumps import Dump
    from runbook.facts.revisions import Migration, Revisions

BEGINNING = "base"  # alembic's own word for the database without a revision
DEPLOY, ROLLBACK, DIAGNOSE = "03-deploy/backend", "03-deploy/backend-rollback", "06-database/size"


def upgrade(context: Context) -> Plan:
    """Given `version` (empty: the deployed image) and `to` (empty: its newest revision), return the plan. Raises PreflightError."""
    found = found_release(context)
    schema.refuse_stranger(found)
    title = f"Migrate the database for {found.tag}"
    if not found.there:
        return _fetch(context, found, title)
    known, way = _known(found)
    goal = way.to
    if not known.heads or goal == way.at:
        return Plan(title, context.parameters.target, context.stamp, basis=_basis(found, way), nothing=f"the database is at {way.at or 'no revision'}, where {found.tag} wants it")  # fmt: skip
    revisions = known.between(way.at, goal)
    if goal not in known.known or not revisions or (way.at and way.at not in known.below(goal)):
        raise PreflightError(
            f"there is no way up from {way.at or 'the beginning'} to {goal}",
            remedy=f"{found.tag} knows {', '.join(known.known) or 'no revisions'}; to go down, use 03-deploy/migrate-rollback",
        )
    young, backup = _backup(context)
    steps = [
        Step(
            f"upgrade-{_word(revision)}",
            _alembic(context, found, "upgrade", known.known[revision][0], revision, f"{known.known[revision][1] or revision}"),
            affects=f"database {context.parameters.database.name}",
            undo=(Step(f"downgrade-{_word(revision)}", _alembic(context, found, "downgrade", revision, known.known[revision][0], f"take {revision} back", otherwise="or")),),
            done=_is_at(context, known, revision),
            output=True,
        )
        for revision in revisions
    ]  # fmt: skip
    dropped = [item.sentence for item in way.lost]
    notes = (
        young,
        f"what runs now ({found.now_tag}) goes on with the new schema until you deploy: both must get along with it",
        *((f"taking it back drops {'; '.join(dropped)}, with what was written there until then",) if dropped else ()),
    )
    return Plan(
        f"{title}: {way.at or 'the beginning'} to {goal}", context.parameters.target, context.stamp,
        steps=(*backup, *steps, _current(context, found, goal), *stack.served(context.parameters)), basis=_basis(found, way),
        pinned={"version": found.pinned if found.digest else "", "to": goal}, notes=notes,
    )  # fmt: skip


def downgrade(context: Context) -> Plan:
    """Given `version` (empty: the deployed image) and `to` (empty: one revision down), return the plan. Raises PreflightError."""
    found = found_release(context)
    schema.refuse_stranger(found)
    title = "Take the database back"
    if not found.there:
        return _fetch(context, found, title)
    known, way = _known(found)
    if not way.at:
        return Plan(
            title,
            context.parameters.target,
            context.stamp,
            basis=_basis(found, way),
            nothing="the database is at no revision",
        )
    if way.at == way.to:
        return Plan(
            title,
            context.parameters.target,
            context.stamp,
            basis=_basis(found, way),
            nothing=f"the database is at {way.at} already",
        )
    revisions = known.between(way.to, way.at)[::-1]
    if way.to and way.to not in known.below(way.at):
        raise PreflightError(
            f"{way.to} does not lie below {way.at}", remedy=f"below it are: {', '.join(known.below(way.at)[1:]) or 'none'}; to go up, use 03-deploy/migrate"
        )  # fmt: skip
    steps = [
        Step(
            f"downgrade-{_word(revision)}",
            _alembic(context, found, "downgrade", revision, known.known[revision][0], f"take {revision} back: {known.known[revision][1]}"),
            affects=f"database {context.parameters.database.name}",
            undo=(Step(f"upgrade-{_word(revision)}", _alembic(context, found, "upgrade", known.known[revision][0], revision, f"make {revision} again, without the data that went", otherwise="or")),),
            done=_is_below(context, known, revision),
            output=True,
        )
        for revision in revisions
    ]  # fmt: skip
    dump.refuse_without_room(context)
    backup = dump.backup_steps(context, name="backup-before")
    path = dump.path_of(context.parameters, context.stamp)
    losses = [item.sentence for item in way.lost]
    if way.to not in (found.schema_now.heads if found.schema_now else ()):
        needs = " ".join(found.schema_now.heads) if found.schema_now else "another revision"
        losses.append(
            f"the service: the backend that runs ({found.now_tag}) is made for {needs} and may fail until an earlier one is deployed with {ROLLBACK}"
        )
    return Plan(
        f"{title}: {way.at} to {way.to or 'the beginning'}", context.parameters.target, context.stamp,
        steps=(*backup, *steps, _current(context, found, way.to), *stack.served(context.parameters)), basis=_basis(found, way),
        pinned={"version": found.pinned if found.digest else "", "to": way.to or BEGINNING}, losses=tuple(losses),
        notes=(f"what goes is in the backup that is taken first: {path}",), tolerates=("synthetic",),
    )  # fmt: skip


def _known(found: Found) -> tuple[Revisions, Migration]:
    """Return what the image knows and the way. Raises PreflightError where the image cannot lead from where the database is."""
    way = found.migration
    if way is None or way.error or found.schema is None:
        why = way.error if way and way.error else found.schema_error or "nobody asked"
        raise PreflightError(
            f"the migrations cannot be read: {why}", remedy=f"look at the image's logs, and at the database: {DIAGNOSE}"
        )
    if len(found.schema.heads) > 1:
        raise PreflightError(
            f"{found.tag} has several newest revisions: {', '.join(found.schema.heads)}", remedy="merge the branches of the migrations, and build the image again"
        )  # fmt: skip
    if way.at and way.at not in found.schema.known:
        raise PreflightError(
            f"the database is at {way.at}, which {found.tag} does not know",
            remedy=f"it knows {', '.join(found.schema.known) or 'none'}; name the version that made {way.at} with version=...: the history of deploys shows which there were",
        )  # fmt: skip
    return found.schema, way


def _fetch(context: Context, found: Found, title: str) -> Plan:
    """Return the plan that only fetches the image: its migrations cannot be read before."""
    if not found.version:
        raise PreflightError(
            "no container of the backend is there, so its image is not known", remedy="name it with version=..."
        )
    refuse_image(context, found)
    settings = context.parameters.deploy.backend
    rollout = Rollout(
        context.parameters,
        settings,
        "backend",
        found,
        context.stamp,
        context.work,
        found.variable,
        found.now_tag,
        found.now_digest,
    )
    return Plan(
        f"{title}, first part: fetch the image", context.parameters.target, context.stamp, steps=(rollout.pull(),),
        basis={"image": found.by_digest}, pinned={"version": found.pinned},
        notes=("its migrations can be read once it is on the server: run this notebook again afterwards, it then shows their SQL",),
    )  # fmt: skip


def _basis(found: Found, way: Migration) -> dict[str, object]:
    return {"image": found.by_digest, "at": way.at, "to": way.to, "sql": dict(way.up), "back": dict(way.down)}


def _backup(context: Context) -> tuple[str, tuple[Step, ...]]:
    """Return what is to be said of the backup, and the steps that take one where none is verified and young enough."""
    hours = checked_hours(context)
    found: tuple[Dump, ...] | Missing = context.facts.get("dumps")
    if isinstance(found, Missing):
        raise PreflightError(f"the backups could not be looked at: {found}", remedy="open 07-backup/coverage first")
    own = dump.path_of(context.parameters, context.stamp)
    name = context.parameters.database.name
    good = [item for item in found if item.is_whole_of(name) and item.path != own]
    age = (context.facts.at - good[0].made).total_seconds() / 3600 if good else None
    if age is not None and age <= hours:
        return f"the newest verified backup is {good[0].name}", ()
    dump.refuse_without_room(context)
    why = "there is no verified backup" if age is None else f"the newest verified backup is older than {hours:g} hours"
    return f"{why}: one is taken first", dump.backup_steps(context)


def _alembic(  # noqa: PLR0917 (the migration in the order in which it is said)
    context: Context, found: Found, verb: str, before: str, after: str, why: str, *, otherwise: str = "stop"
) -> Command:
    """Return the command that brings the database from one revision to the next, in a container of the image."""
    parameters, settings = context.parameters, context.parameters.database
    of = f"{_word(before if verb == 'downgrade' else after)}-{context.stamp.lower()}"
    name, rival = f"runbook-{verb}-{of}", f"runbook-{'upgrade' if verb == 'downgrade' else 'downgrade'}-{of}"
    run = (
        "run",
        "--detach",
        "--no-deps",
        "--name",
        name,
        "--entrypoint",
        ALEMBIC[0],
        parameters.deploy.backend.services[0],
        *ALEMBIC[1:],
    )
    words = (*_chosen(context, found), *compose_argv(parameters, *run), verb, after or BEGINNING)
    argv = ("bash", "-c", scripts.MIGRATE, "migrate", name, rival, f"{parameters.deploy.lock_seconds:g}", before, after, otherwise,
            parameters.stack.container(settings.service), settings.user, settings.name, *words)  # fmt: skip
    return Command(
        argv,
        timeout=parameters.deploy.migration_seconds,
        changes=True,
        why=f"{verb} to {after or 'the beginning'}: {why}",
    )


def _chosen(context: Context, found: Found) -> tuple[str, ...]:
    pinned = found.pinned if found.digest else found.tag
    return ("env", f"{context.parameters.deploy.backend.variable}={pinned}")


def _current(context: Context, found: Found, goal: str) -> Step:
    name = f"runbook-current-{context.stamp.lower()}"
    words = in_image(context.parameters, context.parameters.deploy.backend.services[0], name, _chosen(context, found))
    command = Command(
        ("bash", "-c", scripts.CURRENT, "current", goal, name, *words),
        timeout=120,
        why=f"alembic current says {goal or 'nothing'}",
    )
    return Step("prove-current", command)


def _is_at(context: Context, known: Revisions, revision: str) -> Command:
    """Return the probe that exits 0 when the database is at a revision or above it."""
    above = [name for name in known.known if revision in known.below(name)]
    return _revision_in(context, above)


def _is_below(context: Context, known: Revisions, revision: str) -> Command:
    """Return the probe that exits 0 when the database is below a revision."""
    return _revision_in(context, [*known.below(revision)[1:], ""])


def _revision_in(context: Context, revisions: list[str]) -> Command:
    settings = context.parameters.database
    sql = "select coalesce((select version_num from alembic_version), '')"
    ask = ("docker", "exec", context.parameters.stack.container(settings.service), "psql", "--no-psqlrc", "--quiet", "--no-align", "--tuples-only",
           "--username", settings.user, "--dbname", settings.name, "--command", sql)  # fmt: skip
    return Command(("bash", "-c", IN, "revision-in", str(len(revisions)), *revisions, *ask))


IN = r"""
count=$1; shift
wanted=("${@:1:$count}"); shift "$count"
at=$("$@") || exit 1
for name in "${wanted[@]}"; do if [ "$name" = "$at" ]; then exit 0; fi; done
exit 1
"""


def _word(revision: str) -> str:
    """Return a revision as a part of a step's name.

    >>> _word("Ab_12")
    'ab-12'
    """
    return revision.lower().replace("_", "-")
