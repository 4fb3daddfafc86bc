"""Long steps: they run on the server as a transient systemd unit, so a dropped connection does not kill them.

`start` is idempotent by name: where the unit is there already (a second start, after a lost connection), it is found
again. Output goes to the server's journal; state and exit code come from `systemctl show` (properties as described in
org.freedesktop.systemd1(5)). A finished unit stays until `forget`, so that its end can be read late.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.commands import Command
from runbook.errors import CommandError, CommandTimedOut, ConnectionLost, ParseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.connection import Connection

PREFIX = "runbook-"
POLL_SECONDS = 0.5
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,180}", re.ASCII)
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
PROPERTIES = ("LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus", "ExecMainCode")


@dataclass(frozen=True, slots=True)
class LongState:
    """Where a long step stands: `phase` is "absent", "running", "succeeded" or "failed"; `exit_code` once it ended."""

    phase: str
    exit_code: int | None = None
    result: str = ""


def unit_name(name: str) -> str:
    """Given a step's name (lower-case letters, digits, dots, dashes), return its unit's. Raises ValueError."""
    if not NAME.fullmatch(name):
        raise ValueError(f"not a step's name: {name!r} (lower-case letters, digits, dots and dashes)")
    return f"{PREFIX}{name}.service"


def start_command(name: str, command: Command, account: str = "root") -> Command:
    """Given a step, return the command that starts it as a transient unit that runs as `account`.

    Naming the account makes systemd set HOME and the supplementary groups as a login would (systemd.exec(5), User=).
    """
    limits = ["--property=Type=exec", "--property=RemainAfterExit=yes", f"--property=RuntimeMaxSec={command.timeout:g}"]
    words = [f"--uid={account}", *(f"--setenv={name}={value}" for name, value in ENVIRONMENT.items())]
    argv = ("systemd-run", f"--unit={unit_name(name)}", "--quiet", *limits, *words, "--")
    # systemd puts variables into arguments by itself; a doubled dollar sign is a plain one (systemd.service(5), COMMAND LINES)
    argv += tuple(word.replace("$", "$$") for word in command.argv)
    return Command(argv, sudo=True, changes=True, secret=command.secret, why=command.why)


def state_command(name: str) -> Command:
    """Return the command that asks where a step stands."""
    return Command(("systemctl", "show", unit_name(name), f"--property={','.join(PROPERTIES)}"))


def parse_state(text: str) -> LongState:
    """Given the output of `systemctl show`, return where the step stands.

    Sample output::

        LoadState=loaded
        ActiveState=active
        SubState=exited
        Result=success
        ExecMainStatus=0
        ExecMainCode=1
    """
    fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    if not fields.keys() >= set(PROPERTIES):
        raise ParseError("systemctl show", text[:200] or "(nothing)")
    if fields["LoadState"] == "not-found":
        return LongState("absent")
    code = int(fields["ExecMainStatus"])
    if fields["ActiveState"] in {"activating", "deactivating"} or fields["SubState"] == "running":
        return LongState("running")
    if fields["ActiveState"] == "active" and fields["SubState"] == "exited":
        return LongState("succeeded" if code == 0 else "failed", code, fields["Result"])
    return LongState("failed", code, fields["Result"])


def start(connection: Connection, name: str, command: Command, *, account: str = "root") -> LongState:
    """Start a step, or find it again when it is there. Raises CommandError."""
    found = state(connection, name)
    if found.phase != "absent":
        return found
    try:
        connection.run(start_command(name, command, account))
    except ConnectionLost:
        # the one change that may be asked about again: the unit's name tells whether it was started
        found = state(connection, name)
        if found.phase == "absent":
            raise
        return found
    return state(connection, name)


def state(connection: Connection, name: str) -> LongState:
    """Ask where a step stands."""
    return parse_state(connection.run(state_command(name)).stdout)


def wait(
    connection: Connection, name: str, *, seconds: float, progress: Callable[[float], None] | None = None
) -> LongState:
    """Wait until a step has ended, at most `seconds`; a lost connection is opened again. Raises CommandTimedOut."""
    begun = time.monotonic()
    while True:
        found = state(connection, name)
        passed = time.monotonic() - begun
        if found.phase != "running":
            return found
        if passed > seconds:
            late = connection.run_all({"state": state_command(name)})["state"]
            raise CommandTimedOut(
                late,
                remedy=f"the step still runs as {unit_name(name)}; wait again, or stop it: sudo systemctl stop {unit_name(name)}",
            )
        if progress is not None:
            progress(passed)
        time.sleep(POLL_SECONDS)


def output(connection: Connection, name: str, *, lines: int = 200) -> str:
    """Return the last lines that a step printed."""
    return connection.run(
        # what the unit wrote last may not have reached the journal's file yet: --sync waits for it
        Command(
            (
                "sh",
                "-c",
                'journalctl --sync; exec journalctl "_SYSTEMD_UNIT=$0" -o cat -n "$1" --no-pager',
                unit_name(name),
                str(lines),
            ),
            sudo=True,
        )
    ).stdout


def stop(connection: Connection, name: str) -> None:
    """Stop a step and forget it."""
    connection.run(
        Command(("systemctl", "stop", unit_name(name)), sudo=True, changes=True, expect={0: "stopped", 5: "not there"})
    )
    forget(connection, name)


def forget(connection: Connection, name: str) -> None:
    """Let systemd drop a finished step, so that its name is free again. Raises CommandError."""
    connection.run(
        Command(("systemctl", "stop", unit_name(name)), sudo=True, changes=True, expect={0: "stopped", 5: "not there"})
    )
    connection.run(
        Command(
            ("systemctl", "reset-failed", unit_name(name)), sudo=True, changes=True, expect={0: "ok", 1: "not there"}
        )
    )


def run(connection: Connection, name: str, command: Command, *, progress: Callable[[float], None] | None = None) -> str:
    """Run a step to its end and return what it printed. Raises CommandError when it failed."""
    start(connection, name, command)
    ended = wait(connection, name, seconds=command.timeout + 30, progress=progress)
    text = output(connection, name)
    if ended.phase != "succeeded":
        failed = connection.run_all({"state": state_command(name)})["state"]
        raise CommandError(failed, remedy=f"its last lines:\n{text[-2000:]}")
    forget(connection, name)
    return text
