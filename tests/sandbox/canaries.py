"""Do secrets surface? Process lists are noted on both sides during a run; afterwards every place is searched.

    before = canaries.secrets_of(host)
    with canaries.Watch(host) as watch:
        desk.apply("10-maintenance/rotate-secrets", ...)
    assert watch.hits(before | canaries.secrets_of(host, "new "), desk.outputs) == []

What is found is told by name and place, never by value.
"""

from __future__ import annotations

import base64
import json
import secrets
import tempfile
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from canaries_probe import EVERY_SECONDS, command_lines

from runbook.records.journal import fallback_folder
from sandbox import docker
from sandbox.inside import execute
from sandbox.state import Sandbox

if TYPE_CHECKING:
    from conftest import Host

PROBE = Path(__file__).with_name("canaries_probe.py")
ENV_FILE = "/opt/pazpaz/.env.production"
SECRETS = ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "SECRET_KEY", "ENCRYPTION_MASTER_KEY", "S3_SECRET_KEY")
SHORTEST = 12  # a shorter one would be found by chance
HISTORIES = (".bash_history", ".zsh_history", ".python_history", ".ipython/profile_default/history.sqlite", ".lesshst")
LARGEST_BYTES = 200_000_000


def secrets_of(host: Host, prefix: str = "") -> dict[str, str]:
    """Return the stack's secrets by name, read as root."""
    lines = (line.partition("=") for line in host.sh(f"cat {ENV_FILE}").splitlines())
    found = {f"{prefix}{name}": value.strip().strip("\"'") for name, _, value in lines if name in SECRETS}
    assert len(found) == len(SECRETS), f"{ENV_FILE} lacks some of {SECRETS}"
    assert all(len(value) >= SHORTEST for value in found.values())
    return found


def forms(value: str) -> list[str]:
    """Return the texts a secret may surface as: plain, quoted for a URL, in base64 (by itself, at any offset)."""
    found = {
        value,
        urllib.parse.quote(value, safe=""),
        urllib.parse.quote(value),
        urllib.parse.quote_plus(value),
        json.dumps(value)[1:-1],
    }
    for offset in range(3):
        whole = base64.b64encode(b"\0" * offset + value.encode()).decode()
        start, end = -(-offset * 4 // 3) if offset else 0, (offset + len(value)) * 8 // 6
        found |= {whole[start:end], whole[start:end].replace("+", "-").replace("/", "_")}
    return sorted(form for form in found if len(form) >= SHORTEST)


@dataclass
class Watch:
    """Notes process lists on both sides, from `with` to its end; `hits` searches afterwards."""

    host: Host
    local: set[str] = field(default_factory=set)
    local_looks: int = 0
    server_looks: int = 0

    def __post_init__(self) -> None:
        self._place = f"/run/look-{secrets.token_hex(4)}.json"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        argv = ["python3", "-c", PROBE.read_text(), "watch", self._place]
        docker.docker("exec", "--detach", Sandbox.named(self.host.name).container, *argv)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(5)
        self.host.sh(f"touch {self._place.removesuffix('.json')}.stop")
        self.host.sh(f"for _ in $(seq 50); do [ -s {self._place} ] && exit 0; sleep 0.1; done; exit 1")

    def _look(self) -> None:
        while not self._stop.is_set():
            self.local |= command_lines()
            self.local_looks += 1
            time.sleep(EVERY_SECONDS)

    def hits(self, wanted: dict[str, str], *folders: Path) -> list[str]:
        """Given secrets by name, and the operator's folders beside the usual places, return where they are found."""
        sought = {name: forms(value) for name, value in wanted.items()}
        given = json.dumps({"forms": sought, "seen": self._place})
        done = execute(self.host.name, ["python3", "-c", PROBE.read_text(), "search"], stdin=given, check=True)
        told = json.loads(done.stdout)
        self.server_looks = told["looks"]
        found = [f"on the server: {hit}" for hit in told["hits"]]
        texts = [(f"a process list: {line.split(' ')[0]} ...", line.encode()) for line in self.local]
        texts += [(str(path), path.read_bytes()) for path in _operators_files(*folders)]
        for name, sought_forms in sought.items():
            found += [
                f"here: {name} in {place}" for place, text in texts if any(f.encode() in text for f in sought_forms)
            ]
        return sorted(set(found))


def _operators_files(*folders: Path) -> list[Path]:
    """Return records, journals, pages, histories, and what a run may have left in the temporary folder."""
    trees = [*folders, fallback_folder(), *Path(tempfile.gettempdir()).glob("runbook-*")]
    found = [path for tree in trees if tree.exists() for path in tree.rglob("*")]
    found += [Path.home() / name for name in HISTORIES]
    return [path for path in found if path.is_file() and path.stat().st_size < LARGEST_BYTES]
