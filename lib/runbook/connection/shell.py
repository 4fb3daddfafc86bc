"""One command at a time through the login shell: the way for a server without Python."""

from __future__ import annotations

import io
import secrets
import time
from typing import TYPE_CHECKING

import paramiko
from invoke.exceptions import CommandTimedOut

from runbook.commands import TIMED_OUT_EXIT_CODE, Command, Result, quote
from runbook.connection.agent import SUDO_SHELL
from runbook.connection.channel import Lost
from runbook.secrets import mask_env_values

if TYPE_CHECKING:
    from fabric import Connection as FabricConnection


def run(fabric: FabricConnection, command: Command, password: str | None) -> Result:
    """Given an open connection and a command, run it quoted through the login shell. Raises Lost."""
    mark = secrets.token_hex(12)
    line, stdin = ("LC_ALL=C " + quote(command.argv), command.stdin)
    if command.sudo:
        asking = ["sudo", "-n"] if password is None else ["sudo", "-S", "-k", "-p", ""]
        line = "LC_ALL=C " + quote([*asking, "--", "/bin/sh", "-c", SUDO_SHELL, mark, *command.argv])
        stdin = ("" if password is None else f"{password}\n") + f"{mark}\n{stdin}"
    begun = time.monotonic()
    try:
        done = fabric.run(line, hide=True, warn=True, pty=False, in_stream=io.StringIO(stdin), timeout=command.timeout)
    except CommandTimedOut as late:
        seconds = time.monotonic() - begun
        told = (mask_env_values(late.result.stdout), mask_env_values(late.result.stderr))
        return Result(command, TIMED_OUT_EXIT_CODE, *told, seconds, timed_out=True)
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Lost(str(error) or type(error).__name__) from None
    stderr, refused = done.stderr, False
    if command.sudo:
        before, found, after = stderr.partition(f"{mark}\n")
        stderr, refused = (after, False) if found else (before, True)
    told = (mask_env_values(done.stdout), mask_env_values(stderr))
    return Result(command, done.exited, *told, time.monotonic() - begun, sudo_refused=refused)
