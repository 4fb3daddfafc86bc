"""What a sandbox is like, seen from the outer engine."""

import datetime as dt
from dataclasses import dataclass

from sandbox import golden, state
from sandbox.docker import docker, inspect
from sandbox.kind import Kind
from sandbox.state import Sandbox


@dataclass(frozen=True, slots=True)
class Status:
    """What a sandbox is like, seen from the outer engine."""

    name: str
    state: str
    """`running`, `exited` and so on as docker says; `absent`; `unfinished` where making it was cut short or goes on."""
    ports: dict[str, int]
    golden: str
    is_current: bool
    """Whether it was made from the tree as it is now."""
    kind: Kind
    rows: int
    disk: str | None
    created: str
    age_s: float
    size_bytes: int
    """Size of what this sandbox alone holds: its file system layer and its engine's data."""
    folder: str

    @property
    def described(self) -> str:
        """What it was asked to be, in a few words for people."""
        return state.described(self.kind, self.rows, self.disk)


def exists(name: str = state.DEFAULT_NAME) -> bool:
    """Whether there is a sandbox of that name, running or not; one whose making was cut short does not count."""
    sandbox = Sandbox.named(name)
    about = state.read_about(sandbox)
    return about is not None and about.is_whole and inspect("container", sandbox.container) is not None


def status(name: str = state.DEFAULT_NAME, *, size: bool = False) -> Status:
    """Return what the sandbox is like.

    Args:
        name: of the sandbox.
        size: also measure its size, which takes some tenths of a second; 0 otherwise.
    """
    sandbox = Sandbox.named(name)
    found, about = inspect("container", sandbox.container), state.read_about(sandbox)
    created = about.created if about else ""
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(created) if created else dt.timedelta()
    if found is None:
        condition = "absent"
    elif about is None or not about.is_whole:
        condition = "unfinished"
    else:
        condition = str(found["State"]["Status"])
    return Status(
        name=name,
        state=condition,
        ports=state.read_ports(sandbox) or {},
        golden=about.golden if about else "",
        is_current=bool(about and about.golden == golden.of_this_tree().hash),
        kind=about.kind if about else Kind.PRODUCTION,
        rows=about.rows if about else 0,
        disk=about.disk if about else None,
        created=created,
        age_s=age.total_seconds(),
        size_bytes=_size_bytes(sandbox) if size and found else 0,
        folder=str(sandbox.folder),
    )


def _size_bytes(sandbox: Sandbox) -> int:
    listed = docker("container", "inspect", "--size", "--format={{.SizeRw}}", sandbox.container).stdout
    data = docker("exec", sandbox.container, "du", "-xsb", "/var/lib/docker", check=False).stdout.split()
    return int(listed) + (int(data[0]) if data else 0)
