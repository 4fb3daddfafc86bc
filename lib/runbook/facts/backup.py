"""Backups as they really lie there: every copy, and the newest ones read through to their end."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from runbook.commands import Command
from runbook.errors import ParseError, RunbookError
from runbook.facts import Fact, LocalFact, dump_candidates, repository

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.facts.dump_candidates import InspectedDump
    from runbook.parameters import BackupClass, Parameters

FIELDS = 6
FORMAT = "%y\\0%m\\0%u\\0%s\\0%T@\\0%p\\0"
SIDECARS = (".sha256", ".json", ".part", ".tmp")
REPOSITORY = "repository:all"  # no class has this name: a colon is none of the characters that are kept of one
# newest first; each is hashed, compared with the checksum beside it, and read to its end by the tool that would restore it
READ_THROUGH = r"""directory=$1 pattern=$2 most=$3 container=$4 enough=${5:-1}
find "$directory" -maxdepth 1 -type f -name "$pattern" ! -name '*.sha256' ! -name '*.json' ! -name '*.part' -printf '%T@\t%p\n' |
sort -rn | head -n "$most" | cut -f2- | while IFS= read -r file; do
  sum=$(sha256sum < "$file" | cut -c1-64)
  if [ -f "$file.sha256" ]; then kept=$(cut -c1-64 "$file.sha256"); else kept=none; fi
  case "$file" in
    *.tar.dump) said=$(tar --list --file "$file" 2>&1 >/dev/null); code=$? ;; # the parts of a directory dump; its checksum vouches for them
    *.dump) said=$(docker exec --interactive "$container" sh -c 'pg_restore --file /dev/null; code=$?; cat >/dev/null; exit "$code"' < "$file" 2>&1); code=$? ;; # drained: the Docker client fails where nobody reads
    *.tar.gz|*.tgz) said=$(tar --gzip --list --file "$file" 2>&1 >/dev/null); code=$? ;;
    *.gz) said=$(gzip --test "$file" 2>&1); code=$? ;;
    *.tar) said=$(tar --list --file "$file" 2>&1 >/dev/null); code=$? ;;
    *) said=; code=unread ;;
  esac
  printf '%s\t%s\t%s\t%s\t%s\n' "$file" "$sum" "$kept" "$code" "$(printf %s "$said" | tail -n 1 | tr '\t' ' ' | cut -c1-200)"
  if [ "$code" = 0 ] && { [ "$kept" = none ] || [ "$kept" = "$sum" ]; }; then enough=$((enough - 1)); [ "$enough" -gt 0 ] || break; fi
done
exit 0"""
RECORD_FIELDS = 5


@dataclass(frozen=True, slots=True)
class Copy:
    """One file of a class of backups. `has_checksum`: a checksum lies beside it."""

    path: str
    size_bytes: int
    modified: dt.datetime
    mode: str
    owner: str
    has_checksum: bool


@dataclass(frozen=True, slots=True)
class ReadThrough:
    """What came of reading a copy to its end.

    `read` is None where it was not read: `said` holds why, or nothing where
    no tool knows the format.
    """

    path: str
    sha256: str
    checksum_matches: bool | None
    read: bool | None
    said: str
    fault: str = ""

    @property
    def good(self) -> bool:
        """Whether it could be restored from, as far as reading can tell; `fault` is what speaks against a dump of the database."""
        return self.read is not False and self.checksum_matches is not False and not self.fault


def _directories(parameters: Parameters) -> list[str]:
    return sorted({item.directory for item in parameters.backup.classes if item.directory})


def copies_commands(parameters: Parameters) -> dict[str, Command]:
    """List the folders of all classes, NUL-separated."""
    directories = _directories(parameters)
    if not directories:
        return {}
    # exit code 1: a folder does not exist, which is a finding and not a failure
    return {
        "list": Command(("find", *directories, "-maxdepth", "1", "-type", "f", "-printf", FORMAT), sudo=True, expect={0: "ok", 1: "some do not exist"}, timeout=30),
        "catalogue": repository.catalogue_command(parameters),
        "snapshots": Command(("find", f"{parameters.backup.repository}/snapshots", "-type", "f", "-printf", "%f\\n"), sudo=True, expect={0: "ok", 1: "there is no repository"}, timeout=30),
    }  # fmt: skip


def parse_copies(results: Mapping[str, Result], parameters: Parameters) -> dict[str, tuple[Copy, ...]]:
    """Return the copies of every class, newest first. Raises ParseError when a folder could not be read."""
    if "list" not in results:
        return {item.name: () for item in parameters.backup.classes}
    result = results["list"]
    odd = [line for line in result.stderr.splitlines() if "No such file" not in line]
    if odd:
        raise ParseError("find", odd[0])
    fields = result.stdout.split("\0")[:-1]
    if len(fields) % FIELDS:
        raise ParseError("find", result.stdout[-200:])
    rows = [fields[start : start + FIELDS] for start in range(0, len(fields), FIELDS)]
    paths = {row[5] for row in rows}
    copies = [
        Copy(path, int(size), dt.datetime.fromtimestamp(float(seconds), dt.UTC), f"{int(mode, 8):04o}", owner, f"{path}.sha256" in paths)
        for _kind, mode, owner, size, seconds, path in rows
        if not path.endswith(SIDECARS)
    ]  # fmt: skip
    kept = _in_repository(results)
    return {
        item.name: tuple(
            sorted(
                [*kept.get(item.name, ()), *(copy for copy in copies if _belongs(copy, item))],
                key=lambda copy: copy.modified,
                reverse=True,
            )
        )
        for item in parameters.backup.classes
    }


def repository_copy(run: str, snapshot: str) -> str:
    """Given run and snapshot, return how a copy in the repository is called where others have a path."""
    return f"restic:{run}:{snapshot[:8]}"


def _in_repository(results: Mapping[str, Result]) -> dict[str, list[Copy]]:
    """The copies in the encrypted repository: those that its catalogue calls verified and whose snapshot is there."""
    if "catalogue" not in results:
        return {}
    catalogue = repository.parse_catalogue(results["catalogue"])
    there = set(results["snapshots"].stdout.split())
    found: dict[str, list[Copy]] = {}
    for one in catalogue.snapshots if catalogue is not None else ():
        if one.id in there and catalogue is not None and catalogue.verified(one):
            copy = Copy(repository_copy(one.run, one.id), one.size_bytes, one.time, "0640", "root", has_checksum=True)
            found.setdefault(one.kind, []).append(copy)
    return found


def _belongs(copy: Copy, item: BackupClass) -> bool:
    folder, _, name = copy.path.rpartition("/")
    return folder == item.directory and fnmatchcase(name, item.pattern)


copies = Fact("copies", copies_commands, parse_copies)


def read_through_commands(parameters: Parameters) -> dict[str, Command]:
    """Read the newest copies of every class until one is good; bounded in number and time."""
    settings = parameters.backup
    container = parameters.stack.container(parameters.database.service)
    most = settings.read_through
    found = {
        re.sub(r"\W", "_", item.name): Command(
            dump_candidates.look_words(parameters, item.directory, item.pattern, "", most) if item.kind == "database"
            else ("sh", "-c", READ_THROUGH, "sh", item.directory, item.pattern, str(most), container),
            sudo=True, timeout=settings.verify_timeout_seconds,
        )
        for item in settings.classes if item.directory
    }  # fmt: skip
    return found | {REPOSITORY: repository.read_command(parameters)}


def parse_read_through(results: Mapping[str, Result], parameters: Parameters) -> dict[str, tuple[ReadThrough, ...]]:
    """Return what was read of every class, newest first; nothing for a class without copies."""
    found = {
        item.name: _read_class(item, results.get(re.sub(r"\W", "_", item.name)), parameters)
        for item in parameters.backup.classes
    }
    if REPOSITORY in results:
        for kind, proof in _proven(repository.parse_read(results[REPOSITORY])).items():
            if kind in found:
                found[kind] += (proof,)
    return found


def _read_class(item: BackupClass, result: Result | None, parameters: Parameters) -> tuple[ReadThrough, ...]:
    if result is None or item.kind != "database":
        return read_files(result)
    return tuple(_of_dump(one, parameters) for one in dump_candidates.parse_inspected_dumps(result))


def _of_dump(dump: InspectedDump, parameters: Parameters) -> ReadThrough:
    """Return what came of looking at a dump; where its reader was away, nothing is known of it."""
    away = not dump.read and dump.said.startswith(dump_candidates.READER_AWAY)
    kept = dump.beside or dump.in_manifest
    return ReadThrough(
        dump.path, dump.sha256, kept == dump.sha256 if kept else None, None if away else dump.read, dump.said,
        fault="" if away else dump_candidates.fault(dump, parameters),
    )  # fmt: skip


def read_files(result: Result | None) -> tuple[ReadThrough, ...]:
    """Read the lines of READ_THROUGH: the files in the order in which they were read. Raises ParseError."""
    records = [line.split("\t") for line in result.stdout.splitlines()] if result else []
    if any(len(record) != RECORD_FIELDS for record in records):
        raise ParseError("the copies that were read", str(records[-1]))
    return tuple(
        ReadThrough(
            path=path,
            sha256=digest,
            checksum_matches=None if kept == "none" else kept == digest,
            read=None if code == "unread" or said.startswith(dump_candidates.READER_AWAY) else code == "0",
            said=said,
        )
        for path, digest, kept, code, said in records
    )


def _proven(read: repository.RepositoryRead | None) -> dict[str, ReadThrough]:
    """Say of the newest verified copy of each class whether the repository that holds it was read and found whole."""
    if read is None:
        return {}
    whole = {one.run for one in read.snapshots if one.kind == repository.MANIFEST}
    newest: dict[str, repository.Snapshot] = {}
    for one in sorted(read.snapshots, key=lambda one: one.time):
        if one.run in whole:
            newest[one.kind] = one
    return {
        kind: ReadThrough(repository_copy(one.run, one.id), one.id, read.whole, read.whole, read.said)
        for kind, one in newest.items()
    }


read_through = Fact("read_through", read_through_commands, parse_read_through)


@dataclass(frozen=True, slots=True)
class AwayCopy:
    """The newest copy of a class at its place off the server; `error` says why the place cannot be looked at."""

    place: str
    name: str = ""
    size_bytes: int = 0
    modified: dt.datetime | None = None
    error: str = ""
    damaged: str = ""


def look_off_host(parameters: Parameters) -> dict[str, AwayCopy]:
    """Look at the place off the server: the folder that a class names, or the one where the repository's files are.

    Files of a repository in a folder are read and compared with their checksums; elsewhere only their sizes are looked at.
    """
    settings = parameters.backup
    found = _away_repository(parameters) if settings.off_host else {}
    return found | {item.name: _away(item, item.off_host) for item in settings.classes if item.off_host}


def _away_repository(parameters: Parameters) -> dict[str, AwayCopy]:
    from runbook.offhost import mirror, place  # noqa: PLC0415 (only where copies off the server are looked at)

    names = [item.name for item in parameters.backup.classes]
    where = place.shown(str(parameters.backup.off_host))
    try:
        site = repository.look_off_site(parameters)
        mine = [one for one in site.repositories if one.target == parameters.target] if site is not None else []
        found = dict.fromkeys(names, AwayCopy(where))
        if not mine:
            return found
        newest = mine[0]
        at = place.at(str(parameters.backup.off_host), parameters.backup.off_host_options)
        damaged = mirror.problems(at, newest.folder, seconds=parameters.backup.verify_timeout_seconds)
    except RunbookError as error:
        return dict.fromkeys(names, AwayCopy(where, error=error.reason))
    for name in names:
        copies = [one for one in newest.catalogue.copies(name) if newest.catalogue.verified(one)]
        if copies:
            one = copies[0]
            found[name] = AwayCopy(f"{where}/{newest.folder}", repository_copy(one.run, one.id), one.size_bytes, one.time, damaged=damaged)  # fmt: skip
    return found


def _away(item: BackupClass, place: str) -> AwayCopy:
    if "://" in place and not place.startswith("file://"):
        return AwayCopy(place, error="only folders of this machine can be looked at yet")
    folder = Path(place.removeprefix("file://")).expanduser()
    try:
        files = [
            (file.stat(), file) for file in folder.iterdir() if file.is_file() and fnmatchcase(file.name, item.pattern)
        ]
    except OSError as error:
        return AwayCopy(place, error=f"cannot be read: {error.strerror}")
    kept = [(stat, file) for stat, file in files if not file.name.endswith(SIDECARS)]
    if not kept:
        return AwayCopy(place)
    stat, newest = max(kept, key=lambda pair: pair[0].st_mtime)
    return AwayCopy(place, newest.name, stat.st_size, dt.datetime.fromtimestamp(stat.st_mtime, dt.UTC))


off_host = LocalFact("off_host", look_off_host)
