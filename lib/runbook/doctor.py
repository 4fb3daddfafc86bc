"""What must be there for the runbook to work, looked at one by one; each finding names its remedy."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runbook.errors import RunbookError
from runbook.parameters import load, project_root
from runbook.records.journal import outputs_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OLDEST_PYTHON = (3, 11)
FREE_GIGABYTES = {"outputs": 0.5, "sandbox": 6.0}
SANDBOX_PORTS = (2222, 8443, 8080, 9999)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `state`: OK, WARNING (works without) or CRITICAL (does not work)."""

    what: str
    state: str
    seen: str
    remedy: str = ""


def python() -> Finding:
    """Python is new enough."""
    seen = f"{sys.version.split()[0]} in {sys.prefix}"
    if sys.version_info < OLDEST_PYTHON:
        return Finding("python", "CRITICAL", seen, "install Python 3.11 or newer, delete .venv, run ./runbook again")
    return Finding("python", "OK", seen)


def environment() -> Finding:
    """What pyproject.toml asks for is installed."""
    import importlib.metadata  # noqa: PLC0415 (20 ms)

    try:
        wanted = importlib.metadata.requires("runbook") or []
    except importlib.metadata.PackageNotFoundError:
        return Finding(
            "environment", "CRITICAL", "runbook itself is not installed", "delete .venv and run ./runbook again"
        )
    from packaging.requirements import Requirement  # noqa: PLC0415 (as above)

    missing = []
    for text in wanted:
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": "test"}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            missing.append(f"{requirement.name} {version} ({requirement.specifier} is wanted)")
    if missing:
        return Finding(
            "environment", "CRITICAL", f"not as wanted: {', '.join(missing)}", "delete .venv and run ./runbook again"
        )
    return Finding("environment", "OK", f"{len(wanted)} requirements met")


def outputs() -> Finding:
    """Records can be written."""
    folder = outputs_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".doctor-{os.getpid()}"
        probe.write_bytes(b"x" * 4096)
        probe.unlink()
    except OSError as error:
        return Finding(
            "outputs",
            "CRITICAL",
            f"{folder}: {error.strerror}",
            "free space or mend its rights, or set RUNBOOK_OUTPUTS",
        )
    free = shutil.disk_usage(folder).free / 1e9
    if free < FREE_GIGABYTES["outputs"]:
        return Finding(
            "outputs", "WARNING", f"{folder}: {free:.1f} GB free", "free some space: a record takes 0.1 to 2 MB"
        )
    return Finding("outputs", "OK", f"{folder}: {free:.0f} GB free")


def ssh() -> Finding:
    """An ssh client is there (the library has its own; a person needs one)."""
    found = shutil.which("ssh")
    if not found:
        return Finding(
            "ssh client",
            "WARNING",
            "none",
            "install it (Debian: apt-get install openssh-client): ./runbook sandbox ssh needs it",
        )
    version = subprocess.run([found, "-V"], capture_output=True, text=True, check=False, timeout=10)
    return Finding("ssh client", "OK", (version.stderr or version.stdout).strip())


def docker() -> Finding:
    """A Docker engine answers (for the practice server)."""
    found = shutil.which("docker")
    remedy = (
        "on Debian or Ubuntu as root, ./runbook demo installs and starts one; elsewhere install Docker and start it"
    )
    if not found:
        return Finding("docker", "WARNING", "no docker command; only the practice server needs it", remedy)
    try:
        done = subprocess.run(
            [found, "info", "--format", "{{.ServerVersion}}, {{.NCPU}} CPUs, {{.MemTotal}} bytes, cgroup v{{.CgroupVersion}}"],
            capture_output=True, text=True, check=False, timeout=20,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Finding("docker", "WARNING", "the engine does not answer within 20 s", "restart it")
    if done.returncode != 0:
        return Finding("docker", "WARNING", (done.stderr.strip().splitlines() or ["no answer"])[-1], remedy)
    return Finding("docker", "OK", done.stdout.strip())


def space() -> Finding:
    """The practice server has room."""
    place = Path("/var/lib/docker") if Path("/var/lib/docker").exists() else Path("/")
    free = shutil.disk_usage(place).free / 1e9
    if free < FREE_GIGABYTES["sandbox"]:
        return Finding(
            "disk space",
            "WARNING",
            f"{place}: {free:.1f} GB free",
            "the practice server wants 6 GB; ./runbook sandbox down --all gives back its own",
        )
    return Finding("disk space", "OK", f"{place}: {free:.0f} GB free")


def ports() -> Finding:
    """The ports that the practice server likes best are free, or taken by it."""
    taken = []
    for port in SANDBOX_PORTS:
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    taken.append(port)
    seen = (
        "all free"
        if not taken
        else f"in use: {', '.join(map(str, taken))} (by a practice server, or another is chosen)"
    )
    return Finding("ports", "OK", seen)


def target(name: str) -> Iterator[Finding]:
    """The target's params file is right, and the server lets us in."""
    from runbook.connection import Connection  # noqa: PLC0415 (paramiko)

    try:
        settings = load(name)
    except RunbookError as error:
        yield Finding(f"params of {name}", "CRITICAL", error.reason, error.remedy)
        return
    yield Finding(f"params of {name}", "OK", f"{settings.purpose} ({settings.environment})")
    connection = Connection(settings)
    try:
        peer = connection.open()
    except RunbookError as error:
        yield Finding(f"connection to {name}", "CRITICAL", error.reason, error.remedy)
        return
    finally:
        connection.close()
    yield Finding(f"connection to {name}", "OK", f"{peer.user}@{peer.host}:{peer.port} in {peer.connect_seconds:.2f} s")


CHECKS: tuple[Callable[[], Finding], ...] = (python, environment, outputs, ssh, docker, space, ports)


def notebooks() -> Finding:
    """The notebooks are there and can be read."""
    from runbook.notebook import find, names  # noqa: PLC0415 (with its kin)

    known = names()
    try:
        for name in known:
            find(name)
    except RunbookError as error:
        return Finding("notebooks", "CRITICAL", error.reason, error.remedy)
    if not known:
        return Finding(
            "notebooks",
            "CRITICAL",
            f"none in {project_root() / 'notebooks'}",
            "restore them from git, or set RUNBOOK_ROOT",
        )
    return Finding("notebooks", "OK", f"{len(known)} in {project_root() / 'notebooks'}")
