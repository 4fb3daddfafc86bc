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
from runbook.facts.dumps import folder, of_database
from runbook.facts.revisions import Revisions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}")
FIELDS = 8
# A dump whose bytes are those that its manifest was written for was read to its end then; any other is read now.
# NUL-separated: path, bytes, SHA-256, SHA-256 beside it, SHA-256 in the manifest, exit code of reading (same: not needed), table of
# contents, what the reader said or the revision that the dump holds
LOOK = r"""directory=$1 pattern=$2 wanted=$3 most=$4 container=$5 database=$6 enough=${7:-1}
restore() { docker exec --interactive "$container" pg_restore "$@"; }
list() {
  if [ -n "$wanted" ]; then printf '%s\0' "$directory/$wanted"; else
    # the newest by the time in their names, since a copy has a new time of its own; by that where there is none
    TZ=UTC find "$directory" -maxdepth 1 -type f -name "$pattern" ! -name '*.part' -printf '%TY%Tm%Td-%TH%TM%TS %p\0' |
    sed -zE 's/^\S+ (.*[^0-9])([0-9]{8}-[0-9]{6})([^0-9\/][^\/]*)$/\2 \1\2\3/' | sort -zr | head -zn "$most" | cut -zd ' ' -f 2-
  fi
}
while IFS= read -r -d '' file; do
  [ -f "$file" ] || continue
  sum=$(sha256sum < "$file" | cut -c1-64); beside=; manifest=; contents=; said=
  [ ! -f "$file.sha256" ] || beside=$(head -c 64 "$file.sha256" | tr -d '\0')
  [ ! -f "$file.manifest.json" ] || manifest=$(grep -oE '"sha256": *"[0-9a-f]{64}"' "$file.manifest.json" | head -n 1 | grep -oE '[0-9a-f]{64}')
  case "$file" in
    *.tar.dump) if [ "$manifest" = "$sum" ]; then code=same; else code=1 said='it is packed from several files and is only restored with a manifest that fits'; fi ;;
    *)
      contents=$(restore --list < "$file" 2>/dev/null)
      if [ -n "$manifest" ] && [ "$manifest" = "$sum" ]; then code=same; else
        said=$(restore --file /dev/null < "$file" 2>&1); code=$?
        [ "$code" != 0 ] || said=$(restore --data-only --table alembic_version --file - < "$file" 2>/dev/null | sed -n '/^COPY .*alembic_version /,/^\\\./p' | sed '1d;/^\\\./d' | tr '\n' ' ')
      fi ;;
  esac
  printf '%s\0' "$file" "$(stat -c %s "$file")" "$sum" "$beside" "$manifest" "$code" "$contents" "$(printf %s "$said" | tail -n 1 | cut -c1-300)"
  case "$code:$sum" in same:*|0:"$beside") enough=$((enough - 1)); [ "$enough" -gt 0 ] || break ;; esac
done < <(list)
exit 0"""
HISTORY = r"""container=$1
if [ "$(docker inspect --format '{{.State.Running}}' "$container")" = true ]; then exec docker exec "$container" alembic history; fi
exec docker run --rm --network none "$(docker inspect --format '{{.Image}}' "$container")" alembic history"""
LINE = re.compile(r"(\S+(?:, \S+)*) -> (\S+?)((?: \([a-z]+\))*), ?(.*)")


@dataclass(frozen=True, slots=True)
class InspectedDump:
    """One dump, looked at. `revision` is read from it where its manifest does not vouch for its bytes.

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

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]


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
        settings = parameters.backup
        found = of_database(parameters)
        container = parameters.stack.container(parameters.database.service)
        words = (
            folder(parameters),
            found.pattern if found else "*.dump",
            name,
            str(settings.read_through),
            container,
            parameters.database.name,
        )
        api = parameters.stack.container(parameters.database.writers[0])
        return {
            "look": Command(("bash", "-c", LOOK, "look", *words), sudo=True, timeout=settings.verify_timeout_seconds),
            "history": Command(("sh", "-c", HISTORY, "history", api), timeout=60),
        }  # fmt: skip

    return Fact("dump_candidates", ask, parse_dump_candidates, optional=frozenset({"history"}))


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
    path: str, size: str, digest: str, beside: str, in_manifest: str, code: str, contents: str, said: str
) -> InspectedDump:
    read = code in {"0", "same"}
    return InspectedDump(
        path, int(size), digest, beside.strip().lower(), in_manifest, read,
        said="" if read else said.removeprefix("pg_restore: error: ") or f"it cannot be read (exit code {code})",
        database=_first(r"^;\s+dbname: (.*)$", contents),
        tables=tuple(re.findall(r"^\d+; \d+ \d+ TABLE (?!DATA )\S+ (\S+) ", contents, re.MULTILINE)),
        revision=said.strip() if code == "0" else "",
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
