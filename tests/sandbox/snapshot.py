"""What a practice server is like, seen by other means than the library, to be compared before and after.

before = snapshot.take(host)
...
assert before.differences(snapshot.take(host)) == []                            # a dry run: not even a restart
assert before.differences(snapshot.take(host), ignore=snapshot.UNDONE) == []    # undone: as it was, processes are new ones
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.inside import execute

if TYPE_CHECKING:
    from collections.abc import Collection

    from conftest import Host

PROBE = Path(__file__).with_name("snapshot_probe.py")
UNDONE = ("started", "file /var/lib/runbook")
"""What may differ after an undo: containers are new processes, and the undo material may lie there still."""


@dataclass(frozen=True)
class Snapshot:
    """`lines` maps "topic name" ("file /etc/hosts", "table clients", "container pazpaz-api") to what it is like."""

    lines: dict[str, str]

    @property
    def hash(self) -> str:
        """One word for all of it."""
        return hashlib.sha256(json.dumps(self.lines, sort_keys=True).encode()).hexdigest()[:16]

    def topic(self, name: str) -> dict[str, str]:
        """Return what is said of one topic, by name: `clients` among "table"."""
        return {key.split(" ", 1)[1]: value for key, value in self.lines.items() if key.startswith(f"{name} ")}

    def differences(self, other: Snapshot, *, ignore: Collection[str] = ()) -> list[str]:
        """Given a later snapshot, return one readable line for each difference.

        `ignore` holds the beginnings of lines that do not count: "started", "file /opt/pazpaz/backups".
        """
        told = []
        for key in sorted(self.lines.keys() | other.lines.keys()):
            was, now = self.lines.get(key), other.lines.get(key)
            if was == now or key.startswith(tuple(ignore)):
                continue
            if was is None:
                told.append(f"{key}: is new ({now})")
            elif now is None:
                told.append(f"{key}: is gone ({was})")
            else:
                told.append(f"{key}: {_changed(was, now)}")
        return told


def _changed(was: str, now: str) -> str:
    """Say only the words that differ, where there are as many in both."""
    before, after = was.split(" "), now.split(" ")
    if len(before) == len(after):
        changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        return ", ".join(f"{old} became {new}" for old, new in changed)
    return f"{was} became {now}"


def take(host: Host) -> Snapshot:
    """Look at the server once, as root through the outer engine."""
    done = execute(host.name, ["python3", "-c", PROBE.read_text()], check=True)
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return Snapshot({f"{topic} {name}": value for topic, told in found.items() for name, value in told.items()})
