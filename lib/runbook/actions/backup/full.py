"""A full backup: database, configuration, certificates and uploads into the encrypted repository, proven, and off the server. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbook.actions import stack
from runbook.actions.backup import repository
from runbook.actions.database import dump
from runbook.changes.plan import Context, Plan, Step
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Missing
from runbook.offhost.place import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook.facts.dumps import Dump
    from runbook.facts.repository import OffSite, Repository
    from runbook.parameters import BackupClass, Parameters

OLDEST_RESTIC = (0, 16)  # the first that waits for a lock (--retry-lock)
FROZEN_SECONDS = 3.0  # how long the object store of a small installation stands still
MEGABYTE = 1_000_000


def full(context: Context) -> Plan:
    """Given `classes`, return the plan of a full backup. Raises ParametersError, PreflightError."""
    parameters = context.parameters
    found = context.facts.get("repository")
    away = context.facts.get("off_site")
    if isinstance(found, Missing):
        raise PreflightError(f"what a backup needs could not be looked at: {found}", remedy="mend that, then run again")
    classes = selected_classes(parameters, str(context.values.get("classes", "")))
    carries = bool(context.values.get("off_server", True))
    dumps = _dumps(context)
    made = any(one.path == dump.path_of(parameters, context.stamp) for one in dumps)  # by the run that is resumed
    dumped = any(item.kind == "database" for item in classes)
    # the dump stays, as a rule beside the repository, and is copied into it
    room = dump.needed_bytes(context, dumps) * (1 if made else 2) if dumped else 0
    _applies(found, away, classes, parameters, carries=carries, room=room)
    if dumped and not made:
        dump.refuse_without_room(context)
    steps: list[Step] = [repository.set_password(context), repository.prepare(context, found.group)]
    pairs: list[str] = []
    path = ""
    for item in classes:
        if item.kind == "database":
            path = dump.path_of(parameters, context.stamp)
            steps += [_without_path(step) for step in dump.backup_steps(context, name="dump-database", keep=False)]
            files = (path, f"{path}.sha256", f"{path}.manifest.json")
            what = "the dump with its checksum and its manifest"
            steps.append(repository.snapshot(context, found.group, item.name, *files, what=what))
            pairs += [item.name, path]
        elif item.kind == "uploads":
            steps += _uploads(context, found.group, item)
        else:
            steps.append(repository.snapshot(context, found.group, item.name, *item.sources))
            pairs += [word for source in item.sources for word in (item.name, source)]
    steps += [
        repository.check(context, found.group, *pairs),
        repository.manifest(context, found.group, path),
        repository.catalogue(context, found.group),
    ]
    if carries:
        steps.append(repository.carry(context, read_back=bool(context.values.get("read_back", True))))
    names = ", ".join(item.name for item in classes)
    return Plan(
        f"Full backup of {names}" + (f", and off the server to {shown(str(parameters.backup.off_host))}" if carries else ", on the server only"),
        parameters.target,
        context.stamp,
        steps=tuple(steps),
        basis={
            "classes": [item.name for item in classes],
            "repository": "there" if found.exists else "to be made",
            "restic": found.restic,
            "missing": [source for item in classes for source in item.sources if found.source_bytes.get(source) is None],
        },
        notes=_notes(found, away, classes, parameters),
        tolerates=("backup",),
    )  # fmt: skip


def selected_classes(parameters: Parameters, text: str) -> tuple[BackupClass, ...]:
    """Given "database, uploads" (empty: all), return the classes in their order. Raises ParametersError."""
    known = [item.name for item in parameters.backup.classes]
    wanted = [word.strip() for word in text.split(",") if word.strip()] or known
    unknown = sorted(set(wanted) - set(known))
    if unknown or not known:
        problem = f"{', '.join(unknown)[:120] or 'nothing'}: no such class of backups; there are: {', '.join(known) or 'none'}"  # fmt: skip
        raise ParametersError("classes", [problem], remedy="name classes of the params file, separated by commas")
    return tuple(item for item in parameters.backup.classes if item.name in wanted)


def _dumps(context: Context) -> tuple[Dump, ...]:
    """Return the dumps that are there; none where they could not be looked at, which is refused elsewhere."""
    found: tuple[Dump, ...] | Missing = context.facts.get("dumps")
    return () if isinstance(found, Missing) else found


def password_problem(away: OffSite | Missing | None, parameters: Parameters) -> str:
    """Why the repository's password cannot be had; empty where it can."""
    if parameters.backup.repository_password is None:
        return "no password is named for the repository (backup.repository_password)"
    return away.password_error if away is not None and not isinstance(away, Missing) else ""


def restic_problem(version: str) -> str:
    """Why the server's restic cannot be used; empty where it can."""
    if not version:
        return "restic is not installed on the server: sudo apt-get install restic"
    try:
        number = tuple(int(part) for part in version.split(".")[:2])
    except ValueError:
        return f"the server's restic gives no version: {version[:40]!r}"
    wanted = ".".join(map(str, OLDEST_RESTIC))
    return "" if number >= OLDEST_RESTIC else f"restic {version} on the server is too old; {wanted} or newer is needed: sudo restic self-update"  # fmt: skip


def _applies(
    found: Repository, away: OffSite | Missing | None, classes: Sequence[BackupClass], parameters: Parameters, *, carries: bool, room: int
) -> None:  # fmt: skip
    """Raise PreflightError that names everything that is in the way. `room`: bytes for the dump of the database."""
    problems = [restic_problem(found.restic), password_problem(away, parameters)]
    lacking = [source for item in classes for source in item.sources if found.source_bytes.get(source) is None]
    if lacking:
        problems.append(f"not there, so not to be copied: {', '.join(lacking)}")
    wanted = room + int(sum(found.source_bytes.get(source) or 0 for item in classes for source in item.sources) * parameters.backup.free_space_factor)  # fmt: skip
    if found.free_bytes < wanted:
        problems.append(f"{found.free_bytes // MEGABYTE} MB are free where the repository lies, {wanted // MEGABYTE} MB may be needed")  # fmt: skip
    if carries and parameters.backup.off_host is None:
        problems.append("no place off the server is named (backup.off_host); off_server=False makes a copy on the server only")  # fmt: skip
    if carries and isinstance(away, Missing):
        problems.append(f"the place off the server cannot be used: {away}")
    against = [problem for problem in problems if problem]
    if against:
        raise PreflightError(
            "a full backup cannot be made:\n" + "\n".join(f"  - {problem}" for problem in against),
            remedy="mend what is listed, then run again; nothing was changed",
        )


def _notes(
    found: Repository, away: OffSite | Missing | None, classes: Sequence[BackupClass], parameters: Parameters
) -> tuple[str, ...]:  # fmt: skip
    notes = []
    if not found.exists:
        notes.append("the repository is made now. Keep its password where the server's loss cannot reach it: without it every copy is worthless")  # fmt: skip
    if any(item.kind == "uploads" for item in classes) and parameters.backup.quiesce:
        notes.append("the object store is frozen for the seconds in which its volume is copied: uploads and downloads wait so long")  # fmt: skip
    if away is not None and not isinstance(away, Missing) and away.unreadable:
        notes.append(f"unreadable at the place off the server: {', '.join(away.unreadable)}")
    return tuple(notes)


def _without_path(step: Step) -> Step:
    """Say in fewer words how the dump is taken back: its name has the run's time in it, and a table would break it."""
    undo = tuple(replace(taken, command=replace(taken.command, why="remove the dump again")) for taken in step.undo)
    return replace(step, undo=undo)


def _uploads(context: Context, group: str, item: BackupClass) -> tuple[Step, ...]:
    parameters = context.parameters
    service = parameters.backup.objects.service
    container = parameters.stack.container(service)
    freeze = parameters.backup.quiesce
    thaw = Step(
        "thaw", stack.script(THAW, container, why=f"let {service} go on, where it is frozen"), no_undo="it runs"
    )
    copied = Step(
        f"copy-{item.name}",
        repository.command(
            context, group, "snapshot_volume", item.name, container, "yes" if freeze else "no", *item.sources,
            why=f"put the volume {', '.join(item.sources)} into the repository" + (f", {service} frozen meanwhile" if freeze else ""),
        ),
        affects=service,
        downtime_seconds=FROZEN_SECONDS if freeze else 0,
        undo=(thaw, repository.forget(context, group, item.name)),
        done=repository.marked(context, f"snapshot-{item.name}.json"),
        output=True,
    )  # fmt: skip
    reader = parameters.stack.container(parameters.backup.objects.reader)
    listed = Step(
        "list-objects",
        repository.command(
            context, group, "list_objects", item.name, reader, repository.server_python("server_objects"),
            why=f"list every object that was there with its SHA-256, read through {parameters.backup.objects.reader}",
        ),
        no_undo="it only reads",
        done=repository.marked(context, "objects.jsonl"),
        output=True,
    )  # fmt: skip
    return copied, stack.healthy(parameters, [service], name=f"wait-{service}"), listed


THAW = """
if [ "$(docker inspect --format '{{.State.Paused}}' "$1" 2>/dev/null)" = true ]; then docker unpause "$1" >/dev/null; fi
"""
