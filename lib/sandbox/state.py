"""What is kept about each sandbox on the operator's machine."""

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from sandbox.errors import BadNameError
from sandbox.kind import Kind

DEFAULT_NAME = "sandbox"
FILES = (
    "ssh_config",
    "known_hosts",
    "id_ed25519",
    "id_ed25519.pub",
    "ssh_host_ed25519_key",
    "ssh_host_ed25519_key.pub",
    "sudo_password",
    "restic_password",
    "synthetic_password",
    "ca.crt",
    "ports.json",
    "sandbox.json",
)
"""Every file that a sandbox's folder holds."""
COPIES = "offsite"
"""The folder beside them to which params/sandbox.yaml copies backups."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")


def home() -> Path:
    """Return the folder that holds one folder per sandbox."""
    if chosen := os.environ.get("RUNBOOK_SANDBOX_HOME"):
        return Path(chosen).expanduser().resolve()
    return _default_home()


def _default_home() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser().resolve() / "runbook" / "sandbox"


def check_name(name: str) -> str:
    """Return the name if it can be a sandbox's: it becomes part of a host name and of container names.

    Raises:
        BadNameError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise BadNameError(
            f"{name!r} cannot name a sandbox: use 1 to 30 lower-case letters, digits and inner hyphens, such as `blue`."
        )
    return name


def kept_apart(name: str, place: Path) -> str:
    """Return a name for a container, with a part that is the state folder's own where that is not the default."""
    if place == _default_home():
        return name
    return f"{name}-{hashlib.sha256(str(place).encode()).hexdigest()[:6]}"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Names and paths of one sandbox. A state folder elsewhere than the default keeps its containers apart, too."""

    name: str
    home: Path

    @classmethod
    def named(cls, name: str) -> "Sandbox":
        return cls(check_name(name), home())

    @property
    def folder(self) -> Path:
        return self.home / self.name

    @property
    def container(self) -> str:
        return kept_apart("runbook-sandbox", self.home) + f"-{self.name}"

    @property
    def volume(self) -> str:
        return f"{self.container}-docker"

    @property
    def disk_volume(self) -> str:
        return f"{self.container}-disk"

    @property
    def client(self) -> str:
        """Container of the client that reaches this sandbox from an address of its own."""
        return self.container.replace("runbook-sandbox", "runbook-client", 1)

    @property
    def hostname(self) -> str:
        return "pazpaz" if self.name == DEFAULT_NAME else f"pazpaz-{self.name}"


@dataclass(frozen=True, slots=True)
class About:
    """The contents of sandbox.json: what this sandbox was made from."""

    name: str
    golden: str
    rows: int
    disk: str | None
    created: str
    """When it was created, as ISO 8601 in UTC; empty while it is being made."""
    kind: Kind = Kind.PRODUCTION

    @property
    def is_whole(self) -> bool:
        """Whether making it came to its end."""
        return bool(self.created)

    @property
    def described(self) -> str:
        """What it was asked to be, in a few words for people."""
        return described(self.kind, self.rows, self.disk)


def described(kind: Kind, rows: int, disk: str | None) -> str:
    """Return what a sandbox was asked to be, in a few words for people."""
    size = "" if kind.is_bare else f" with {rows} rows"
    return f"{kind.described}{size}, disk {disk or 'unlimited'}"


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, complete or not at all."""
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


def write_about(sandbox: Sandbox, about: About) -> None:
    """Write sandbox.json, the first file of a sandbox's folder."""
    sandbox.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(sandbox.folder / "sandbox.json", json.dumps(asdict(about), indent=2) + "\n")


def read_about(sandbox: Sandbox) -> About | None:
    """Return what the sandbox was made from, or None where nothing readable is kept."""
    try:
        kept = json.loads((sandbox.folder / "sandbox.json").read_text())
        return About(**{**kept, "kind": Kind(kept.get("kind", Kind.PRODUCTION))})
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None


def write_ports(sandbox: Sandbox, ports: dict[str, int]) -> None:
    """Write the values that params/sandbox.yaml is filled in with: the ports, and what the host calls itself."""
    write_private(sandbox.folder / "ports.json", json.dumps({**ports, "hostname": sandbox.hostname}) + "\n")


def read_ports(sandbox: Sandbox) -> dict[str, int] | None:
    try:
        found = json.loads((sandbox.folder / "ports.json").read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return {name: value for name, value in found.items() if isinstance(value, int)}


def known() -> list[str]:
    """Return the names of all sandboxes that have a state folder here."""
    place = home()
    if not place.is_dir():
        return []
    return sorted(entry.parent.name for entry in place.glob("*/ports.json") if _NAME.fullmatch(entry.parent.name))


def forget(sandbox: Sandbox) -> None:
    """Remove what is kept about a sandbox, and nothing else that may lie in a folder of that name.

    Where backups were copied off it, the password that opens them stays beside them.
    """
    kept = {"restic_password"} if (sandbox.folder / COPIES).is_dir() else set()
    for name in FILES:
        if name in kept:
            continue
        (sandbox.folder / name).unlink(missing_ok=True)
        (sandbox.folder / f"{name}.part").unlink(missing_ok=True)
    with suppress(OSError):  # not there, or not empty
        sandbox.folder.rmdir()


@contextmanager
def locked(what: str) -> Iterator[None]:
    """Hold the lock of that name; two commands that would build or change the same thing take turns.

    Locks lie in one place whatever the state folder is, since the engine is shared.
    """
    place = _default_home()
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (place / f".{what}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def forget_locks() -> None:
    """Remove the lock files, and the state folders where nothing is left in them."""
    for lock in _default_home().glob(".*.lock"):
        lock.unlink(missing_ok=True)
    for place in {home(), _default_home()}:
        with suppress(OSError):  # not there, or not empty
            place.rmdir()
