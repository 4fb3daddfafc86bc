"""Retention: what is too old goes, as a plan first: files beside their checksums, the repository's copies, and those off the server."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runbook.actions import shell, stack
from runbook.actions.backup import full, repository
from runbook.actions.backup.choices import IN_REPOSITORY, choices_of, runs_of
from runbook.changes.plan import Context, Plan, Step
from runbook.commands import Command
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Missing
from runbook.facts.repository import RepositoryRead
from runbook.facts.stored_copies import SET_ASIDE
from runbook.offhost.mirror import folder_of
from runbook.offhost.place import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.actions.backup.policy import Choice
    from runbook.facts.repository import Repository, Snapshot
    from runbook.facts.stored_copies import StoredCopies

MEGABYTE = 1_000_000


def retention(context: Context) -> Plan:
    """Given `classes`, `keep_days` and `off_server`, return the plan. Raises ParametersError, PreflightError."""
    parameters = context.parameters
    found, needs = context.facts.get("stored_copies"), context.facts.get("repository")
    for fact in (found, needs):
        if isinstance(fact, Missing):
            raise PreflightError(f"the copies could not be looked at: {fact}", remedy="open 07-backup/coverage first; nothing was changed")  # fmt: skip
    classes = full.selected_classes(parameters, str(context.values.get("classes", "")))
    days = _days(context)
    lost, taken = _lost(found, needs)
    choices = choices_of(found, parameters, context.facts.at, classes=classes, days=days)
    if lost:
        choices.pop(IN_REPOSITORY, None)
    files = _going_files(found, choices)
    runs = [choice.copy.name for choice in choices.get(IN_REPOSITORY, ()) if not choice.stays]
    gone = tuple(sorted(one.id for one in _snapshots(found) if one.run in runs))
    away = _away(context, found, needs, gone, days) if IN_REPOSITORY in choices else Extra()
    steps = _steps(context, found, needs, files, runs, gone, away, half=bool(taken and not lost))
    notes = (*away.notes, *_missed(lost))
    names = ", ".join(item.name for item in classes)
    going = [choice.copy for group in choices.values() for choice in group if not choice.stays]
    title = f"Delete {len(going)} copies of {names} that are too old" if going else f"Finish deleting copies of {names}"
    basis = {
        "go": {group: sorted(choice.copy.name for choice in rows if not choice.stays) for group, rows in choices.items()},
        "stay, proven good": {group: sum(1 for choice in rows if choice.stays and choice.copy.verified) for group, rows in choices.items()},
        "set aside": sorted(found.aside),
        "off the server only": sorted(away.go),
    }  # fmt: skip
    if not steps:
        return Plan(
            f"Retention of {names}",
            parameters.target,
            context.stamp,
            nothing="; ".join((_nothing(choices), *notes)),
            basis=basis,
        )
    return Plan(
        title, parameters.target, context.stamp, steps=tuple(steps), basis=basis,
        losses=tuple(f"{copy.name} ({copy.size_bytes / MEGABYTE:.1f} MB): made {copy.made:%Y-%m-%d}" for copy in going)
        + tuple(f"{path} ({size / MEGABYTE:.1f} MB), set aside by an earlier run" for path, size in found.aside.items())
        + ((f"{len(away.go)} copies that are only left off the server and too old",) if away.go else ()),
        notes=(*(_stays(group, rows) for group, rows in choices.items() if rows), *notes),
        tolerates=("backup.copy", "backup.size"),
    )  # fmt: skip


def _steps(  # noqa: PLR0917 (what was found to go, from each place)
    context: Context, found: StoredCopies, needs: Repository, files: tuple[str, ...], runs: list[str], gone: tuple[str, ...], away: Extra, *, half: bool
) -> list[Step]:  # fmt: skip
    """`half`: an earlier run took copies out of the repository and was cut off before it gave their room back."""
    steps: list[Step] = []
    if files:
        steps.append(_set_aside(context, files))
    if files or found.aside:
        steps.append(_delete(context, *found.aside))
    if gone:
        steps += _forget(context, needs, gone, runs)
    if gone or half:
        steps += [_prune(context, needs.group), repository.catalogue(context, needs.group)]
    if (
        context.parameters.backup.off_host is not None
        and bool(context.values.get("off_server", True))
        and (gone or away.go)
    ):
        if not gone:  # where copies are taken out here, the repository is checked before that
            steps.append(_check(context, needs.group))
        steps.append(_prune_away(context, (*gone, *away.go)))
    return steps


def _days(context: Context) -> float | None:
    """Return the notebook's `keep_days`, None where it leaves that to the params file. Raises ParametersError for what is no age."""
    days = float(context.values.get("keep_days", 0))
    if not days >= 0:  # also what is no number
        raise ParametersError("keep_days", [f"{days:g} is no age"], remedy="give days, such as 30; or 0, as the params file says for each class")  # fmt: skip
    return days or None


def _snapshots(found: StoredCopies) -> tuple[Snapshot, ...]:
    return found.repository.snapshots if found.repository else ()


@dataclass(frozen=True, slots=True)
class Extra:
    """Copies off the server that the server no longer has: those that may go, and what there is to say of the others."""

    go: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _away(context: Context, found: StoredCopies, needs: Repository, gone: tuple[str, ...], days: float | None) -> Extra:
    site = context.facts.get("off_site")
    if site is None or isinstance(site, Missing) or found.repository is None:
        return Extra(notes=(f"off the server nothing can be looked at: {site}",) if isinstance(site, Missing) else ())
    if not found.repository.whole:
        return Extra(notes=(f"off the server nothing is deleted: the server's repository is not whole ({found.repository.said or 'restic says nothing'}), so the copies there may be the last good ones",))  # fmt: skip
    folder = folder_of(needs.config_sha256)
    mine = next((one for one in site.repositories if one.folder == folder), None)
    if mine is None:
        return Extra()
    here = {one.id for one in _snapshots(found)} | set(gone)
    extra = [one for one in mine.catalogue.snapshots if one.id not in here]
    read = RepositoryRead(mine.catalogue.snapshots, whole=True, said="")
    staying = {choice.copy.name for choice in runs_of(read, context.parameters, context.facts.at, days) if choice.stays}
    stay = [one for one in extra if one.run in staying]
    if stay:
        return Extra(notes=(f"{len(stay)} copies off the server are no longer on the server and not too old: nothing is deleted there as long as they stay",))  # fmt: skip
    return Extra(tuple(sorted(one.id for one in extra)))


def _lost(found: StoredCopies, needs: Repository) -> tuple[frozenset[str], frozenset[str]]:
    """The copies that the catalogue names and the repository has no more: those that nobody took out, and those of a retention."""
    if needs.catalogue is None or found.repository is None:
        return frozenset(), frozenset()
    missing = {one.id for one in needs.catalogue.snapshots} - {one.id for one in found.repository.snapshots}
    return frozenset(missing - found.forgotten), frozenset(missing & found.forgotten)


def _missed(lost: frozenset[str]) -> tuple[str, ...]:
    if not lost:
        return ()
    named = ", ".join(sorted(one[:8] for one in lost)[:5])
    return (f"{len(lost)} copies that the catalogue names are not in the repository, and no retention took them out ({named}): as long as that is not explained, nothing goes from the repository or off the server. What they consist of is still there; 07-backup/full-backup writes the catalogue anew",)  # fmt: skip


def _going_files(found: StoredCopies, choices: Mapping[str, tuple[Choice, ...]]) -> tuple[str, ...]:
    going = {choice.copy.name for group, rows in choices.items() if group != IN_REPOSITORY for choice in rows if not choice.stays}  # fmt: skip
    listed = [file for files in found.files.values() for file in files if file.path in going]
    # what lies beside a copy goes after it, so that no copy is ever left without its checksum
    return tuple(dict.fromkeys(path for file in listed for path in (file.path, *file.beside)))


def _set_aside(context: Context, files: tuple[str, ...]) -> Step:
    folder = f"{SET_ASIDE}{context.stamp}"
    return Step(
        "set-aside",
        stack.script(shell.text("set_aside.sh"), folder, *files, why=f"move {len(files)} files into folders {folder} beside them"),
        affects=", ".join(sorted({path.rpartition("/")[0] for path in files})),
        undo=(
            Step("put-back", stack.script(shell.text("put_back_aside.sh"), folder, *files, why="move them back, as long as they are not deleted")),
        ),
        done=stack.script('for path in "$@"; do if [ -e "$path" ]; then exit 1; fi; done', *files, why="they are set aside", changes=False),
    )  # fmt: skip


def _delete(context: Context, *earlier: str) -> Step:
    directories = sorted({item.directory for item in context.parameters.backup.classes if item.directory})
    own = [f"{directory}/{SET_ASIDE}{context.stamp}" for directory in directories]
    folders = tuple(dict.fromkeys([*own, *earlier]))
    return Step(
        "delete",
        stack.script('set -eu; for folder in "$@"; do case "$folder" in */set-aside-*) rm -rf -- "$folder" ;; esac; done', *folders, why="delete what was set aside"),
        affects=", ".join(folders),
        no_undo="what is deleted is gone; the copies that stay are proven good",
    )  # fmt: skip


def _forget(context: Context, needs: Repository, gone: tuple[str, ...], runs: list[str]) -> list[Step]:
    store = context.parameters.backup.repository
    files = [
        f"{repository.manifests(context.parameters)}/{run}{end}" for run in runs for end in (".json", ".objects.jsonl")
    ]
    words = (str(len(gone)), *gone, *files)
    out = stack.script(
        'store=$1; shift; for id in "$@"; do if [ -e "$store/snapshots/$id" ]; then exit 1; fi; done',
        store,
        *gone,
        why="they are out",
        changes=False,
    )
    back = repository.command(
        context, needs.group, "remember", *words, why="put them back, as long as their room is not given back"
    )
    return [
        Step(
            "forget",
            repository.command(context, needs.group, "forget", *words, why=f"check the repository, then take {len(gone)} copies of {len(runs)} runs out of it"),
            affects=store,
            undo=(Step("remember", back), repository.catalogue(context, needs.group)),
            done=out,
        )
    ]  # fmt: skip


def _prune(context: Context, group: str) -> Step:
    return Step(
        "prune",
        repository.command(context, group, "prune_marked", why="give back the room of what was taken out, and check what is left"),
        affects=context.parameters.backup.repository,
        no_undo="the room is given back; the copies that stay were checked",
        done=Command(("test", "-e", f"{context.work}/pruned"), sudo=True, why="pruned"),
        output=True,
    )  # fmt: skip


def _check(context: Context, group: str) -> Step:
    return Step(
        "check-repository",
        repository.command(context, group, "check", why="check the server's repository: what it lacks by mistake must not go off the server, too", seconds=repository.CHECK_SECONDS),
        no_undo="it only reads",
        output=True,
    )  # fmt: skip


def _prune_away(context: Context, gone: tuple[str, ...]) -> Step:
    carried = repository.carry(context, read_back=False)
    place = shown(str(context.parameters.backup.off_host))
    why = f"delete off the server, too, what the repository no longer has: {place}"
    command = Command(("rsync", "--archive", "--delete", *carried.command.argv[3:]), changes=True, why=why)
    local = dict(carried.local or {}) | {"call": "prune", "gone": sorted(gone)}
    return replace(carried, name="prune-off-host", command=command, local=local, no_undo="what is deleted there is gone; nothing goes there that is not gone here")  # fmt: skip


def _stays(group: str, rows: tuple[Choice, ...]) -> str:
    stay = [choice for choice in rows if choice.stays]
    proven = sum(1 for choice in stay if choice.copy.verified)
    return f"{group}: {len(stay)} of {len(rows)} stay, {proven} of them proven good just now"


def _nothing(choices: Mapping[str, tuple[Choice, ...]]) -> str:
    return (
        "nothing is too old that may go ("
        + "; ".join(_stays(group, rows) for group, rows in choices.items() if rows)
        + ")"
    )
