"""Dumps of the database with what lies beside them, the room there is for more, and the databases of the server.

A dump's manifest (`<dump>.manifest.json`) is written by `actions/shell/backup.sh`; the nightly script of the server only
writes a checksum. Nothing here reads a dump itself: that is `facts/chosen.py`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import BackupClass, Parameters

FIELDS = 7
VERSION = 1
SHA256_DIGITS = 64
STAMP = re.compile(r"(?<!\d)2\d{3}(0[1-9]|1[0-2])(0[1-9]|[12]\d)-([01]\d|2[0-3])[0-5]\d[0-5]\d(?!\d)")
# NUL-separated: path, bytes, seconds since 1970, mode, owner, checksum beside it, manifest beside it
LIST = r"""directory=$1 pattern=$2
[ -d "$directory" ] || exit 1
find "$directory" -maxdepth 1 -type f -name "$pattern" ! -name '*.part' -print0 | while IFS= read -r -d '' file; do
  stat --printf '%n\0%s\0%Y\0%a\0%U\0' "$file" || continue
  [ ! -f "$file.sha256" ] || head -c 64 "$file.sha256"
  printf '\0'
  [ ! -f "$file.manifest.json" ] || head -c 4000000 "$file.manifest.json" | tr -d '\0'
  printf '\0'
done"""
# device and free bytes, of the folder and of the data directory inside the container; busybox has this stat too
ROOM = r"""folder=$1 container=$2 role=$3
until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
stat -c %d "$folder" && stat -f -c '%a %S' "$folder" || exit 1
data=$(docker exec --env PGCONNECT_TIMEOUT=5 "$container" psql -qAtX -U "$role" -d postgres -c 'show data_directory') || exit 1
docker exec "$container" stat -c %d "$data" && docker exec "$container" stat -f -c '%a %S' "$data" """
DATABASES = """select coalesce(jsonb_agg(jsonb_build_object('name', datname, 'bytes', pg_database_size(oid), 'comment', shobj_description(oid, 'pg_database'),
 'sessions', (select count(*) from pg_stat_activity a where a.datid = d.oid and a.backend_type = 'client backend')) order by datname), '[]')
 from pg_database d where not datistemplate"""


@dataclass(frozen=True, slots=True)
class Content:
    """What a table held: its number of rows, and a checksum that does not depend on their order."""

    rows: int
    checksum: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a dump must hold, as seen in the snapshot that it was taken from.

    `seconds` is the time of pg_dump; `proven` is when it was restored into a scratch database and compared, if ever.
    """

    file: str
    bytes: int
    sha256: str
    format: str
    method: str
    processes: int
    pg_dump: str
    made: dt.datetime
    seconds: float
    verified: dt.datetime
    proven: dt.datetime | None
    database: str
    server_version: str
    database_bytes: int
    revision: str
    tables: dict[str, Content]

    @property
    def rows(self) -> int:
        """Rows of all tables together."""
        return sum(table.rows for table in self.tables.values())


@dataclass(frozen=True, slots=True)
class Dump:
    """One dump in the folder. `checksum` is the one beside it ("" where none is); `problem` says why a manifest cannot be used."""

    path: str
    bytes: int
    modified: dt.datetime
    mode: str
    owner: str
    checksum: str
    manifest: Manifest | None
    problem: str = ""

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]

    @property
    def made(self) -> dt.datetime:
        """When it was taken, as its manifest says; else its name; else when the file was written."""
        if self.manifest is not None:
            return self.manifest.made
        named = STAMP.search(self.name)
        return dt.datetime.strptime(f"{named[0]}+0000", "%Y%m%d-%H%M%S%z") if named else self.modified

    @property
    def verified(self) -> dt.datetime | None:
        """When it was proven last, by reading it to its end or by restoring it; None where nobody says so."""
        return None if self.manifest is None else self.manifest.proven or self.manifest.verified

    def is_whole_of(self, database: str) -> bool:
        """Whether it was verified when it was made, holds this database, and still has the size and checksum of its manifest.

        That its bytes are still the same only reading it can tell (`facts/chosen.py`).
        """
        manifest = self.manifest
        if manifest is None or self.problem:
            return False
        return (self.bytes, self.checksum, database) == (manifest.bytes, manifest.sha256, manifest.database)


def of_database(parameters: Parameters) -> BackupClass | None:
    """Return the class of backups that the database's dumps belong to; None where the params file names none."""
    return next((item for item in parameters.backup.classes if item.kind == "database" and item.directory), None)


def folder(parameters: Parameters) -> str:
    """Return the folder of the dumps."""
    found = of_database(parameters)
    return found.directory if found is not None and found.directory else parameters.backup.directory


def dumps_commands(parameters: Parameters) -> dict[str, Command]:
    """List the folder with what lies beside each dump."""
    found = of_database(parameters)
    pattern = found.pattern if found is not None else "*.dump"
    argv = ("bash", "-c", LIST, "list", folder(parameters), pattern)
    return {"list": Command(argv, sudo=True, expect={0: "ok", 1: "no such folder"}, timeout=60)}


def parse_dumps(results: Mapping[str, Result], _parameters: Parameters) -> tuple[Dump, ...]:
    """Return the dumps, the one taken last first; none where there is no folder."""
    fields = results["list"].stdout.split("\0")[:-1]
    if len(fields) % FIELDS:
        raise ParseError("the list of dumps", results["list"].stdout[-200:])
    rows = [fields[start : start + FIELDS] for start in range(0, len(fields), FIELDS)]
    return tuple(sorted((_dump(*row) for row in rows), key=lambda dump: (dump.made, dump.name), reverse=True))


def _dump(path: str, size: str, seconds: str, mode: str, owner: str, checksum: str, manifest: str) -> Dump:  # noqa: PLR0917 (the fields of LIST, in their order)
    about = (path, int(size), dt.datetime.fromtimestamp(int(seconds), dt.UTC), f"{int(mode, 8):04o}", owner)
    kept = checksum.strip().lower()
    if not manifest.strip():
        return Dump(*about, kept, None)
    try:
        return Dump(*about, kept, read_manifest(manifest))
    except ParseError as error:
        return Dump(*about, kept, None, error.reason)


def read_manifest(text: str) -> Manifest:
    """Given a manifest's text, return it. Raises ParseError for what is none."""
    try:
        data: dict[str, Any] = json.loads(text)
        content = data["content"]
        if data["manifest"] != VERSION or len(data["sha256"]) != SHA256_DIGITS:
            raise ParseError("a manifest", text[:120])
        return Manifest(
            file=str(data["file"]), bytes=int(data["bytes"]), sha256=str(data["sha256"]), format=str(data["format"]), method=str(data["method"]),
            processes=int(data["processes"]), pg_dump=str(data["pg_dump"]), made=_time(data["made"]), seconds=float(data["seconds"]),
            verified=_time(data["verified"]["at"]), proven=_time(data["proven"]["at"]) if data["proven"] else None,
            database=str(content["database"]), server_version=str(content["server_version"]), database_bytes=int(content["database_bytes"]),
            revision=str(content["revision"] or ""),
            tables={name: Content(int(table["rows"]), str(table["checksum"])) for name, table in content["tables"].items()},
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ParseError("a manifest", text[:120]) from None


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


dumps = Fact("dumps", dumps_commands, parse_dumps)


@dataclass(frozen=True, slots=True)
class Room:
    """Free bytes for dumps and for the database's data; `shared`: both lie on one filesystem."""

    dumps_free_bytes: int
    data_free_bytes: int
    shared: bool

    def as_json(self) -> dict[str, Any]:
        """Return what is kept of it in a record."""
        return {"dumps_free_bytes": self.dumps_free_bytes, "data_free_bytes": self.data_free_bytes, "shared": self.shared}  # fmt: skip


def room_commands(parameters: Parameters) -> dict[str, Command]:
    """Ask both filesystems."""
    container = parameters.stack.container(parameters.database.service)
    argv = ("sh", "-c", ROOM, "room", folder(parameters), container, parameters.database.user)
    return {"room": Command(argv, sudo=True)}


def parse_room(results: Mapping[str, Result], _parameters: Parameters) -> Room:
    """Read four lines: device, free blocks and their size, twice."""
    lines = results["room"].stdout.split("\n")[:4]
    try:
        device, free, data_device, data_free = lines
        blocks, size = free.split()
        data_blocks, data_size = data_free.split()
        return Room(int(blocks) * int(size), int(data_blocks) * int(data_size), device == data_device)
    except ValueError:
        raise ParseError("the free space", results["room"].stdout) from None


room = Fact("room", room_commands, parse_room)


@dataclass(frozen=True, slots=True)
class OneDatabase:
    """A database of the server: its size, its comment, and how many sessions are open in it."""

    name: str
    bytes: int
    comment: str
    sessions: int


def databases_commands(parameters: Parameters) -> dict[str, Command]:
    """Ask the maintenance database, which is there when the application's is not."""
    settings = parameters.database
    container = parameters.stack.container(settings.service)
    argv = ("docker", "exec", "--env", "PGOPTIONS=-c default_transaction_read_only=on", "--env", "PGCONNECT_TIMEOUT=5", container,
            "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-U", settings.user, "-d", "postgres", "-c", " ".join(DATABASES.split()))  # fmt: skip
    return {"psql": Command(argv)}


def parse_databases(results: Mapping[str, Result], _parameters: Parameters) -> dict[str, OneDatabase]:
    """Return the databases by name, templates left out."""
    return {
        item["name"]: OneDatabase(item["name"], item["bytes"], item["comment"] or "", item["sessions"])
        for item in json.loads(results["psql"].stdout)
    }


databases = Fact("databases", databases_commands, parse_databases)
