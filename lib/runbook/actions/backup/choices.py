"""Every copy judged: the files of each class, and the runs in the repository, which go as a whole or not at all. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbook.actions.backup.policy import Choice, Copy, Policy, choose
from runbook.facts.dump_candidates import fault
from runbook.facts.repository import MANIFEST
from runbook.facts.stored_copies import named

if TYPE_CHECKING:
    import datetime as dt

    from runbook.facts.repository import RepositoryRead
    from runbook.facts.stored_copies import StoredCopies
    from runbook.parameters import BackupClass, Parameters

IN_REPOSITORY = "repository"
UNFINISHED = "its run did not come to its end"


def choices_of(
    found: StoredCopies, parameters: Parameters, now: dt.datetime, *, classes: tuple[BackupClass, ...] = (), days: float | None = None
) -> dict[str, tuple[Choice, ...]]:  # fmt: skip
    """Given every copy, return what stays and what goes: the files of each class, and the runs of the repository."""
    settings = parameters.backup
    wanted = classes or settings.classes
    rows: dict[str, tuple[Choice, ...]] = {}
    for item in wanted:
        policy = Policy(days or item.retention_days, settings.keep_verified)
        rows[item.name] = choose(_files(found, item, parameters), now, policy)
    if found.repository is not None and len(wanted) == len(settings.classes):
        rows[IN_REPOSITORY] = runs_of(found.repository, parameters, now, days)
    return rows


def _files(found: StoredCopies, item: BackupClass, parameters: Parameters) -> list[Copy]:
    if item.kind == "database":
        why = {one.path: fault(one, parameters) for one in found.looked}
        good = {one.path for one in found.looked if one.read and not why[one.path]}
    else:
        read = found.read.get(item.name, ())
        good = {one.path for one in read if one.read and one.good}
        why = {one.path: one.said for one in read}
    return [
        Copy(
            file.path, tuple(date for date in (file.modified, file.named) if date is not None), file.size_bytes,
            file.path in good, "" if file.path in good else why.get(file.path) or "not read now",
        )
        for file in found.files.get(item.name, ())
    ]  # fmt: skip


def runs_of(read: RepositoryRead, parameters: Parameters, now: dt.datetime, days: float | None) -> tuple[Choice, ...]:
    """Judge each class in the repository; a run goes only when the copies of all its classes may go."""
    settings = parameters.backup
    finished = {one.run for one in read.snapshots if one.kind == MANIFEST}
    known = {item.name: item for item in settings.classes}
    runs: dict[str, list[Choice]] = {}
    for kind in sorted({one.kind for one in read.snapshots} - {MANIFEST}):
        item = known.get(kind)
        policy = Policy(days or (item.retention_days if item else max((c.retention_days for c in settings.classes), default=30)), settings.keep_verified)  # fmt: skip
        copies = [
            Copy(
                one.run, (one.time, *([began] if (began := named(one.run)) else ())), one.size_bytes,
                read.whole and one.run in finished, "" if one.run in finished else UNFINISHED,
            )
            for one in read.snapshots if one.kind == kind
        ]  # fmt: skip
        for choice in choose(copies, now, policy):
            runs.setdefault(choice.copy.name, []).append(choice)
    return tuple(_together(rows) for _, rows in sorted(runs.items(), reverse=True))


def _together(rows: list[Choice]) -> Choice:
    staying = next((row for row in rows if row.stays), None)
    size = sum(row.copy.size_bytes for row in rows)
    dates = tuple(date for row in rows for date in row.copy.dates)
    chosen = staying or rows[0]
    return replace(chosen, copy=replace(chosen.copy, size_bytes=size, dates=dates, verified=all(row.copy.verified for row in rows)))  # fmt: skip
