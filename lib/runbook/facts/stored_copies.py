"""Every copy of every class, with what decides whether it may go: its dates, its size, and what reading it now has proven."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from runbook.commands import Command
from runbook.facts import STATE_FOLDER, Fact, backup, dump_candidates, repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.facts.backup import ReadThrough
    from runbook.facts.dump_candidates import InspectedDump
    from runbook.parameters import BackupClass, Parameters

MOST = 1000  # copies of a class that are read at most, the newest first, until enough of them are good
SET_ASIDE = "set-aside-"  # begins the names of folders in which an earlier retention has put what was to go
NAMED = re.compile(r"(?<!\d)(\d{4})-?(\d\d)-?(\d\d)[T_-]?(?:(\d\d)-?(\d\d)-?(\d\d))?")
ASIDE = r"""find "$@" -mindepth 1 -maxdepth 1 -type d -name 'set-aside-*' -print0 2>/dev/null | while IFS= read -r -d '' folder; do
  printf '%s\t%s\n' "$(du -sb "$folder" | cut -f1)" "$folder"
done"""

# what shell/forget.sh keeps of the copies that it takes out of the repository: each under its own id
FORGOTTEN = r"""[ -d "$1" ] || exit 0
exec find "$1" -mindepth 3 -maxdepth 3 -type f -path '*/forgotten/*' -printf '%f\n'"""
ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class File:
    """One file of a class. `size_bytes` includes what lies beside it and goes with it."""

    path: str
    size_bytes: int
    modified: dt.datetime
    named: dt.datetime | None
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredCopies:
    """Everything that retention looks at.

    Attributes:
        files: the files of each class.
        looked: dumps of the database that were read now.
        read: files of other classes that were read now.
        repository: what came of reading the repository; None where there is none.
        aside: folders with what an earlier run has set aside and not yet deleted, and their bytes.
        forgotten: ids of the copies that a retention has taken out of the repository, as its run's folder says.
    """

    files: Mapping[str, tuple[File, ...]]
    looked: tuple[InspectedDump, ...]
    read: Mapping[str, tuple[ReadThrough, ...]]
    repository: repository.RepositoryRead | None
    aside: Mapping[str, int]
    forgotten: frozenset[str] = frozenset()


def named(path: str) -> dt.datetime | None:
    """Given a file's path, return the date in its name; None where there is none, or none that a calendar knows.

    >>> named("/b/pazpaz-20261124-110500.dump")
    datetime.datetime(2026, 11, 24, 11, 5, tzinfo=datetime.timezone.utc)
    """
    found = NAMED.search(path.rpartition("/")[2])
    if found is None:
        return None
    try:
        return dt.datetime(*(int(part or 0) for part in found.groups()), tzinfo=dt.UTC)  # type: ignore[misc, arg-type]  # six numbers
    except ValueError:
        return None


def _probe(item: BackupClass) -> str:
    return "read:" + re.sub(r"\W", "_", item.name)


def stored_copies_commands(parameters: Parameters) -> dict[str, Command]:
    """List all files, and read the newest of each class until as many are good as must stay."""
    settings = parameters.backup
    container = parameters.stack.container(parameters.database.service)
    directories = sorted({item.directory for item in settings.classes if item.directory})
    asked = {
        "list": backup.copies_commands(parameters)["list"],
        "repository": repository.read_command(parameters),
        "aside": Command(("bash", "-c", ASIDE, "aside", *directories), sudo=True),
        "forgotten": Command(("sh", "-c", FORGOTTEN, "forgotten", STATE_FOLDER), sudo=True),
    }
    for item in settings.classes:
        if item.directory is None:
            continue
        enough = str(settings.keep_verified)
        words: tuple[str, ...]
        if item.kind == "database":
            words = dump_candidates.look_words(
                parameters, item.directory, item.pattern, "", MOST, enough=settings.keep_verified
            )
        else:
            words = ("sh", "-c", backup.READ_THROUGH, "sh", item.directory, item.pattern, str(MOST), container, enough)
        asked[_probe(item)] = Command(words, sudo=True, timeout=settings.verify_timeout_seconds)
    return asked


def parse_stored_copies(results: Mapping[str, Result], parameters: Parameters) -> StoredCopies:
    """Return all copies. Raises ParseError."""
    copies = backup.parse_copies({"list": results["list"]}, parameters)
    listed = results["list"].stdout.split("\0")[:-1]
    sizes = {listed[at + 5]: int(listed[at + 3]) for at in range(0, len(listed), backup.FIELDS)}
    files: dict[str, tuple[File, ...]] = {}
    looked: tuple[InspectedDump, ...] = ()
    read: dict[str, tuple[ReadThrough, ...]] = {}
    for item in parameters.backup.classes:
        files[item.name] = tuple(_file(copy, sizes, item) for copy in copies[item.name])
        answer = results.get(_probe(item))
        if answer is not None and item.kind == "database":
            looked += dump_candidates.parse_inspected_dumps(answer)
        elif answer is not None:
            read[item.name] = backup.read_files(answer)
    rows = (line.partition("\t") for line in results["aside"].stdout.splitlines())
    aside = {path: int(size) for size, _, path in rows}
    forgotten = frozenset(name for name in results["forgotten"].stdout.splitlines() if ID.fullmatch(name))
    return StoredCopies(files, looked, read, repository.parse_read(results["repository"]), aside, forgotten)


def _file(copy: backup.Copy, sizes: Mapping[str, int], item: BackupClass) -> File:
    beside = tuple(
        sorted(
            path
            for path in sizes
            if path.startswith(f"{copy.path}.") and not (fnmatchcase(path.rpartition("/")[2], item.pattern) and not path.endswith(backup.SIDECARS))
        )
    )  # fmt: skip
    size = copy.size_bytes + sum(sizes[path] for path in beside)
    return File(copy.path, size, copy.modified, named(copy.path), beside)


stored_copies = Fact("stored_copies", stored_copies_commands, parse_stored_copies)
