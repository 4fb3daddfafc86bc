"""What a recovery stands on: how bare the new host is, and which copies of the lost one are at hand on this side."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook import parameters as params
from runbook.commands import Command
from runbook.errors import ParseError, RunbookError
from runbook.facts import STATE_FOLDER, Fact, LocalFact
from runbook.facts.repository import MANIFEST, MirroredRepository, look_off_site

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import BackupClass, Parameters

MARKER = f"{STATE_FOLDER}/recovered.json"  # written by the last step of a recovery
BEGUN = f"{STATE_FOLDER}/recovery-of"  # which copy is being recovered here; written by the first step
LOOK = r"""
stack=$1; project=$2; begun=$3; shift 3
for program in "$@"; do if command -v "$program" >/dev/null 2>&1; then echo "program $program"; fi; done
if docker compose version >/dev/null 2>&1; then echo "program docker-compose"; fi
if docker info >/dev/null 2>&1; then
  echo "engine yes"
  docker ps --all --format 'container {{.Names}}' --filter "label=com.docker.compose.project=$project"
  docker volume ls --format 'volume {{.Name}}' --filter "label=com.docker.compose.project=$project"
fi
for name in $(ls -A "$stack" 2>/dev/null); do echo "file $name"; done
if [ -e "$begun" ]; then echo "begun $(cat "$begun")"; fi
. /etc/os-release; echo "system $ID $VERSION_ID"
place=$stack; while [ ! -e "$place" ]; do place=$(dirname "$place"); done
echo "free $(df --output=avail -B1 "$place" | tail -n 1)"
"""
PROGRAMS = ("docker", "restic", "certbot", "ufw", "curl", "jq", "openssl")


@dataclass(frozen=True, slots=True)
class NewHost:
    """A host on which a stack is to be recovered. `begun` is the copy that a recovery here has begun with, "" for none."""

    programs: tuple[str, ...]
    engine: bool
    containers: tuple[str, ...]
    volumes: tuple[str, ...]
    files: tuple[str, ...]
    begun: str
    system: str
    free_bytes: int
    account: str

    @property
    def bare(self) -> bool:
        """Whether nothing of a stack is there."""
        return not self.containers and not self.volumes and not self.files


def _ask(parameters: Parameters) -> dict[str, Command]:
    stack = parameters.stack
    words = (stack.directory, stack.project, BEGUN, *PROGRAMS)
    return {"look": Command(("sh", "-c", LOOK, "look", *words), sudo=True), "account": Command(("id", "-un"))}


def _parse(results: Mapping[str, Result], _parameters: Parameters) -> NewHost:
    told: dict[str, list[str]] = {}
    for line in results["look"].stdout.splitlines():
        word, _, rest = line.partition(" ")
        told.setdefault(word, []).append(rest.strip())
    if "free" not in told:
        raise ParseError("the look at the new host", results["look"].stdout[-200:])
    return NewHost(
        programs=tuple(told.get("program", ())),
        engine="engine" in told,
        containers=tuple(sorted(told.get("container", ()))),
        volumes=tuple(sorted(told.get("volume", ()))),
        files=tuple(sorted(told.get("file", ()))),
        begun=told.get("begun", [""])[0],
        system=told.get("system", [""])[0],
        free_bytes=int(told["free"][0]),
        account=results["account"].stdout.strip(),
    )


new_host: Fact[NewHost] = Fact("new_host", _ask, _parse)


@dataclass(frozen=True, slots=True)
class Copy:
    """The copy to recover from: a run of the full backup whose files lie at `place`/`folder`.

    `snapshots` is class -> id in the repository; `manifest` is what that run wrote down (versions, rows, objects).
    `password_error` says why the repository cannot be opened; `classes` are the lost server's own.
    """

    place: str
    folder: str
    lost: str
    run: str
    snapshots: Mapping[str, str]
    manifest: Mapping[str, Any]
    files: int
    size_bytes: int
    options: Mapping[str, str]
    password: str
    password_error: str = ""
    classes: tuple[BackupClass, ...] = ()
    older: tuple[str, ...] = field(default_factory=tuple)

    @property
    def data_as_of(self) -> str:
        """When the dump was made (UTC, from the run's stamp)."""
        return dt.datetime.strptime(self.run, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def as_json(self) -> dict[str, Any]:
        """What is kept in a record: no options, which may name secrets."""
        return {
            "place": self.place, "folder": self.folder, "lost": self.lost, "run": self.run, "snapshots": dict(self.snapshots),
            "data_as_of": self.data_as_of, "files": self.files, "size_bytes": self.size_bytes, "password_error": self.password_error,
        }  # fmt: skip


def copy(values: Mapping[str, Any]) -> LocalFact[Copy]:
    """Given a notebook's values (`lost`, `backup`), return the fact that looks for the copy on this side."""

    def look(parameters: Parameters) -> Copy:
        lost = str(values.get("lost", ""))
        source = params.load(lost) if lost else parameters
        found = look_off_site(source)
        if found is None:
            raise RunbookError(
                f"the params file of {source.target} names no place off the server (backup.off_host)",
                remedy="name where its copies lie: lost=TARGET, or backup.off_host in the params file",
            )
        return choose(found.repositories, source, str(values.get("backup", "")), found.place, found.password_error)

    return LocalFact("copy", look)


def choose(
    repositories: tuple[MirroredRepository, ...], source: Parameters, run: str, place: str, password_error: str
) -> Copy:
    """Given the repositories at a place, return the newest whole run of the lost server (or the one named).

    Raises RunbookError that says what there is.
    """
    wanted = {item.name for item in source.backup.classes} | {MANIFEST}
    candidates: list[tuple[str, MirroredRepository, dict[str, str]]] = []
    for away in repositories:
        if away.target != source.target:
            continue
        for stamp in away.catalogue.runs:
            snapshots = {one.kind: one.id for one in away.catalogue.snapshots if one.run == stamp}
            if wanted <= snapshots.keys():
                candidates.append((stamp, away, snapshots))
    candidates.sort(key=lambda one: one[0], reverse=True)
    chosen = [one for one in candidates if not run or one[0] == run]
    if not chosen:
        there = ", ".join(stamp for stamp, _, _ in candidates[:5]) or "none"
        raise RunbookError(
            f"no whole backup{f' {run}' if run else ''} of {source.target} lies off the server; there are: {there}",
            remedy=f"name another run, or another lost target whose copies lie at {place}",
        )
    stamp, away, snapshots = chosen[0]
    return Copy(
        place=str(source.backup.off_host), folder=away.folder, lost=source.target, run=stamp, snapshots=snapshots,
        manifest=away.catalogue.runs[stamp], files=away.files, size_bytes=away.size_bytes, options=source.backup.off_host_options,
        password=source.backup.repository_password or "", password_error=password_error, classes=source.backup.classes,
        older=tuple(one[0] for one in candidates[1:]),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery wrote down at its end: its seconds from the run's beginning, and as of when the data is (UTC)."""

    begun: str
    ended: str
    recovery_seconds: int
    copy: str
    data_as_of: str


def _ask_marker(_parameters: Parameters) -> dict[str, Command]:
    return {"marker": Command(("cat", MARKER), sudo=True, expect={0: "recovered here", 1: "not yet"})}


def _parse_marker(results: Mapping[str, Result], _parameters: Parameters) -> Recovered | None:
    result = results["marker"]
    if result.exit_code == 1:
        return None
    try:
        return Recovered(**json.loads(result.stdout))
    except (ValueError, TypeError) as error:
        raise ParseError("what the recovery wrote down", f"{error}: {result.stdout[:100]}") from None


recovered: Fact[Recovered | None] = Fact("recovered", _ask_marker, _parse_marker)
