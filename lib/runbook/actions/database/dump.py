"""Backups of the database: one dump with its checksum and manifest, read to its end, on demand restored and compared. Pure.

`backup_steps` is what other plans put before a change that could lose data.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runbook.actions import shell, stack
from runbook.actions.database import proof
from runbook.changes.plan import Context, Plan, Step
from runbook.commands import Command
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Missing, dumps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook.facts.dumps import Dump, Room
    from runbook.parameters import Parameters

METHOD = re.compile(r"none|(gzip(:[1-9])?|lz4(:([1-9]|1[0-2]))?|zstd(:([1-9]|1[0-9]|2[0-2]))?)")
MOST_PROCESSES = 16
DUMP_SECONDS = 6 * 3600.0
OFF_SERVER = "it lies on the server that it protects; 07-backup/full-backup with classes=database takes one and carries it off, encrypted"
SCRATCH_FACTOR = 1.3
MEBIBYTE = 2**20


def path_of(parameters: Parameters, stamp: str, *, parallel: int = 1) -> str:
    """Given the stamp of a run, return where its dump lies: `pazpaz-20261124-110500.dump`, as the nightly script names them."""
    kind = "tar.dump" if parallel > 1 else "dump"
    return f"{dumps.folder(parameters)}/{parameters.database.name}-{stamp[:8]}-{stamp[9:15]}.{kind}"


def take(parameters: Parameters, path: str, *, compression: str = "zstd:3", parallel: int = 1) -> Command:
    """Return the command that takes a verified dump with its manifest. Where it is there already, nothing happens."""
    settings = parameters.database
    return stack.script(
        shell.text("backup.sh"), parameters.stack.container(settings.service), settings.user, settings.name, path,
        "directory" if parallel > 1 else "custom", compression, str(parallel), shell.text("counts.sql"),
        why=f"dump {settings.name} with {compression}, count every table in the same snapshot, read the dump to its end", seconds=DUMP_SECONDS,
    )  # fmt: skip


def is_there(path: str) -> Command:
    """Return the probe that exits 0 when a dump and its manifest are there; the dump is put there last."""
    return Command(("sh", "-c", 'test -s "$1" && test -s "$1.manifest.json"', "there", path), sudo=True)


def backup_steps(
    context: Context, *, name: str = "backup", compression: str = "zstd:3", parallel: int = 1, keep: bool = True
) -> tuple[Step, ...]:
    """Return the steps that take a verified backup of the database as it is now, for any plan.

    `keep`: the backup stays when the run is undone (it is what saves the day); else undo removes it. Call `refuse_without_room`
    before. The dump's place is `path_of(context.parameters, context.stamp)`.
    """
    parameters = context.parameters
    path = path_of(parameters, context.stamp, parallel=parallel)
    remove = stack.script(shell.text("remove_backup.sh"), path, why=f"remove {path} and what lies beside it")
    step = Step(
        name,
        take(parameters, path, compression=compression, parallel=parallel),
        affects=path,
        undo=() if keep else (Step("remove-backup", remove),),
        no_undo=f"the backup stays: {path}" if keep else "",
        done=is_there(path),
        output=True,
    )
    return (step,)


def backup(context: Context) -> Plan:
    """Given `compression`, `parallel` and `prove`, return the plan. Raises ParametersError, PreflightError."""
    parameters = context.parameters
    compression = str(context.values.get("compression", "zstd:3"))
    parallel = int(context.values.get("parallel", 1))
    checked(compression, parallel)
    found = refuse_without_room(context, compression=compression, parallel=parallel)
    steps = backup_steps(context, compression=compression, parallel=parallel, keep=False)
    path = path_of(parameters, context.stamp, parallel=parallel)
    if context.values.get("prove", False):
        _refuse_without_scratch(context)
        steps += proof.proof_steps(
            parameters, path, context.stamp, packed="directory" if parallel > 1 else "custom", jobs=parallel
        )
    return Plan(
        f"Back up the database {parameters.database.name}",
        parameters.target,
        context.stamp,
        steps=steps,
        basis={"database": parameters.database.name, "server": _server(context)},
        notes=(f"it will be {path}, with its checksum and its manifest beside it", *_estimates(found, compression, parallel), OFF_SERVER),
    )  # fmt: skip


def checked(compression: str, parallel: int, *, name: str = "parallel") -> None:
    """Raise ParametersError for a method of compression or a number of processes that pg_dump does not take."""
    problems = []
    if not METHOD.fullmatch(compression):
        problems.append(
            f"compression: {compression[:40]!r} is none of: none, gzip:1 to gzip:9, lz4:1 to lz4:12, zstd:1 to zstd:22"
        )
    if not 1 <= parallel <= MOST_PROCESSES:
        problems.append(f"{name}: {parallel} is not between 1 and {MOST_PROCESSES} processes")
    if problems:
        raise ParametersError("parameters", problems, remedy="mend them and run again")


def refuse_without_room(context: Context, *, compression: str = "zstd:3", parallel: int = 1) -> tuple[Dump, ...]:
    """Return the dumps that are there. Raises PreflightError when the database cannot be asked, or there is no room for one more.

    Several processes write a folder inside the database's container first, which lies on the disk of its data or beside it.
    """
    room: Room | Missing = context.facts.get("room")
    found: tuple[Dump, ...] | Missing = context.facts.get("dumps")
    for fact in (room, found, context.facts.get("databases")):
        if isinstance(fact, Missing):
            raise PreflightError(
                f"no backup can be taken: {fact.reason}", remedy="open 04-health/quick and mend the database first"
            )
    assert not isinstance(room, Missing) and not isinstance(found, Missing)  # noqa: S101, PT018 (for the type checker; refused above)
    need = needed_bytes(context, found, compression)
    if parallel > 1 and room.data_free_bytes < need:
        raise PreflightError(
            f"there is no room for a backup by several processes: {room.data_free_bytes / MEBIBYTE:.0f} MiB are free on the database's disk, about {need / MEBIBYTE:.0f} MiB are needed there meanwhile",
            remedy="take it with parallel=1, which writes nothing there; nothing was changed",
        )
    if room.dumps_free_bytes < need:
        raise PreflightError(
            f"there is no room for a backup: {room.dumps_free_bytes / MEBIBYTE:.0f} MiB are free in {dumps.folder(context.parameters)}, about {need / MEBIBYTE:.0f} MiB are needed",
            remedy="make room first: 07-backup/retention shows what may go; nothing was changed",
        )
    return found


def _refuse_without_scratch(context: Context) -> None:
    """Raise PreflightError where a second copy of the database would not fit; whether it can be asked was seen before."""
    room: Room = context.facts.get("room")
    size = context.facts.get("databases")[context.parameters.database.name].bytes
    if room.data_free_bytes < size * SCRATCH_FACTOR:
        raise PreflightError(
            f"there is no room to prove the backup: {room.data_free_bytes / MEBIBYTE:.0f} MiB are free on the database's disk, a scratch database takes about {size * SCRATCH_FACTOR / MEBIBYTE:.0f} MiB",
            remedy="make room first, or take the backup with prove=False; nothing was changed",
        )


def needed_bytes(context: Context, found: Sequence[Dump], compression: str = "zstd:3") -> int:
    """Return how much room a dump needs: the newest ones' size, times the safety factor.

    The database's own size counts where there is none, and for a dump without compression where the last ones had some.
    """
    name = context.parameters.database.name
    known = context.facts.get("databases")
    database = known[name].bytes if not isinstance(known, Missing) and name in known else 0
    packed = compression != "none"
    alike = [dump for dump in found[:3] if packed or (dump.manifest is not None and dump.manifest.method == "none")]
    newest = max((dump.bytes for dump in alike), default=0)
    return round((newest or database) * context.parameters.backup.free_space_factor)


def _server(context: Context) -> str:
    found = context.facts.get("database")
    return "" if isinstance(found, Missing) else str(found.rows("server")[0]["version"])


def _estimates(found: Sequence[Dump], compression: str, parallel: int) -> tuple[str, ...]:
    """Say what the last backup of the same kind took."""
    for dump in found:
        manifest = dump.manifest
        if manifest and manifest.method == compression and manifest.processes == parallel:
            return (f"the last one made like this took {manifest.seconds:.0f} s and {dump.bytes / MEBIBYTE:.1f} MiB",)
    return ()
