"""Carrying a repository's files: from the server to a place, and from a place to a new server. Resumable, checked, in chunks."""

from __future__ import annotations

import datetime as dt
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from runbook.commands import Command
from runbook.connection.transfer import Transfer
from runbook.errors import ConnectionFailed, RunbookError
from runbook.offhost.place import at, sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from runbook.connection import Connection
    from runbook.offhost.place import Place

# a pack is there before the index that names it, and both before the snapshot that needs them
ORDER = ("data", "index", "keys", "config", "snapshots")
NAME = re.compile(r"config|(data/[0-9a-f]{2}|index|keys|snapshots)/[0-9a-f]{64}", re.ASCII)
FORMAT = 1
ATTEMPTS = 5
LIST_SECONDS = 120.0
TELL_SECONDS = 5.0
MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Repository:
    """What lies on the server: name -> bytes of each file, and the SHA-256 of `config`, which tells repositories apart."""

    path: str
    files: Mapping[str, int]
    config_sha256: str

    @property
    def folder(self) -> str:
        """Its folder at a place."""
        return folder_of(self.config_sha256)

    def sha256(self, name: str) -> str:
        """The SHA-256 that a file must have: its own name, but for `config`."""
        return self.config_sha256 if name == "config" else name.rpartition("/")[2]


def folder_of(config_sha256: str) -> str:
    """Given the SHA-256 of a repository's `config`, return its folder's name at a place."""
    return f"repository-{config_sha256[:12]}"


def ordered(names: Iterable[str]) -> list[str]:
    """Given names of files, return them in the order in which they may appear at a place."""
    return sorted(names, key=lambda name: (ORDER.index(name.partition("/")[0]), name))


def parse_listing(text: str) -> dict[str, int]:
    """Given lines of `find -printf '%s %P'`, return name -> bytes of a repository's files; locks and parts are left out."""
    rows = (line.partition(" ") for line in text.splitlines())
    return {name: int(size) for size, _, name in rows if NAME.fullmatch(name)}


def look(connection: Connection, repository: str) -> Repository:
    """Return what lies in the server's repository, as the login user sees it. Raises CommandError."""
    found = connection.run_all({
        "list": Command(("find", repository, "-type", "f", "-printf", "%s %P\\n"), timeout=LIST_SECONDS),
        "config": Command(("sha256sum", f"{repository}/config")),
    })  # fmt: skip
    for result in found.values():
        if not result.ok:
            said = (result.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise RunbookError(
                f"the repository {repository} cannot be read by the login user: {said[:200]}",
                remedy="run 07-backup/full-backup again: it gives the login user's group the right to read",
            )
    return Repository(repository, parse_listing(found["list"].stdout), found["config"].stdout.split()[0].lstrip("\\"))


def mirror(connection: Connection, arguments: Mapping[str, Any], say: Callable[[str], None]) -> str:
    """Bring every file of the server's repository to a place, and say what was done.

    `arguments`: repository, catalogue (paths on the server), place, options, target, read_back (hash what is there already).
    Nothing is removed there, and what is there is only replaced by what is proven. Raises RunbookError.
    """
    place = at(str(arguments["place"]), arguments.get("options"))
    repository = look(connection, str(arguments["repository"]))
    folder = repository.folder
    there = place.listing(folder)
    damaged = wrong(place, repository, there) if arguments.get("read_back", True) else _wrong_size(repository, there)
    wanted = ordered(name for name in repository.files if name not in there or name in damaged)
    # what is damaged there stays until the server's own has arrived and is proven: the server's may be the damaged one
    sent = _carry(
        connection, wanted, say, [repository.files[name] for name in wanted], lambda transfer, name: place.write(
            f"{folder}/{name}", transfer.fetch(f"{repository.path}/{name}", size=repository.files[name]), sha256=repository.sha256(name)
        ),
    )  # fmt: skip
    _conclude(connection, place, repository, arguments)
    extra = len([name for name in place.listing(folder) if NAME.fullmatch(name) and name not in repository.files])
    parts = [
        f"{len(repository.files)} files, {_size(sum(repository.files.values()))}, are at {place.name}/{folder}",
        f"{len(wanted)} of them ({_size(sent)}) were copied now, each checked against its SHA-256",
        f"{len(damaged)} that were damaged there were replaced: {', '.join(damaged[:3])}" if damaged else "",
        f"{extra} more are there that the server no longer has" if extra else "",
    ]
    return "; ".join(part for part in parts if part)


def wrong(place: Place, repository: Repository, there: Mapping[str, int]) -> list[str]:
    """Return the files at a place whose content is not what their name says, every one read."""
    found = _wrong_size(repository, there)
    folder = repository.folder
    whole = [name for name in there if name in repository.files and name not in found]
    return found + [name for name in whole if sha256(place.read(f"{folder}/{name}")) != repository.sha256(name)]


def _wrong_size(repository: Repository, there: Mapping[str, int]) -> list[str]:
    return [name for name, size in repository.files.items() if name in there and there[name] != size]


def _carry(
    connection: Connection, names: list[str], say: Callable[[str], None], sizes: list[int], one: Callable[[Transfer, str], None]
) -> int:  # fmt: skip
    """Carry files one after another; a connection that breaks is opened again, a few times for each file."""
    total, done, left, failed = sum(sizes), 0, list(zip(names, sizes, strict=True)), 0
    told = time.monotonic()
    while left:
        try:
            with Transfer(connection.settings) as transfer:
                while left:
                    name, size = left[0]
                    one(transfer, name)
                    left.pop(0)
                    done, failed = done + size, 0
                    if time.monotonic() - told > TELL_SECONDS:
                        say(f"   {len(names) - len(left)} of {len(names)} files, {_size(done)} of {_size(total)}")
                        told = time.monotonic()
        except ConnectionFailed as error:
            failed += 1
            if failed >= ATTEMPTS:
                raise
            say(f"   {error.reason}; trying again")
            time.sleep(failed)
    return done


def _conclude(connection: Connection, place: Place, repository: Repository, arguments: Mapping[str, Any]) -> None:
    """Write what a place holds beside it, when it is all there."""
    catalogue = orjson.loads(connection.run(Command(("cat", str(arguments["catalogue"])))).stdout)
    about = {
        "format": FORMAT,
        "target": arguments["target"],
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "repository": repository.path,
        "config_sha256": repository.config_sha256,
        "files": len(repository.files),
        "bytes": sum(repository.files.values()),
        "catalogue": catalogue,
    }
    place.write(f"{repository.folder}/files.json", [orjson.dumps(dict(repository.files), option=orjson.OPT_SORT_KEYS)])
    place.write(f"{repository.folder}/mirror.json", [orjson.dumps(about, option=orjson.OPT_INDENT_2)])


def prune(connection: Connection, arguments: Mapping[str, Any], say: Callable[[str], None]) -> str:
    """Bring a place up to date, then delete there what the repository no longer has, and say what was done.

    `arguments`: those of `mirror`, and `gone`: the snapshots that may go. Where any other one is missing on the server, nothing
    is deleted: the copies off the server are what is left when the server's are lost. What snapshots consist of is only known
    to restic: let it check the server's repository before. Raises RunbookError.
    """
    carried = mirror(connection, {**arguments, "read_back": False}, say)
    place = at(str(arguments["place"]), arguments.get("options"))
    repository = look(connection, str(arguments["repository"]))
    there = {name: size for name, size in place.listing(repository.folder).items() if NAME.fullmatch(name)}
    extra = [name for name in there if name not in repository.files]
    unexpected = [name for name in extra if name.startswith("snapshots/") and name.partition("/")[2] not in set(arguments["gone"])]  # fmt: skip
    if unexpected:
        return f"{carried}; nothing was deleted there: {len(unexpected)} copies are there that the server has no more and that are not too old (taken back, or lost): as long as they stay, they are kept with all that is beside them"
    if not any(name.startswith("snapshots/") for name in repository.files):
        return f"{carried}; nothing was deleted there: the server's repository is empty"
    for name in reversed(ordered(extra)):  # a snapshot goes before what it consists of
        place.remove(f"{repository.folder}/{name}")
    return f"{carried}; {len(extra)} files ({_size(sum(there[name] for name in extra))}) were deleted there"


def problems(place: Place, folder: str, *, seconds: float) -> str:
    """Say what is wrong with a repository's files at a place; empty where they are as they were brought there.

    In a folder every file is read, for at most so many seconds; elsewhere only names and sizes are compared.
    """
    try:
        kept: dict[str, int] = orjson.loads(b"".join(place.read(f"{folder}/files.json")))
        config = orjson.loads(b"".join(place.read(f"{folder}/mirror.json")))["config_sha256"]
    except (FileNotFoundError, ValueError, KeyError) as error:
        return f"what should be there cannot be read ({type(error).__name__})"
    there = place.listing(folder)
    absent = [name for name in kept if there.get(name) != kept[name]]
    if absent:
        return f"{len(absent)} of {len(kept)} files are missing or cut: {absent[0]}"
    if place.free_bytes() is None:
        return ""
    repository, deadline = Repository("", kept, config), time.monotonic() + seconds
    for name in kept:
        if time.monotonic() > deadline:
            return f"not all of it could be read within {seconds:g} s"
        if sha256(place.read(f"{folder}/{name}")) != repository.sha256(name):
            return f"{name} is damaged: its content is not what its name says"
    return ""


def fill(connection: Connection, arguments: Mapping[str, Any], say: Callable[[str], None]) -> str:
    """Bring a repository from a place to a new server, and say what was done: the way back, for disaster recovery.

    `arguments`: place, options, folder (at the place), repository (path on the server, in a folder that the login user may
    write to). Raises RunbookError.
    """
    place = at(str(arguments["place"]), arguments.get("options"))
    folder, path = str(arguments["folder"]), str(arguments["repository"])
    about = orjson.loads(b"".join(place.read(f"{folder}/mirror.json")))
    files = {name: size for name, size in place.listing(folder).items() if NAME.fullmatch(name)}
    repository = Repository(path, files, about["config_sha256"])
    asked = Command(
        ("sh", "-c", 'cd "$0" 2>/dev/null || exit 0; find . -type f ! -name "*.part" -printf "%s %P\\n"', path)
    )
    there = parse_listing(connection.run(asked).stdout)
    wanted = ordered(name for name, size in files.items() if there.get(name) != size)
    sent = _carry(
        connection, wanted, say, [files[name] for name in wanted],
        lambda transfer, name: transfer.send(f"{path}/{name}", _checked(place, folder, name, repository.sha256(name))),
    )  # fmt: skip
    return f"{len(files)} files are in {path}; {len(wanted)} of them ({_size(sent)}) were copied now"


def _checked(place: Place, folder: str, name: str, wanted: str) -> Iterable[bytes]:
    """Yield a file's content; raise RunbookError at its end where it is not what its name says, so that it is not kept."""
    import hashlib  # noqa: PLC0415 (only for recovery)

    digest = hashlib.sha256()
    for chunk in place.read(f"{folder}/{name}"):
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != wanted:
        raise RunbookError(
            f"{place.name}/{folder}/{name} is damaged: its SHA-256 is another one than its name",
            remedy="take another copy: restic -r FOLDER check --read-data names what is lost",
        )


def _size(size: int) -> str:
    return f"{size / MEGABYTE:.1f} MB"
