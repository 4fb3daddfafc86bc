"""Uploads back from the repository: all of them into an empty volume that is swapped in, or one object through the store. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.actions import stack
from runbook.actions.backup import repository
from runbook.changes.plan import Context, Plan, Step
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Missing
from runbook.facts.repository import MANIFEST, RUN

if TYPE_CHECKING:
    from runbook.facts.repository import Catalogue, Repository, Snapshot
    from runbook.parameters import BackupClass, Parameters

ALL = "all"
SWAP_SECONDS = 15.0
LONGEST_KEY = 1024  # bytes, as S3 has it


def restore(context: Context) -> Plan:
    """Given `upload` ("all" or a key) and `backup` (a run), return the plan. Raises ParametersError, PreflightError."""
    parameters = context.parameters
    found: Repository | Missing = context.facts.get("repository")
    if isinstance(found, Missing):
        raise PreflightError(f"the repository could not be looked at: {found}", remedy="open 07-backup/coverage first")
    wanted = str(context.values.get("upload", "")).strip()
    if not wanted or len(wanted.encode()) > LONGEST_KEY or "\0" in wanted:
        raise ParametersError("upload", ['name the key of one object, or "all"'], remedy="keys stand in the manifest beside the backups (….objects.jsonl)")  # fmt: skip
    item = _uploads(parameters)
    chosen = _copy(found.catalogue, item, str(context.values.get("backup", "")).strip())
    if chosen is None:
        return Plan(
            "Put uploads back",
            parameters.target,
            context.stamp,
            nothing="the repository holds no verified copy of uploads; make one: 07-backup/full-backup",
        )
    copy, listing = chosen
    basis = {"upload": wanted, "copy": copy.id, "listing": listing.id, "volume": item.sources[0]}
    pinned = {"backup": copy.run}
    made = f"{copy.time:%Y-%m-%d %H:%M} UTC"
    if wanted == ALL:
        return Plan(
            f"Put all uploads back as they were at {made}", parameters.target, context.stamp,
            steps=_all(context, found.group, item, copy, listing), basis=basis, pinned=pinned, automatic_undo=True,
            losses=(f"uploads since {made} are no longer served; they stay on the server beside the volume, in _data.before-{context.stamp}",),
        )  # fmt: skip
    return Plan(
        f"Put {wanted} back as it was at {made}", parameters.target, context.stamp,
        steps=_one(context, found.group, item, copy, listing, wanted), basis=basis, pinned=pinned, automatic_undo=True,
        losses=(f"the content that {wanted} has now, if it has one; it is kept in {context.work} first",),
    )  # fmt: skip


def _uploads(parameters: Parameters) -> BackupClass:
    item = next((item for item in parameters.backup.classes if item.kind == "uploads" and len(item.sources) == 1), None)
    if item is None:
        raise PreflightError("the params file names no class of uploads with one volume", remedy="see backup.classes in params/production.example.yaml")  # fmt: skip
    return item


def _copy(catalogue: Catalogue | None, item: BackupClass, run: str) -> tuple[Snapshot, Snapshot] | None:
    """Return the copy to use and the manifest of its run, which lists the objects; None where there is no copy at all."""
    if run and not RUN.fullmatch(run):
        raise ParametersError("backup", [f"{run[:60]!r} is not the time of a run"], remedy="write it as in the table: 20261124T110500Z")  # fmt: skip
    copies = [one for one in catalogue.copies(item.name) if catalogue.verified(one)] if catalogue is not None else []
    copy = next((one for one in copies if run in {"", one.run}), None)
    if copy is None and run:
        known = ", ".join(one.run for one in copies[:8]) or "none"
        raise PreflightError(f"the run {run} has no verified copy of {item.name}; there are: {known}", remedy="name one of these, or none for the newest")  # fmt: skip
    if copy is None or catalogue is None:
        return None
    return copy, next(one for one in catalogue.copies(MANIFEST) if one.run == copy.run)


def _fetch(context: Context, group: str, item: BackupClass, copy: Snapshot) -> Step:
    return Step(
        "fetch-copy",
        repository.command(context, group, "uploads_fetch", copy.id, item.sources[0], why="restore the copy into an empty folder beside the volume, owners kept, and compare it"),
        affects=f"_data.new-{context.stamp} beside the volume {item.sources[0]}",
        undo=(Step("remove-copy", repository.command(context, group, "uploads_clean", item.sources[0], why="remove what was restored beside the volume")),),
        done=repository.marked(context, "fetched"),
    )  # fmt: skip


def _all(context: Context, group: str, item: BackupClass, copy: Snapshot, listing: Snapshot) -> tuple[Step, ...]:
    parameters = context.parameters
    service = parameters.backup.objects.service
    store, reader = (parameters.stack.container(name) for name in (service, parameters.backup.objects.reader))
    volume = item.sources[0]
    back = Step(
        "swap-back",
        repository.command(
            context,
            group,
            "uploads_swap",
            volume,
            store,
            "back",
            why="put the folder from before back; the one that was put in stays as _data.undone",
        ),
    )
    return (
        _fetch(context, group, item, copy),
        Step(
            "swap",
            repository.command(context, group, "uploads_swap", volume, store, "in", why=f"stop {service}, put the copy in place of the volume's folder (kept as _data.before-{context.stamp}), start {service}"),
            affects=service, downtime_seconds=SWAP_SECONDS,
            undo=(back, stack.healthy(parameters, [service], name="wait-back")),
            done=repository.marked(context, "swapped"), evidence=stack.evidence(parameters, [service]),
        ),
        stack.healthy(parameters, [service], name=f"wait-{service}"),
        *stack.served(parameters),
        Step(
            "compare",
            repository.command(context, group, "uploads_compare", listing.id, reader, repository.server_python("server_objects"), why="compare every object with the manifest, read through the store"),
            no_undo="it only reads", output=True,
        ),
    )  # fmt: skip


def _one(  # noqa: PLR0917 (as `_all`, and the key)
    context: Context, group: str, item: BackupClass, copy: Snapshot, listing: Snapshot, key: str
) -> tuple[Step, ...]:
    parameters = context.parameters
    store, reader = (
        parameters.stack.container(name)
        for name in (parameters.backup.objects.service, parameters.backup.objects.reader)
    )
    script = repository.server_python("server_object")
    words = (listing.id, item.sources[0], store, reader, script, key)
    put_back = repository.command(
        context, group, "uploads_one_back", reader, script, key, why=f"give {key} the content that it had, or remove it"
    )
    return (
        _fetch(context, group, item, copy),
        Step(
            "put-object",
            repository.command(context, group, "uploads_one", *words, why=f"keep what {key} is now, then put it back from the copy through the store, and compare its SHA-256"),
            affects=key, undo=(Step("put-object-back", put_back),), done=repository.marked(context, "put"), output=True,
            evidence=stack.evidence(parameters, [parameters.backup.objects.service]),
        ),
        Step(
            "clean", repository.command(context, group, "uploads_clean", item.sources[0], why="remove what was restored beside the volume"),
            no_undo="it is in the repository",
        ),
    )  # fmt: skip
