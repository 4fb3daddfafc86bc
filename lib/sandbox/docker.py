"""The one gate to the docker command line of the outer engine."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from sandbox.errors import EngineError

LABEL = "runbook.sandbox"
"""Every container, volume and image of a practice server carries this label, so that all of it can be found."""


@dataclass(frozen=True, slots=True)
class Completed:
    """What a docker command, or a command inside a container, left."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


def docker(
    *argv: str, stdin: str | bytes | IO[bytes] | None = None, timeout_s: float = 600, check: bool = True
) -> Completed:
    """Run one docker command to its end.

    Raises:
        EngineError: the command is missing, took longer than `timeout_s`, or failed while `check` is set.
    """
    command = ("docker", *argv)
    data = stdin.encode() if isinstance(stdin, str) else stdin
    stream: dict[str, Any] = (
        {"stdin": subprocess.DEVNULL}
        if data is None
        else {"input": data}
        if isinstance(data, bytes)
        else {"stdin": data}
    )
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False, **stream)
    except FileNotFoundError:
        raise EngineError("There is no `docker` command on this machine.") from None
    except subprocess.TimeoutExpired:
        raise EngineError(f"`{' '.join(command[:3])} ...` did not end within {timeout_s:.0f} s.") from None
    completed = Completed(
        command, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    )
    if check and not completed.ok:
        reason = "\n".join(completed.stderr.strip().splitlines()[-15:])
        raise EngineError(f"`{' '.join(command[:3])} ...` failed with exit code {done.returncode}: {reason}")
    return completed


def inspect(kind: str, name: str) -> dict[str, Any] | None:
    """Given a kind (container, image, volume) and a name, return what docker knows of it, or None where there is none."""
    done = docker(kind, "inspect", name, check=False)
    if not done.ok:
        if "no such" in done.stderr.lower():
            return None
        raise EngineError(f"`docker {kind} inspect {name}` failed: {done.stderr.strip()}")
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


def exists(kind: str, name: str) -> bool:
    return inspect(kind, name) is not None


def names(kind: str, label: str = LABEL) -> list[str]:
    """Given a kind and a label (`key` or `key=value`), return the names (ids of images) that carry it."""
    if kind == "container":
        listed = docker("container", "ls", "--all", "--filter", f"label={label}", "--format", "{{.Names}}")
    elif kind == "volume":
        listed = docker("volume", "ls", "--filter", f"label={label}", "--format", "{{.Name}}")
    else:
        listed = docker("image", "ls", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}")
    return list(dict.fromkeys(listed.stdout.split()))


def remove(kind: str, targets: Sequence[str]) -> None:
    """Remove containers or volumes, or names of images; what is already gone is no error."""
    if not targets:
        return
    flags = {"container": ("--force", "--volumes"), "volume": ("--force",), "image": ()}[kind]
    done = docker(kind, "rm", *flags, *targets, check=False)
    if not done.ok and any("no such" not in line.lower() for line in done.stderr.strip().splitlines()):
        raise EngineError(f"`docker {kind} rm` failed: {done.stderr.strip()}")
