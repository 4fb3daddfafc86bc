"""The practice server that all tests of a run share: started once, brought back to the known state when a test says so.

A test that needs it fails where none can start; it is never skipped.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from changes import Desk, Warm

from runbook import parameters
from runbook.connection import Connection
from sandbox import lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INSTANCE = "sandbox"


@dataclass(frozen=True)
class Host:
    """The server seen by other means than the library: through the outer engine, as root."""

    name: str

    def sh(self, script: str, *, check: bool = True, user: str = "root") -> str:
        """Run a shell script on the server and return what it printed."""
        done = lifecycle.execute(self.name, ["bash", "-c", script], user=user)
        assert done.ok or not check, f"{script}: {done.exit_code}: {done.stderr}"
        return done.stdout

    def compose(self, *words: str) -> str:
        """Run docker compose in the stack's folder."""
        return self.sh(
            f"cd /opt/pazpaz && docker compose -f docker-compose.prod.yml --env-file .env.production {' '.join(words)}"
        )

    def paste(self, text: str) -> str:
        """Have a root shell read what was printed to be pasted, and return everything that it says."""
        self.sh(f"cat > /tmp/instructions <<'END_OF_TEXT'\n{text}\nEND_OF_TEXT")
        return self.sh("cd /; bash < /tmp/instructions 2>&1; rm /tmp/instructions")

    def reset(self) -> None:
        """Bring the server back to the known state."""
        lifecycle.reset(self.name)


@pytest.fixture(scope="session")
def host() -> Host:
    """The server, up and in the known state."""
    if lifecycle.exists(INSTANCE) and os.environ.get("RUNBOOK_TEST_SERVER") == "keep":  # while writing tests
        lifecycle.up(INSTANCE)
    elif lifecycle.exists(INSTANCE):
        lifecycle.reset(INSTANCE, rebuild=True)
    else:
        lifecycle.up(INSTANCE)
    return Host(INSTANCE)


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """Forked runs (see warm.py): the same cells and the same core, without the start of a runner and of a kernel each."""
    with contextlib.closing(Warm()) as forks:
        yield forks


@pytest.fixture
def desk(tmp_path: Path, host: Host, warm: Warm) -> Desk:
    """An operator's desk with forked runs; a file whose desk needs more has one of its own."""
    return Desk(tmp_path, f"sandbox@{host.name}", warm=warm)


@pytest.fixture
def settings(host: Host) -> parameters.Parameters:
    """The params file of the server."""
    return parameters.load(f"sandbox@{host.name}")


@pytest.fixture
def connection(settings: parameters.Parameters) -> Iterator[Connection]:
    """A connection as the notebooks have it."""
    with Connection(settings) as opened:
        yield opened


def https(settings: parameters.Parameters, path: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Fetch a page with curl, as a user would: by name, with the practice CA."""
    port = (settings.web.connect_to or "").rsplit(":", 1)[-1]
    argv = [
        "curl",
        "-sS",
        "-m",
        "10",
        "--cacert",
        str(settings.web.ca),
        "--connect-to",
        f"pazpaz.test:443:127.0.0.1:{port}",
        *options,
    ]
    return subprocess.run([*argv, f"https://pazpaz.test{path}"], capture_output=True, text=True, check=False)
