"""Restore the database from a dump: into a new database, proven there, swapped in by rename; the old one is kept. Pure.

At no step does a failure leave the service without its old data: nothing is stopped before the new database is proven, the
swap is one transaction, and a failure after it brings the old one back.

Longer than 300 lines: it is one procedure, told from its beginning to its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runbook.actions import shell, stack
from runbook.actions.database import dump, proof
from runbook.changes.plan import Context, Plan, Step
from runbook.commands import Command
from runbook.errors import PreflightError
from runbook.facts import Missing
from runbook.facts.compose import compose_argv
from runbook.facts.dump_candidates import fault, wanted

if TYPE_CHECKING:
    from runbook.facts.dump_candidates import DumpCandidates, InspectedDump
    from runbook.facts.dumps import Dump, Manifest, OneDatabase, Room
    from runbook.facts.revisions import Revisions
    from runbook.parameters import Parameters

SWITCH_SECONDS = 180.0
DOWN_SECONDS = 15.0
GROWTH = 1.3  # a restored database with its indexes, against the size that it had
UNPACKED = 8  # how much larger than its dump a database may be, where no manifest tells
# nothing is left to do once the old database has its dated name; else the comment says how far the new one is
FAR_ENOUGH = r"""container=$1 role=$2 new=$3 before=$4; shift 4
said=$(docker exec "$container" psql -qAtX -U "$role" -d postgres -c "select datname || ' ' || coalesce(shobj_description(oid, 'pg_database'), '') from pg_database") || exit 1
printf '%s\n' "$said" | grep -q "^$before " && exit 0
for words in "$@"; do printf '%s\n' "$said" | grep -qxF "$new $words" && exit 0; done
exit 1"""
AT_REVISION = r"""container=$1 role=$2 new=$3 before=$4 revision=$5
docker exec "$container" psql -qAtX -U "$role" -d postgres -c "select datname from pg_database" | grep -qx "$before" && exit 0
[ "$(docker exec "$container" psql -qAtX -U "$role" -d "$new" -c 'select version_num from alembic_version')" = "$revision" ]"""


@dataclass(frozen=True, slots=True)
class Names:
    """The databases of one restore, by the time of the run."""

    current: str
    new: str
    before: str
    undone: str

    @classmethod
    def of(cls, parameters: Parameters, stamp: str) -> Names:
        """Given the run's stamp, return the names."""
        name, time = parameters.database.name, stamp.lower()
        return cls(name, f"{name}_new_{time}", f"{name}_before_{time}", f"{name}_undone_{time}")


@dataclass(frozen=True, slots=True)
class Goal:
    """What is restored: the dump, its manifest if it has one, and the migrations that it needs afterwards, oldest first."""

    dump: InspectedDump
    manifest: Manifest | None
    revision: str
    pending: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def format(self) -> str:
        """The format of pg_dump."""
        return "custom" if self.manifest is None else self.manifest.format


def restore(context: Context) -> Plan:
    """Given `backup`, `jobs` and `safety_backup`, return the plan. Raises ParametersError, PreflightError."""
    parameters = context.parameters
    jobs = int(context.values.get("jobs", 1))
    dump.checked("none", jobs, name="jobs")
    known: dict[str, OneDatabase] | Missing = context.facts.get("databases")
    if isinstance(known, Missing):
        raise PreflightError(f"the database server does not answer: {known.reason}", remedy="mend it first: 02-services/status")  # fmt: skip
    names = Names.of(parameters, context.stamp)
    goal = choose(context)
    under_way = names.new in known or names.before in known
    safe = bool(context.values.get("safety_backup", True)) and names.current in known
    if not under_way:
        _refuse_without_room(context, goal, safe=safe)
    steps = (
        *(dump.backup_steps(context, name="safety-backup") if safe else ()),
        *restore_steps(parameters, names, goal, jobs=jobs),
        *_swap_steps(parameters, names, goal),
        *((_compare(context, names),) if safe else ()),
    )
    return Plan(
        f"Restore the database {names.current} from {goal.dump.name}",
        parameters.target,
        context.stamp,
        steps=steps,
        basis={"backup": goal.dump.path, "sha256": goal.dump.sha256, "revision": goal.revision, "pending": list(goal.pending), "safety": safe},
        pinned={"backup": goal.dump.name},
        losses=_losses(names, goal, known),
        notes=(*goal.notes, *_notes(names, safe=safe, known=known)),
        automatic_undo=True,
    )  # fmt: skip


def choose(context: Context) -> Goal:
    """Return the dump to restore from. Raises PreflightError that says of every dump looked at why it is refused."""
    name = wanted(context.values)
    found: DumpCandidates | Missing = context.facts.get("dump_candidates")
    listed: tuple[Dump, ...] | Missing = context.facts.get("dumps")
    for fact in (found, listed):
        if isinstance(fact, Missing):
            raise PreflightError(f"the dumps could not be looked at: {fact.reason}", remedy="open 07-backup/coverage; nothing was changed")  # fmt: skip
    assert not isinstance(found, Missing) and not isinstance(listed, Missing)  # noqa: S101, PT018 (for the type checker; refused above)
    faults = {one.name: fault(one, context.parameters) for one in found.looked}
    good = next((one for one in found.looked if not faults[one.name]), None)
    if good is None:
        said = "".join(f"\n  - {one.name}: {faults[one.name]}" for one in found.looked)
        what = f"there is no backup {name}" if name else "there is no backup"
        raise PreflightError(
            f"no backup can be restored from:{said}" if said else what,
            remedy="choose another one from the table with backup=NAME; nothing was stopped and nothing was changed",
        )
    manifest = next((one.manifest for one in listed if one.path == good.path), None)
    revision = good.revision
    skipped = tuple(f"{one.name} is newer, but {faults[one.name]}" for one in found.looked if faults[one.name])
    pending, told = fitting(context, revision, found.revisions)
    without = () if manifest else ("no manifest lies beside it, so nothing says what must be in it: it counts as proven when it was restored to its end and holds every expected table; its rows are told before anything is stopped",)  # fmt: skip
    return Goal(good, manifest, revision, pending, (*skipped, *without, *told))


def fitting(context: Context, revision: str, known: Revisions | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Given a dump's revision, return the migrations that it needs for the running release, and what to say of it.

    An older schema is brought up in the new database, before the swap. Raises PreflightError for a revision that the
    running release does not know, and for an older one where nobody can say what the release knows.
    """
    current = _current_revision(context)
    if revision == current:
        return (), ()
    if known is None:
        raise PreflightError(
            f"the dump is at revision {revision}, the database at {current or 'none that can be read'}, and the running release does not say which revisions it knows",
            remedy="make its container run (or its image available) first, then run again; nothing was changed",
        )
    if revision not in known.known:
        raise PreflightError(
            f"the dump is at revision {revision}, which the running release does not know (it knows {', '.join(sorted(known.known))})",
            remedy="deploy the release that made it first (03-deploy/backend), or choose another backup; nothing was changed",
        )
    goal = (
        current
        if current in known.known and revision in known.below(current)
        else (known.heads[0] if known.heads and not current else revision)
    )
    pending = known.between(revision, goal)
    if not pending:
        return (), (f"the dump is at revision {revision}, the database is at {current or 'none'}: the release knows both",)  # fmt: skip
    listed = "; ".join(f"{name} {known.known[name][1]}".strip() for name in pending)
    return pending, (f"the dump is at the older revision {revision}: after it is proven, and before anything is stopped, the new database is migrated: {listed}",)  # fmt: skip


def _current_revision(context: Context) -> str:
    found = context.facts.get("database")
    if isinstance(found, Missing) or "revision" in found.unanswered:
        return ""
    rows = found.rows("revision")
    return str(rows[0]["revision"]) if len(rows) == 1 else ""


def _refuse_without_room(context: Context, goal: Goal, *, safe: bool) -> None:
    """Raise PreflightError where a second copy of the database, and a backup of the one there is, do not fit."""
    room: Room | Missing = context.facts.get("room")
    known = context.facts.get("databases")
    if isinstance(room, Missing):
        raise PreflightError(f"how much room there is could not be seen: {room.reason}", remedy="open 04-health/quick")
    current = known[context.parameters.database.name].bytes if context.parameters.database.name in known else 0
    size = goal.manifest.database_bytes if goal.manifest else max(current, goal.dump.bytes * UNPACKED)
    copy = round(size * GROWTH)
    saved = dump.needed_bytes(context, context.facts.get("dumps")) if safe else 0
    short = [
        f"{place} has {free / dump.MEBIBYTE:.0f} MiB free, and {need / dump.MEBIBYTE:.0f} MiB are needed for {what}"
        for place, free, need, what in (
            ("the folder of backups", room.dumps_free_bytes, saved + copy if room.shared else saved, "a backup of the database as it is" + (" and the second copy" if room.shared else "")),
            ("the database's disk", room.data_free_bytes, copy, "the second copy"),
        )
        if free < need
    ]  # fmt: skip
    if short:
        raise PreflightError(
            f"there is no room: {'; '.join(short)}",
            remedy="make room first (07-backup/retention, 06-database/maintain); nothing was stopped and nothing was changed",
        )


def restore_steps(parameters: Parameters, names: Names, goal: Goal, *, jobs: int = 1) -> tuple[Step, ...]:
    """Return the steps that restore a dump into a new database and prove it there; the application's own is not touched."""
    settings = parameters.database
    container = parameters.stack.container(settings.service)
    manifest = f"{goal.dump.path}.manifest.json" if goal.manifest else ""
    counts = shell.text("counts.sql")
    unmake = stack.script(
        shell.text("unmake.sh"), container, settings.user, names.new, names.undone, counts, manifest,
        why=f"drop {names.new}, or keep it as {names.undone} if it was written to", seconds=proof.RESTORE_SECONDS,
    )  # fmt: skip
    steps = [
        Step(
            "restore-new",
            proof.restore_into(parameters, names.new, goal.dump.path, goal.dump.sha256, goal.format, jobs=jobs),
            affects=names.new,
            undo=(Step("unmake-new", unmake),),
            done=_reached(parameters, names, f"runbook: restored {goal.dump.sha256}", f"runbook: proven {goal.dump.sha256}"),
        ),
        Step(
            "prove-new",
            proof.prove(parameters, names.new, goal.dump.sha256, manifest),
            affects=names.new,
            no_undo="it only marks the new database",
            done=_reached(parameters, names, f"runbook: proven {goal.dump.sha256}"),
            output=True,
        ),
    ]  # fmt: skip
    if goal.pending:
        steps.append(_migrate(parameters, names, goal))
    return tuple(steps)


def _reached(parameters: Parameters, names: Names, *comments: str) -> Command:
    """Return the probe that exits 0 when the new database has one of these comments, or was swapped in already."""
    settings = parameters.database
    words = (parameters.stack.container(settings.service), settings.user, names.new, names.before, *comments)
    return Command(("bash", "-c", FAR_ENOUGH, "reached", *words))


def _migrate(parameters: Parameters, names: Names, goal: Goal) -> Step:
    settings = parameters.database
    service = settings.writers[0]
    container = parameters.stack.container(settings.service)
    run = compose_argv(parameters, "run", "--rm", "--no-deps", "-T", service)
    command = stack.script(
        shell.text("migrate.sh"), parameters.stack.container(service), container, settings.user, names.new, goal.pending[-1], *run,
        why=f"migrate {names.new} from {goal.revision} to {goal.pending[-1]}, which the running release works with", seconds=3600,
    )  # fmt: skip
    at = Command(("bash", "-c", AT_REVISION, "at", container, settings.user, names.new, names.before, goal.pending[-1]))
    return Step("migrate-new", command, affects=names.new, no_undo="it goes with the new database", done=at)


def _swap_steps(parameters: Parameters, names: Names, goal: Goal) -> tuple[Step, ...]:
    """Return the swap and the proofs that users are served from the restored database."""
    settings = parameters.database
    writers = settings.writers
    containers = stack.containers(parameters, writers)
    words = (
        parameters.stack.container(settings.service),
        settings.user,
        names.current,
        names.new,
        names.before,
        *containers,
    )
    back = stack.script(
        shell.text("switch_back.sh"), *words, why=f"stop {' and '.join(writers)}, give the old database its name back, start them", seconds=SWITCH_SECONDS,
    )  # fmt: skip
    switch = Step(
        "switch",
        stack.script(
            shell.text("switch.sh"), *words, seconds=SWITCH_SECONDS,
            why=f"stop {' and '.join(writers)}, rename {names.current} to {names.before} and {names.new} to {names.current} in one transaction, start them",
        ),
        affects=f"{', '.join(writers)}, {names.current}",
        downtime_seconds=DOWN_SECONDS,
        undo=(Step("switch-back", back, downtime_seconds=DOWN_SECONDS), stack.healthy(parameters, writers, name="wait-back")),
        evidence=stack.evidence(parameters, (settings.service, *writers)),
    )  # fmt: skip
    at = goal.pending[-1] if goal.pending else goal.revision
    seen = Command(
        ("docker", "exec", words[0], "psql", "-qAtX", "-U", settings.user, "-d", names.current, "-c", f"select 1 / (version_num = '{at}')::int from alembic_version"),  # noqa: S608 (the revision was read from a dump and is checked by dump_candidates.REVISION)
        why=f"{names.current} is at revision {at}",
    )  # fmt: skip
    return (
        switch,
        stack.healthy(parameters, writers, name="wait-writers"),
        Step("prove-revision", seen),
        *stack.served(parameters),
    )


def _compare(context: Context, names: Names) -> Step:
    parameters = context.parameters
    settings = parameters.database
    saved = f"{dump.path_of(parameters, context.stamp)}.manifest.json"
    command = stack.script(
        shell.text("compare.sh"), parameters.stack.container(settings.service), settings.user, names.before, shell.text("counts.sql"), saved,
        why="tell what was written to the old database after its backup", seconds=3600, changes=False,
    )  # fmt: skip
    return Step("tell-late-rows", command, output=True)


def _losses(names: Names, goal: Goal, known: dict[str, OneDatabase]) -> tuple[str, ...]:
    made = goal.manifest.made if goal.manifest else None
    when = f"{made:%Y-%m-%d %H:%M} UTC" if made else f"{goal.dump.name} was made"
    kept = f"; it stays in the old database, kept as {names.before}" if names.current in known else ""
    return (f"what was written since {when} is not in the restored database{kept}",)


def _notes(names: Names, *, safe: bool, known: dict[str, OneDatabase]) -> tuple[str, ...]:
    notes = []
    if names.current in known:
        size = known[names.current].bytes / dump.MEBIBYTE
        notes.append(
            f"the old database ({size:.0f} MiB) is kept as {names.before} until it is dropped on purpose, with 06-database/maintain"
        )
    if not safe:
        notes.append("no backup of the database as it is now is taken" + ("" if names.current in known else ": there is none"))  # fmt: skip
    if known.get(names.current) and known[names.current].sessions:
        notes.append(f"open sessions are ended at the swap; there are {known[names.current].sessions} now")
    notes.append(
        "where a step fails, or the checks are worse afterwards, the old database is brought back without asking"
    )
    return tuple(notes)
