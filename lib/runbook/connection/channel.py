"""Our end of the agent: frames out, frames in, over one SSH channel."""

from __future__ import annotations

import base64
import json
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paramiko

from runbook.commands import NOT_FOUND_EXIT_CODE, Command, Result
from runbook.secrets import mask_env_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fabric import Connection as FabricConnection

    from runbook.parameters import ConnectionSettings

ANSWER_MARGIN_SECONDS = 15.0
GREETING_SECONDS = 20.0
READ_BYTES = 1 << 16
AGENT = Path(__file__).with_name("agent.py")
# the login shell may be any; it is only ever given this constant and a number
START = 'exec python3 -I -S -u -c "import sys; exec(sys.stdin.buffer.read({size})); main()"'


class Lost(Exception):
    """The channel broke. Seen by Connection only, which decides what may be asked again."""


class NoPython(Exception):
    """The server has no Python 3."""


class AgentChannel:
    """The agent's end on our side: frames out, frames in."""

    def __init__(self, fabric: FabricConnection, password: str | None, settings: ConnectionSettings) -> None:
        self._numbers = 0
        self._buffer = b""
        self._settings = settings
        script = AGENT.read_bytes()
        nonce = secrets.token_hex(12)
        greeting = {
            "nonce": nonce,
            "password": None if password is None else base64.b64encode(password.encode()).decode(),
        }
        try:
            self._channel = fabric.create_session()
            self._channel.settimeout(GREETING_SECONDS)
            self._channel.exec_command(START.format(size=len(script)))
            self._channel.sendall(script + json.dumps(greeting).encode("ascii") + b"\n")
            self._greet(nonce)
        except TimeoutError:
            raise Lost(f"no answer within {GREETING_SECONDS:g} s") from None
        except (OSError, EOFError) as error:
            raise Lost(str(error) or "the channel was closed") from None
        except paramiko.SSHException as error:
            raise Lost(str(error)) from None

    def _greet(self, nonce: str) -> None:
        """Skip what the login shell printed until the agent's greeting."""
        deadline = time.monotonic() + GREETING_SECONDS
        skipped: list[bytes] = []
        while time.monotonic() < deadline:
            try:
                line = self._line(deadline)
            except Lost:
                self._channel.status_event.wait(1)  # the exit status comes just after the end of the output
                status = self._channel.exit_status
                told = (
                    self._channel.recv_stderr(4096).decode(errors="replace").strip()
                    if self._channel.recv_stderr_ready()
                    else ""
                )
                if status == NOT_FOUND_EXIT_CODE:
                    raise NoPython(told) from None
                raise Lost(
                    told or b"\n".join(skipped).decode(errors="replace")[-300:] or "the channel was closed"
                ) from None
            if line.startswith(b'{"hello"') and json.loads(line)["hello"] == nonce:
                return
            skipped.append(line)
        raise Lost("the login shell kept printing and the agent never answered")

    def ask(self, commands: Mapping[str, Command], take: Callable[[str, Result], None]) -> None:
        """Send all commands, hand each result to `take` as it comes. Raises Lost."""
        numbers = {self._next(): (name, command) for name, command in commands.items()}
        self._send(*(_request(number, command) for number, (_name, command) in numbers.items()))
        deadline = (
            time.monotonic()
            + sum(sorted(command.timeout for command in commands.values())[-1:]) * (1 + len(commands) // 8)
            + ANSWER_MARGIN_SECONDS
        )
        try:
            while numbers:
                message = self._message(deadline)
                if message.get("id") in numbers and "code" in message:
                    name, command = numbers.pop(message["id"])
                    take(name, _result(command, message))
        except KeyboardInterrupt:
            self._send(*({"cancel": number} for number in numbers))
            raise

    def follow(self, command: Command) -> Iterator[str]:
        """Yield the command's output as it comes; the command is cancelled when the iteration is stopped."""
        number = self._next()
        self._send(_request(number, command, stream=True))
        deadline = time.monotonic() + command.timeout + ANSWER_MARGIN_SECONDS
        done = False
        try:
            while not done:
                message = self._message(deadline)
                if message.get("id") != number:
                    continue
                if "chunk" in message:
                    yield base64.b64decode(message["chunk"]).decode(errors="replace")
                done = "code" in message
        finally:
            if not done:
                self._send({"cancel": number})

    def ping(self) -> float:
        """Return the seconds of one message there and back."""
        number, begun = self._next(), time.monotonic()
        self._send({"ping": number})
        while self._message(begun + ANSWER_MARGIN_SECONDS).get("pong") != number:
            pass
        return time.monotonic() - begun

    def close(self) -> None:
        """End the agent: it stops what only reads."""
        self._channel.close()

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _send(self, *messages: dict[str, Any]) -> None:
        data = b"".join(json.dumps(message).encode("ascii") + b"\n" for message in messages)
        try:
            self._channel.settimeout(self._settings.command_timeout_seconds)
            self._channel.sendall(data)
        except (OSError, EOFError, TimeoutError) as error:
            raise Lost(str(error) or type(error).__name__) from None

    def _message(self, deadline: float) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self._line(deadline))
        return message

    def _line(self, deadline: float) -> bytes:
        parts = [self._buffer]
        while b"\n" not in parts[-1]:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Lost("no answer in time")
            self._channel.settimeout(left)
            try:
                data = self._channel.recv(READ_BYTES)
            except TimeoutError:
                raise Lost("no answer in time") from None
            except (OSError, EOFError) as error:
                raise Lost(str(error) or type(error).__name__) from None
            if not data:
                raise Lost("the server closed the channel")
            parts.append(data)
        line, _, self._buffer = b"".join(parts).partition(b"\n")
        return line


def _request(number: int, command: Command, *, stream: bool = False) -> dict[str, Any]:
    return {
        "id": number,
        "argv": list(command.argv),
        "stdin": base64.b64encode(command.stdin.encode("utf-8", "surrogateescape")).decode("ascii"),
        "timeout": command.timeout,
        "sudo": command.sudo,
        "changes": command.changes,
        "limit": command.limit,
        "stream": stream,
    }


def _result(command: Command, message: dict[str, Any]) -> Result:
    return Result(
        command=command,
        exit_code=message["code"],
        stdout=mask_env_values(base64.b64decode(message["out"]).decode("utf-8", "replace")),
        stderr=mask_env_values(base64.b64decode(message["err"]).decode("utf-8", "replace")),
        duration_seconds=message["seconds"],
        timed_out=message["timed_out"],
        truncated=message["truncated"],
        sudo_refused=message["sudo_refused"],
    )
