"""The dump that a restore would use, looked at closely: hashed, read to its end, its table of contents, its revision.

Where none is named, the newest ones are looked at until one is whole, so that a broken newest one costs nothing but a note.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook.commands import Command
from runbook.errors import ParametersError, ParseError
from runbook.facts import Fact
from runbook.facts.dumps import folder, of_database, read_manifest
from runbook.facts.revisions import Revisions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
FIELDS = 8
# the newest by the time in their names, since a copy has a new time of its own; by that where there is none: NUL-separated
NEWEST_FIRST = r"""newest_first() {
  TZ=UTC find "$directory" -maxdepth 1 -type f -name "$pattern" ! -name '*.part' -printf '%TY%Tm%Td-%TH%TM%TS %p\0' |
  sed -zE 's/^\S+ (.*[^0-9])([0-9]{8}-[0-9]{6})([^0-9\/][^\/]*)$/\2 \1\2\3/' | sort -zr | head -zn "$1" | cut -zd ' ' -f 2-
}
# what the reader leaves of its input is taken in as well: the Docker client fails where nobody reads on what it still sends
restore() { docker exec --interactive "$container" sh -c 'pg_restore "$@"; code=$?; cat >/dev/null; exit "$code"' sh "$@"; }
table_of_contents() { head -c 33554432 "$1" | restore --list; } # it stands at the beginning: 32 MiB hold some 80,000 entries
# a packed dump has no table of contents to be read: its manifest names the database
contents_by() { printf ';     dbname: %s' "$(grep -oE '"database": *"[^"]*"' | head -n 1 | cut -d '"' -f 4)"; }
"""
# A dump whose bytes are those that its manifest was written for was read to its end then; any other is read now.
# NUL-separated: path, bytes, SHA-256, SHA-256 beside it, the manifest, exit code of reading (same: not needed), table of contents,
# what the reader said or the revision that the dump holds. It ends with the first that is whole and of this database.
LOOK = (
    NEWEST_FIRST
    + r"""directory=$1 pattern=$2 wanted=$3 most=$4 container=$5 database=$6 enough=${7:-1} tables=$8
list() { if [ -n "$wanted" ]; then printf '%s\0' "$directory/$wanted"; else newest_first "$most"; fi; }
of_this_database() {
  case $(sed -n 's/^;  *dbname: //p' <<< "$1") in "$database"|"$database"_before_*|"$database"_undone_*|"$database"_new_*|"$database"_scratch_*) ;; *) return 1 ;; esac
  case $2 in *.tar.dump) return 0 ;; esac
  for table in $tables; do grep -qE "^[0-9]+; [0-9]+ [0-9]+ TABLE [^ ]+ $table " <<< "$1" || return 1; done
}
while IFS= read -r -d '' file; do
  [ -f "$file" ] || continue
  sum=$(sha256sum < "$file" | cut -c1-64); beside=; manifest=; contents=; said=; about=
  [ ! -f "$file.sha256" ] || beside=$(head -c 64 "$file.sha256" | tr -d '\0')
  [ ! -f "$file.manifest.json" ] || about=$(head -c 4000000 "$file.manifest.json" | tr -d '\0')
  manifest=$(grep -oE '"sha256": *"[0-9a-f]{64}"' <<< "$about" | head -n 1 | grep -oE '[0-9a-f]{64}')
  case "$file" in
    *.tar.dump) contents=$(contents_by <<< "$about"); if [ "$manifest" = "$sum" ]; then code=same; else code=1 said='it is packed from several files and is only restored with a manifest that fits'; fi ;;
    *)
      contents=$(table_of_contents "$file" 2>/dev/null)
      if [ -n "$manifest" ] && [ "$manifest" = "$sum" ]; then code=same; else
        said=$(restore --file /dev/null < "$file" 2>&1); code=$?
        [ "$code" != 0 ] || said=$(restore --data-only --table alembic_version --file - < "$file" 2>/dev/null | sed -n '/^COPY .*alembic_version /,/^\\\./p' | sed '1d;/^\\\./d' | tr '\n' ' ')
      fi ;;
  esac
  printf '%s\0' "$file" "$(stat -c %s "$file")" "$sum" "$beside" "$about" "$code" "$contents" "$(printf %s "$said" | tail -n 1 | cut -c1-300)"
  case "$code:$sum" in same:*|0:"$beside") of_this_database "$contents" "$file" || continue; enough=$((enough - 1)); [ "$enough" -gt 0 ] || break ;; esac
done < <(list)
exit 0"""
)
# the table of contents of the newest dump alone, which stands at its beginning: NUL-separated path and contents
CONTENTS = (
    NEWEST_FIRST
    + r"""directory=$1 pattern=$2 container=$3
IFS= read -r -d '' file < <(newest_first 1) || exit 0
case "$file" in
  *.tar.dump) contents=$(cat "$file.manifest.json" 2>/dev/null | contents_by) ;;
  *) contents=$(table_of_contents "$file" 2>&1) || { said=$(printf %s "$contents" | tail -n 1); contents=; } ;;
esac
printf '%s\0%s\0%s\0' "$file" "$contents" "$said" """
)
READER_AWAY = (
    "Error response from daemon",
    "Cannot connect to the Docker daemon",
    "Error: No such container",
    "error during connect",
    "read unix ",  # the connection to the engine broke amid the reading: nothing is said of the file
    "write unix ",
)
HISTORY = r"""container=$1
if [ "$(docker inspect --format '{{.State.Running}}' "$container")" = true ]; then exec docker exec "$container" alembic history; fi
exec docker run --rm --network none "$(docker inspect --format '{{.Image}}' "$container")" alembic history"""
KEPT = re.compile(r"(.+)_(before|undone|new|scratch)_(\d{8}t\d{6}z)")  # names of databases that a restore leaves behind
REVISION = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
LINE = re.compile(r"(\S+(?:, \S+)*) -> (\S+?)((?: \([a-z]+\))*), ?(.*)")


@dataclass(frozen=True, slots=True)
class InspectedDump:
    """One dump, looked at. `problem` says why its manifest cannot be used; `revision` is the one that it holds.

    `read`: it was read to its end now, or has just the bytes that were (its manifest says when). `database` and `tables`
    come from its own table of contents; both are empty for a packed one.
    """

    path: str
    bytes: int
    sha256: str
    beside: str
    in_manifest: str
    read: bool
    said: str
    database: str
    tables: tuple[str, ...]
    revision: str
    problem: str = ""

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class NewestDump:
    """What the newest dump says of itself: whose it is, and its tables (none for a packed one). `path` is empty where there is none.

    `unreadable` is what the reader said of a table of contents that it cannot read.
    """

    path: str
    database: str
    tables: tuple[str, ...]
    unreadable: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]


def not_of_this_database(database: str, tables: Collection[str], parameters: Parameters) -> str:
    """Given whose a dump is and its tables (none: not told), return why it is none of this application; "" where it is one."""
    name = parameters.database.name
    origin = KEPT.fullmatch(database)
    if database and database != name and (origin is None or origin[1] != name):
        return f"it is a dump of the database {database}, not of {name}"
    lacking = sorted({table.rpartition(".")[2] for table in parameters.database.expected_tables} - set(tables))
    return f"it is not a dump of this application: it has no table {', '.join(lacking)}" if tables and lacking else ""


def fault(dump: InspectedDump, parameters: Parameters) -> str:
    """Given a dump that was looked at, return why it cannot be restored from; "" where nothing speaks against it.

    The one judgement of a dump: the notebooks of backups, coverage, retention, restore and rotation all ask it.
    """
    reasons = (
        (dump.problem, dump.problem),
        (not dump.bytes, "it is empty"),
        (dump.in_manifest not in {"", dump.sha256}, "its bytes are not those that its manifest was written for (another SHA-256)"),
        (dump.beside not in {"", dump.sha256}, "it differs from the checksum beside it"),
        (not dump.beside and not dump.in_manifest, "no checksum lies beside it, so nobody can tell whether its bytes are those that were written (if you know that they are: sha256sum NAME > NAME.sha256)"),
        (not dump.read, f"it cannot be read to its end: {dump.said}"),
        (reason := not_of_this_database(dump.database, dump.tables, parameters), reason),
        (not REVISION.fullmatch(dump.revision), "it holds no revision of the application (table alembic_version): it is not a dump of this application, or an unfinished one"),
    )  # fmt: skip
    return next((reason for wrong, reason in reasons if wrong), "")


@dataclass(frozen=True, slots=True)
class DumpCandidates:
    """The dumps that were looked at, in order; `revisions` are those that the running release knows, None without evidence."""

    looked: tuple[InspectedDump, ...]
    revisions: Revisions | None


def wanted(values: Mapping[str, Any]) -> str:
    """Given a notebook's values, return the name of the backup that is asked for; "" for the newest good one. Raises ParametersError."""
    name = str(values.get("backup", "")).strip()
    if name and not NAME.fullmatch(name):
        raise ParametersError(
            "backup",
            [f"{name[:80]!r} is not the name of a file in the folder of backups"],
            remedy="write one of the names in the table, such as pazpaz-20261124-023000.dump, or nothing",
        )
    return name


def dump_candidates(values: Mapping[str, Any]) -> Fact[DumpCandidates]:
    """Given a notebook's values (`backup`), return the fact that looks at that dump, or at the newest ones until one is whole."""
    name = wanted(values)

    def ask(parameters: Parameters) -> dict[str, Command]:
        found = of_database(parameters)
        words = look_words(
            parameters, folder(parameters), found.pattern if found else "*.dump", name, parameters.backup.read_through
        )
        api = parameters.stack.container(parameters.database.writers[0])
        return {
            "look": Command(words, sudo=True, timeout=parameters.backup.verify_timeout_seconds),
            "history": Command(("sh", "-c", HISTORY, "history", api), timeout=60),
        }  # fmt: skip

    return Fact("dump_candidates", ask, parse_dump_candidates, optional=frozenset({"history"}))


def look_words(
    parameters: Parameters, directory: str, pattern: str, name: str, most: int, *, enough: int = 1
) -> tuple[str, ...]:
    """Return the words that look at a folder's dumps, the newest first: at most `most`, until `enough` of them are good."""
    container = parameters.stack.container(parameters.database.service)
    tables = " ".join(table.rpartition(".")[2] for table in parameters.database.expected_tables)
    return (
        *("bash", "-c", LOOK, "look", directory, pattern, name, str(most), container, parameters.database.name),
        *(str(enough), tables),
    )


def newest_dump_commands(parameters: Parameters) -> dict[str, Command]:
    """Read the newest dump's table of contents, and nothing else of it."""
    found = of_database(parameters)
    if found is None:
        return {}
    container = parameters.stack.container(parameters.database.service)
    words = ("bash", "-c", CONTENTS, "contents", folder(parameters), found.pattern, container)
    return {"contents": Command(words, sudo=True, timeout=20)}


def parse_newest_dump(results: Mapping[str, Result], _parameters: Parameters) -> NewestDump:
    """Read path and contents. Raises ParseError where the reader was away, which says nothing of the dump."""
    text = results["contents"].stdout if "contents" in results else ""
    path, contents, said, *_ = (*text.split("\0"), "", "", "")
    if said.startswith(READER_AWAY):
        raise ParseError("the newest dump", said)
    return NewestDump(path, *_contents(contents), said.removeprefix("pg_restore: error: "))


newest_dump = Fact("newest_dump", newest_dump_commands, parse_newest_dump)


def _contents(contents: str) -> tuple[str, tuple[str, ...]]:
    """Return whose a dump is, and its tables, by the output of `pg_restore --list`."""
    tables = re.findall(r"^\d+; \d+ \d+ TABLE (?!DATA )\S+ (\S+) ", contents, re.MULTILINE)
    return _first(r"^;\s+dbname: (.*)$", contents), tuple(tables)


def parse_dump_candidates(results: Mapping[str, Result], _parameters: Parameters) -> DumpCandidates:
    """Read the fields of LOOK, and alembic's history where there is one."""
    history = results["history"]
    return DumpCandidates(parse_inspected_dumps(results["look"]), read_history(history.stdout) if history.ok else None)


def parse_inspected_dumps(result: Result) -> tuple[InspectedDump, ...]:
    """Read the fields of LOOK: the dumps in the order in which they were looked at. Raises ParseError."""
    fields = result.stdout.split("\0")[:-1]
    if len(fields) % FIELDS:
        raise ParseError("the dumps that were looked at", result.stdout[-200:])
    return tuple(_looked(*fields[start : start + FIELDS]) for start in range(0, len(fields), FIELDS))


def _looked(  # noqa: PLR0917 (the fields of LOOK, in their order)
    path: str, size: str, digest: str, beside: str, about: str, code: str, contents: str, said: str
) -> InspectedDump:
    read = code in {"0", "same"}
    manifest, problem = None, ""
    if about.strip():
        try:
            manifest = read_manifest(about)
        except ParseError as error:
            problem = error.reason
    database, tables = _contents(contents)
    vouched = manifest.revision if manifest else ""
    return InspectedDump(
        path, int(size), digest, beside.strip().lower(), manifest.sha256 if manifest else "", read,
        said="" if read else said.removeprefix("pg_restore: error: ") or f"it cannot be read (exit code {code})",
        database=database, tables=tables, revision=said.strip() if code == "0" else vouched, problem=problem,
    )  # fmt: skip


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def read_history(text: str) -> Revisions | None:
    r"""Given what `alembic history` printed, return the revisions; None where there are none.

    >>> read_history("0001 -> 0002 (head), Phone numbers.\n<base> -> 0001, Clients.\n").heads
    ('0002',)
    """
    known: dict[str, tuple[str, str]] = {}
    heads: list[str] = []
    for line in text.splitlines():
        match = LINE.match(line)
        if match:
            known[match[2]] = (match[1].replace("<base>", ""), match[4])
            heads += [match[2]] if "(head)" in match[3] else []
    return Revisions(known, tuple(heads)) if known else None
