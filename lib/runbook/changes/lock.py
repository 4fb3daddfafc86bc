"""One operator at a time per target: a lock on the server that names its holder.

The lock is a file made by link(2), which fails where one is there, so it names its holder from the first moment on. It lies
on disk and survives a crash of either side; it is taken away by its holder, or by somebody on purpose.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from runbook.commands import Command
from runbook.errors import LockError, RunbookError
from runbook.facts import STATE_FOLDER

if TYPE_CHECKING:
    from runbook.connection import Connection

PLACE = f"{STATE_FOLDER}/lock"
HELD = 3
BY_HAND = "a plan pasted by hand"
TAKE = """
set -eu
umask 077
mkdir -p "$1"
part="$2.$3"
printf '%s\\n' "$4" > "$part"
sync -f "$part"
if ln -T "$part" "$2" 2>/dev/null; then rm -f "$part"; echo taken; exit 0; fi
rm -f "$part"
cat "$2"
exit 3
"""
RELEASE = """
set -eu
if [ ! -e "$1" ]; then echo absent; exit 0; fi
if [ "$2" != any ] && ! grep -qF "\\"run\\": \\"$2\\"" "$1"; then cat "$1"; exit 3; fi
cat "$1"
rm -f "$1"
"""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a target: operator, machine, notebook, run, and since when (UTC, ISO 8601)."""

    operator: str
    machine: str
    notebook: str
    run: str
    since: str

    def age(self, now: dt.datetime) -> str:
        """How long it has been held, in words."""
        try:
            seconds = (now - dt.datetime.fromisoformat(self.since)).total_seconds()
        except ValueError:
            return "for an unknown time"
        return f"for {seconds / 60:.0f} min" if seconds < 7200 else f"for {seconds / 3600:.0f} h"  # noqa: PLR2004 (two hours)

    def sentence(self, now: dt.datetime) -> str:
        """Who holds the target, in words."""
        return f"{self.operator} on {self.machine} holds it {self.age(now)} with {self.notebook} (run {self.run})"


def parse(text: str) -> Holder | None:
    """Given the lock's text, return its holder; None where it cannot be read."""
    for line in text.splitlines():
        try:
            return Holder(**json.loads(line))
        except (ValueError, TypeError):
            continue
    return None


def take(connection: Connection, holder: Holder) -> None:
    """Take the lock. Raises LockError that names who holds it; one that this run holds already is fine."""
    text = json.dumps(asdict(holder))
    asked = Command(
        ("bash", "-c", TAKE, "take-lock", STATE_FOLDER, PLACE, holder.run, text),
        sudo=True,
        expect={0: "taken", HELD: "held by somebody"},
        changes=True,
        why="take the lock",
    )
    result = connection.run(asked)
    if result.exit_code == 0:
        return
    found = parse(result.stdout)
    if found is not None and found.run == holder.run:
        return
    now = dt.datetime.now(dt.UTC)
    who = found.sentence(now) if found else f"somebody holds it, and the lock cannot be read: {result.stdout[:80]!r}"
    run, target = found.run if found else "RECORD", connection.parameters.target
    unlock = f"./runbook unlock {target}"
    ways = f"./runbook resume {run}, ./runbook undo {run}, or, to only take the lock away, {unlock}"
    if found is not None and found.notebook == BY_HAND:
        ways = f"look how far it came, then {unlock}"
    raise LockError(f"{target} is being changed: {who}", remedy=f"wait or talk to them. If that run has died: {ways}")


def holder(connection: Connection) -> Holder | None:
    """Return who holds the target; None when nobody does. Raises CommandError."""
    result = connection.run(Command(("cat", PLACE), sudo=True, expect={0: "held", 1: "free"}, why="who holds the lock"))
    if result.exit_code == 1:
        return None
    return parse(result.stdout) or Holder("somebody", "an unknown machine", "an unknown notebook", "unknown", "")


def release(connection: Connection, run: str = "any") -> Holder | None:
    """Take the lock away if `run` holds it ("any": whoever does) and return who held it; None where nobody did.

    Raises LockError when another run holds it.
    """
    asked = Command(
        ("bash", "-c", RELEASE, "release-lock", PLACE, run),
        sudo=True,
        expect={0: "released", HELD: "held by another"},
        changes=True,
        why="take the lock away",
    )
    result = connection.run(asked)
    found = parse(result.stdout)
    if result.exit_code == HELD:
        who = found.sentence(dt.datetime.now(dt.UTC)) if found else "another run holds it"
        raise LockError(f"the lock is not this run's: {who}", remedy="look at that run first: ./runbook records show")
    if found is None and result.stdout.strip() not in {"", "absent"}:
        raise RunbookError(
            f"the lock could not be read: {result.stdout[:80]!r}", remedy=f"look at {PLACE} on the server"
        )
    return found
