"""The encrypted repository of backups: what its catalogue says, what a full backup needs, and what lies off the server."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook import secrets
from runbook.commands import Command
from runbook.errors import ParseError, RunbookError
from runbook.facts import Fact, LocalFact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters

RUN = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
MANIFEST = "manifest"  # the class of the copy that a run ends with: all others of it were read back and found good
ABSENT = 1
NO_REPOSITORY = 44  # none of restic's own exit codes
PASSWORD_FILE = "/etc/runbook/restic-password"  # noqa: S105 (a path)
READ = r"""export RESTIC_REPOSITORY=$1 RESTIC_PASSWORD_FILE=$2
[ -e "$1/config" ] && [ -e "$2" ] && command -v restic >/dev/null || exit 44
said=$(restic --no-cache --no-lock check --quiet --read-data-subset="$3" 2>&1)
printf '%s\t%s\n' $? "$(printf %s "$said" | tail -n 1 | tr '\t' ' ' | cut -c 1-200)"
exec restic --no-cache --no-lock snapshots --json"""
SIZES = r"""for path in "$@"; do
  case "$path" in /*) place=$path ;; *) place=$(docker volume inspect --format '{{.Mountpoint}}' "$path" 2>/dev/null) || place= ;; esac
  if [ -n "$place" ] && size=$(du -sxb "$place" 2>/dev/null); then printf '%s\t%s\n' "${size%%	*}" "$path"; else printf 'absent\t%s\n' "$path"; fi
done"""
FREE = (
    'place=$1; while [ ! -e "$place" ]; do place=$(dirname "$place"); done; df --output=avail -B1 "$place" | tail -n 1'
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One copy of one class in the repository. `run` is the stamp of the run that made it."""

    id: str
    run: str
    kind: str
    time: dt.datetime
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the repository held at a time, and the manifest of each run that came to its end."""

    at: dt.datetime
    snapshots: tuple[Snapshot, ...]
    runs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def copies(self, kind: str) -> tuple[Snapshot, ...]:
        """The copies of a class, newest first."""
        return tuple(
            sorted((one for one in self.snapshots if one.kind == kind), key=lambda one: one.time, reverse=True)
        )

    def verified(self, copy: Snapshot) -> bool:
        """Whether the run that made the copy came to its end, and so read it back."""
        return copy.run in self.runs

    def as_json(self) -> dict[str, Any]:
        """What is kept in a record: the manifests are in the repository."""
        return {"at": self.at, "snapshots": self.snapshots, "runs": sorted(self.runs)}


def read_catalogue(data: Mapping[str, Any]) -> Catalogue:
    """Given the catalogue's JSON, return it. Raises KeyError, ValueError, TypeError for anything else."""
    snapshots = tuple(
        Snapshot(row["id"], row["run"], row["class"], dt.datetime.fromisoformat(row["time"]), int(row["bytes"] or 0))
        for row in data["snapshots"]
    )
    return Catalogue(dt.datetime.fromisoformat(data["at"]), snapshots, data["runs"])


def catalogue_path(parameters: Parameters) -> str:
    """Where the catalogue lies on the server: beside the repository."""
    return f"{parameters.backup.directory}/catalogue.json"


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository and what a full backup needs.

    Attributes:
        restic: version of the program, empty where it is not there.
        config_sha256: the SHA-256 of its file `config`, which tells repositories apart; empty where there is none.
        catalogue: None where none was written yet.
        group: the login user's group, which may read the repository's (encrypted) files.
        source_bytes: size of each source; None for one that is not there.
        free_bytes: room where the repository lies.
    """

    restic: str
    config_sha256: str
    catalogue: Catalogue | None
    group: str
    source_bytes: Mapping[str, int | None]
    free_bytes: int

    @property
    def exists(self) -> bool:
        """Whether there is a repository."""
        return bool(self.config_sha256)


def sources(parameters: Parameters) -> tuple[str, ...]:
    """Everything that the classes name: paths, and names of volumes."""
    return tuple(dict.fromkeys(source for item in parameters.backup.classes for source in item.sources))


def repository_commands(parameters: Parameters) -> dict[str, Command]:
    """Ask for the program, the repository, the catalogue, and the sizes of what is to be copied."""
    settings = parameters.backup
    return {
        "restic": Command(("sh", "-c", "command -v restic >/dev/null || exit 1; restic version"), expect={0: "there", 1: "not installed"}),
        "config": Command(("sha256sum", f"{settings.repository}/config"), sudo=True, expect={0: "there", 1: "absent"}),
        "catalogue": catalogue_command(parameters),
        "group": Command(("id", "-gn")),
        "sizes": Command(("sh", "-c", SIZES, "sizes", *sources(parameters)), sudo=True, timeout=300),
        "free": Command(("sh", "-c", FREE, "free", settings.repository), sudo=True),
    }  # fmt: skip


def parse_repository(results: Mapping[str, Result], _parameters: Parameters) -> Repository:
    """Return what was found. Raises ParseError for a catalogue that cannot be read."""
    rows = (line.partition("\t") for line in results["sizes"].stdout.splitlines())
    sizes = {path: None if size == "absent" else int(size) for size, _, path in rows}
    return Repository(
        restic=results["restic"].stdout.split()[1] if results["restic"].exit_code == 0 else "",
        config_sha256=results["config"].stdout.split()[0] if results["config"].exit_code == 0 else "",
        catalogue=parse_catalogue(results["catalogue"]),
        group=results["group"].stdout.strip(),
        source_bytes=sizes,
        free_bytes=int(results["free"].stdout),
    )


def catalogue_command(parameters: Parameters) -> Command:
    """Return the command that reads the catalogue; exit code 1 says that there is none."""
    return Command(("sh", "-c", '[ -e "$0" ] || exit 1; exec cat "$0"', catalogue_path(parameters)), sudo=True, expect={0: "there", 1: "absent"})  # fmt: skip


def parse_catalogue(result: Result) -> Catalogue | None:
    """Given its answer, return the catalogue; None where there is none. Raises ParseError."""
    if result.exit_code == ABSENT:
        return None
    try:
        return read_catalogue(json.loads(result.stdout))
    except (ValueError, KeyError, TypeError) as error:
        raise ParseError(
            "the catalogue of the backups",
            f"{type(error).__name__}: {error}",
            remedy="07-backup/full-backup writes it anew",
        ) from None


repository = Fact("repository", repository_commands, parse_repository)


@dataclass(frozen=True, slots=True)
class RepositoryRead:
    """What came of reading the repository: the snapshots it holds, whether it is whole, and what restic said last."""

    snapshots: tuple[Snapshot, ...]
    whole: bool
    said: str


def read_command(parameters: Parameters) -> Command:
    """Return the command that lets restic check its repository and read what it holds; exit code 1: there is none."""
    settings = parameters.backup
    argv = ("sh", "-c", READ, "read", settings.repository, PASSWORD_FILE, settings.check_subset)
    return Command(argv, sudo=True, expect={0: "read", NO_REPOSITORY: "there is no repository"}, timeout=settings.verify_timeout_seconds)  # fmt: skip


def parse_read(result: Result) -> RepositoryRead | None:
    """Given its answer, return what came of it; None where there is no repository. Raises ParseError."""
    if result.exit_code == NO_REPOSITORY:
        return None
    head, _, listed = result.stdout.partition("\n")
    code, _, said = head.partition("\t")
    try:
        snapshots = tuple(one for row in json.loads(listed) or () if (one := _snapshot(row)) is not None)
    except (ValueError, KeyError, TypeError) as error:
        raise ParseError("restic snapshots", f"{type(error).__name__}: {error}") from None
    return RepositoryRead(snapshots, code == "0", said)


def _snapshot(row: Mapping[str, Any]) -> Snapshot | None:
    """Given a row of `restic snapshots --json`, return the copy; None for one that this project has not made."""
    tags = row.get("tags") or []
    runs = [tag for tag in tags if RUN.fullmatch(tag)]
    kinds = [tag for tag in tags if tag not in runs]
    if len(runs) != 1 or len(kinds) != 1:
        return None
    size = (row.get("summary") or {}).get("total_bytes_processed", 0)
    return Snapshot(row["id"], runs[0], kinds[0], dt.datetime.fromisoformat(row["time"]), size)


@dataclass(frozen=True, slots=True)
class MirroredRepository:
    """One repository at the place off the server: its folder there, when it was last brought up to date, and what it holds."""

    folder: str
    target: str
    at: dt.datetime
    files: int
    size_bytes: int
    catalogue: Catalogue


@dataclass(frozen=True, slots=True)
class OffSite:
    """The operator's side: the place for copies, the repositories there (newest first), and whether the password is at hand.

    `password_error` says why the password cannot be had; `unreadable` names folders there that nobody can read.
    """

    place: str
    repositories: tuple[MirroredRepository, ...] = ()
    unreadable: tuple[str, ...] = ()
    free_bytes: int | None = None
    password_error: str = ""


def look_off_site(parameters: Parameters) -> OffSite | None:
    """Look at the place off the server; None where none is named. Raises RunbookError where it cannot be reached."""
    from runbook.offhost.place import at  # noqa: PLC0415 (only where copies are looked for)

    settings = parameters.backup
    if settings.off_host is None:
        return None
    place = at(settings.off_host, settings.off_host_options)
    found: list[MirroredRepository] = []
    unreadable: list[str] = []
    for folder in place.folders():
        if not folder.startswith("repository-"):
            continue
        try:
            about = json.loads(b"".join(place.read(f"{folder}/mirror.json")))
            found.append(
                MirroredRepository(folder, about["target"], dt.datetime.fromisoformat(about["at"]), about["files"], about["bytes"], read_catalogue(about["catalogue"]))
            )  # fmt: skip
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            unreadable.append(folder)
    found.sort(key=lambda one: one.at, reverse=True)
    return OffSite(place.name, tuple(found), tuple(unreadable), place.free_bytes(), _password_error(parameters))


def _password_error(parameters: Parameters) -> str:
    reference = parameters.backup.repository_password
    if reference is None:
        return "no password is named: backup.repository_password in the params file"
    if reference == "prompt":
        return ""
    try:
        secrets.resolve(reference, what="password of the backups")
    except RunbookError as error:
        return error.reason
    return ""


off_site = LocalFact("off_site", look_off_site)
