"""The repository of backups, asked by restic itself: on the server, and where only its copy off the server is."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox import state
from sandbox.docker import docker
from sandbox.state import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Host

ENVIRONMENT = (
    "export RESTIC_REPOSITORY=/opt/pazpaz/backups/restic RESTIC_PASSWORD_FILE=/etc/runbook/restic-password HOME=/root;"
)


def restic(host: Host, words: str, *, check: bool = True) -> str:
    """Run restic on the server."""
    return host.sh(f"{ENVIRONMENT} restic --no-cache {words}", check=check)


def snapshots(host: Host) -> list[dict[str, Any]]:
    """Return what restic says of its snapshots."""
    found: list[dict[str, Any]] = json.loads(restic(host, "snapshots --json") or "[]") or []
    return found


def forge(host: Host, days: int, *, classes: str = "database configuration certificates uploads manifest") -> str:
    """Put a run into the repository that is so many days old, and return its stamp."""
    return host.sh(f"""{ENVIRONMENT} set -eu
    run=$(date -u -d '{days} days ago' +%Y%m%dT%H%M%SZ); at=$(date -u -d '{days} days ago' '+%Y-%m-%d %H:%M:%S')
    mkdir -p /var/tmp/forged; head -c 20000 /dev/urandom > /var/tmp/forged/{days}
    for class in {classes}; do
        restic --no-cache --quiet backup --time "$at" --host sandbox --tag "$run" --tag "$class" /var/tmp/forged/{days} >&2
    done
    printf %s "$run" """)


@dataclass(frozen=True)
class Elsewhere:
    """A container that has the copies off the server, restic, and nothing of the server: no network, no files."""

    place: Path
    image: str
    password: str

    @classmethod
    def of(cls, host: Host) -> Elsewhere:
        """Return it for a server's copies; the newest repository where there are several."""
        sandbox = Sandbox.named(host.name)
        folders = sorted(
            (sandbox.folder / state.COPIES).glob("repository-*/mirror.json"), key=lambda path: path.stat().st_mtime
        )
        image = json.loads(docker("inspect", sandbox.container).stdout)[0]["Image"]
        return cls(folders[-1].parent, image, (sandbox.folder / "restic_password").read_text().strip())

    def sh(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script with the repository at /copies, read-only; what it prints is returned."""
        argv = [
            "docker", "run", "--rm", "--interactive", "--network=none", "--entrypoint=bash", "--volume", f"{self.place}:/copies:ro", "--env=RESTIC_PASSWORD",
            self.image, "-ec", f'export RESTIC_REPOSITORY=/copies HOME=/tmp; restic() {{ command restic --no-cache --no-lock "$@"; }}; {script}',
        ]  # fmt: skip
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=os.environ | {"RESTIC_PASSWORD": self.password})  # fmt: skip
