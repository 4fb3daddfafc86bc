"""Every place of the server that matters: paths, the names of variables, hashes of files, packages."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact
from runbook.facts.compose import compose_argv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters

STAT_FIELDS = 7
STAT = "%n\\0%F\\0%a\\0%U\\0%G\\0%s\\0%Y\\0"
# prints names only: a value never leaves the server, nor does a later line of a quoted one that looks like `name=`
NAMES = r"""quote != "" { if (index($0, quote)) quote = ""; next }
/^[[:space:]]*(export[[:space:]]+)?[A-Za-z_][A-Za-z0-9_]*=/ {
    name = $0; sub(/=.*/, "", name); sub(/^[[:space:]]*(export[[:space:]]+)?/, "", name)
    value = $0; sub(/^[^=]*=[[:space:]]*/, "", value)
    first = substr(value, 1, 1)
    if ((first == "\"" || first == "\047") && !index(substr(value, 2), first)) quote = first
    print name, (value ~ /^("[[:space:]]*"|\047[[:space:]]*\047)?[[:space:]]*(#.*)?$/ ? "empty" : "set")
}"""


@dataclass(frozen=True, slots=True)
class PathStat:
    """A path that exists. `kind` is "file", "directory" or what stat calls it; mode in octal, four digits."""

    path: str
    kind: str
    mode: str
    owner: str
    group: str
    size_bytes: int
    modified: dt.datetime


def paths_commands(parameters: Parameters) -> dict[str, Command]:
    """Ask for all paths in one command, NUL-separated."""
    keys = [item.key for item in parameters.certificates.items if item.key]
    paths = [*(location.path for location in parameters.locations), *keys]
    if not paths:
        return {}
    # exit code 1: some do not exist; the others are printed
    return {"stat": Command(("stat", "--dereference", f"--printf={STAT}", "--", *paths), sudo=True, expect={0: "ok", 1: "some do not exist"}, timeout=10)}  # fmt: skip


def parse_paths(results: Mapping[str, Result], _parameters: Parameters) -> dict[str, PathStat]:
    """Read seven fields a path. Raises ParseError when a path could not be looked at for another reason than absence."""
    if "stat" not in results:
        return {}
    result = results["stat"]
    odd = [line for line in result.stderr.splitlines() if "No such file" not in line]
    if odd:
        raise ParseError("stat", odd[0])
    fields = result.stdout.split("\0")[:-1]
    if len(fields) % STAT_FIELDS:
        raise ParseError("stat", result.stdout[-200:])
    found = {}
    for start in range(0, len(fields), STAT_FIELDS):
        path, kind, mode, owner, group, size, modified = fields[start : start + STAT_FIELDS]
        found[path] = PathStat(
            path=path,
            kind={"regular file": "file", "regular empty file": "file"}.get(kind, kind),
            mode=f"{int(mode, 8):04o}",
            owner=owner,
            group=group,
            size_bytes=int(size),
            modified=dt.datetime.fromtimestamp(int(modified), dt.UTC),
        )
    return found


paths = Fact("paths", paths_commands, parse_paths)


@dataclass(frozen=True, slots=True)
class Variables:
    """Names of variables: those in the environment file (and which are empty), and those that the compose file uses."""

    set: tuple[str, ...]
    empty: tuple[str, ...]
    used: tuple[str, ...]
    with_default: tuple[str, ...]

    @property
    def lacking(self) -> tuple[str, ...]:
        """Names that the compose file uses, that have no default and no value."""
        return tuple(sorted(set(self.used) - set(self.set) - set(self.with_default)))


def variables_commands(parameters: Parameters) -> dict[str, Command]:
    """Ask for names on both sides."""
    stack = parameters.stack
    return {
        "file": Command(("awk", NAMES, f"{stack.directory}/{stack.env_file}"), sudo=True, timeout=10),
        "compose": Command(compose_argv(parameters, "config", "--variables"), timeout=20),
    }


def parse_variables(results: Mapping[str, Result], _parameters: Parameters) -> Variables:
    """Read `name set|empty` lines, and Compose's table (NAME, REQUIRED, DEFAULT VALUE, ALTERNATE VALUE)."""
    pairs = [line.split() for line in results["file"].stdout.splitlines()]
    lines = results["compose"].stdout.splitlines()
    if not lines or not lines[0].startswith("NAME"):
        raise ParseError("docker compose config --variables", lines[0] if lines else "")
    default_at, alternate_at = lines[0].index("DEFAULT"), lines[0].index("ALTERNATE")
    used = {line.split()[0]: bool(line[default_at:alternate_at].strip()) for line in lines[1:] if line.strip()}
    return Variables(
        set=tuple(sorted(name for name, state in pairs if state == "set")),
        empty=tuple(sorted(name for name, state in pairs if state == "empty")),
        used=tuple(sorted(used)),
        with_default=tuple(sorted(name for name, default in used.items() if default)),
    )


variables = Fact("variables", variables_commands, parse_variables)


def hashes_commands(parameters: Parameters) -> dict[str, Command]:
    """Hash every file among the locations (what changed since the last good record is asked of these)."""
    files = [location.path for location in parameters.locations if location.kind == "file"]
    if not files:
        return {}
    return {"sha256": Command(("sha256sum", "--zero", "--", *files), sudo=True, expect={0: "ok", 1: "some do not exist"}, timeout=20)}  # fmt: skip


def parse_hashes(results: Mapping[str, Result], _parameters: Parameters) -> dict[str, str]:
    """Read NUL-separated `hash  path` records."""
    if "sha256" not in results:
        return {}
    records = [record.split("  ", 1) for record in results["sha256"].stdout.split("\0") if record]
    return {path: digest for digest, path in records}


hashes = Fact("hashes", hashes_commands, parse_hashes)


@dataclass(frozen=True, slots=True)
class Packages:
    """Installed packages with their versions, and what the package lists already here would upgrade."""

    installed: dict[str, str]
    upgradable: tuple[str, ...]
    security: tuple[str, ...]
    system: str


def packages_commands(_parameters: Parameters) -> dict[str, Command]:
    """List what is installed; simulate an upgrade (nothing is fetched or changed)."""
    return {
        "installed": Command(("dpkg-query", "--show", "--showformat=${Package}\t${Version}\n"), timeout=20),
        "upgrade": Command(("apt-get", "--simulate", "-qq", "-o", "Debug::NoLocking=true", "dist-upgrade"), timeout=60),
        "system": Command(("cat", "/etc/os-release"), timeout=10),
    }


def parse_packages(results: Mapping[str, Result], _parameters: Parameters) -> Packages:
    """Read `name<TAB>version` lines and apt's `Inst name [old] (new origin ...)` lines."""
    installed = dict(line.split("\t") for line in results["installed"].stdout.splitlines())
    upgrades = re.findall(r"^Inst (\S+) .*?\((.*)\)", results["upgrade"].stdout, re.MULTILINE)
    named = re.search(r'^PRETTY_NAME="?([^"\n]*)', results["system"].stdout, re.MULTILINE)
    return Packages(
        installed=installed,
        upgradable=tuple(sorted(name for name, _ in upgrades)),
        security=tuple(sorted(name for name, origin in upgrades if "ecurity" in origin)),
        system=named[1] if named else "",
    )


packages = Fact("packages", packages_commands, parse_packages)
