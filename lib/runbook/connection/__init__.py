"""The one gate to the server (the only room that imports Fabric and paramiko): Fabric opens it, the agent behind it runs commands.

The host key is pinned: an unknown or changed one is refused and the message says how to pin it. Every wait has a bound.
Commands go out together over one channel (so sshd's MaxSessions may be 1) and each comes back as a `Result`.
When the connection breaks, what only reads is asked again over a new one; what may have changed something never is.

Importing this costs 0.2 s (paramiko), so whoever makes a person wait imports it late.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

import paramiko

from runbook import secrets
from runbook.commands import Command, Result
from runbook.connection import opening, shell
from runbook.connection.channel import AgentChannel, Lost, NoPython
from runbook.errors import CommandError, CommandTimedOut, ConnectionFailed, ConnectionLost, SudoError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fabric import Connection as FabricConnection

    from runbook.connection.opening import Peer
    from runbook.parameters import ConnectionSettings, Parameters


class Connection:
    """One connection to one target. Opens at first use; close it, or use it with `with`."""

    def __init__(
        self, parameters: Parameters, *, on_results: Callable[[dict[str, Result]], None] | None = None
    ) -> None:
        self.parameters = parameters
        self.settings: ConnectionSettings = parameters.connection
        self.peer: Peer | None = None
        self._on_results = on_results
        self._fabric: FabricConnection | None = None
        self._channel: AgentChannel | None = None
        self._shell_only = False
        self._password: str | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def open(self) -> Peer:
        """Connect, check the host key, start the agent. Raises HostKeyError, ConnectionFailed, SecretError."""
        with self._lock:
            if self.peer is not None and self._fabric is not None and self._fabric.is_connected:
                return self.peer
            if self.settings.sudo_password is not None and self._password is None:
                self._password = secrets.resolve(
                    self.settings.sudo_password, what=f"sudo password of {self.settings.host}"
                )
            begun = time.monotonic()
            self._fabric = opening.open_fabric(self.settings)
            self.peer = opening.peer(self._fabric, self.settings, time.monotonic() - begun)
            self._start_agent()
            return self.peer

    def close(self) -> None:
        """Close the channel and the connection; safe to call twice."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
            if self._fabric is not None:
                self._fabric.close()
            self._channel = self._fabric = self.peer = None

    @contextlib.contextmanager
    def unrecorded(self) -> Iterator[None]:
        """Leave what is asked meanwhile out of the record: a wait asks the same thing every second."""
        kept, self._on_results = self._on_results, None
        try:
            yield
        finally:
            self._on_results = kept

    def run(self, command: Command) -> Result:
        """Given a command, return its result; raise CommandError when its exit code is not a declared one."""
        result = self.run_all({"run": command})["run"]
        if result.ok:
            return result
        if result.sudo_refused:
            raise SudoError(
                result,
                host=self.settings.host,
                remedy=f"check the sudo password ({self.settings.sudo_password or 'none is configured'}) and what `sudo -l` allows",
            )
        if result.timed_out:
            raise CommandTimedOut(
                result,
                host=self.settings.host,
                remedy="look what holds it up on the server; a longer timeout is the last thing to try",
            )
        raise CommandError(result, host=self.settings.host)

    def run_all(self, commands: Mapping[str, Command]) -> dict[str, Result]:
        """Given commands by name, run them side by side in one round trip and return their results by the same names.

        Exit codes are not judged here. Raises ConnectionLost when the connection breaks and a command that changes
        something had not answered; commands that only read are asked once more over a new connection.
        """
        with self._lock:
            self.open()
            answered: dict[str, Result] = {}
            try:
                self._ask_or_retry(commands, answered)
            finally:
                if self._on_results is not None and answered:
                    self._on_results(answered)
            return {name: answered[name] for name in commands}

    def _ask_or_retry(self, commands: Mapping[str, Command], answered: dict[str, Result]) -> None:
        try:
            self._ask(commands, answered)
        except Lost as broken:
            open_ones = {name: command for name, command in commands.items() if name not in answered}
            self.close()
            doubtful = tuple(command for command in open_ones.values() if command.changes)
            if doubtful:
                raise ConnectionLost(
                    f"the connection to {self.settings.host} broke ({broken}) while these were out: "
                    + "; ".join(item.shown for item in doubtful),
                    remedy="they may or may not have taken effect, so they were not repeated: look at the server, then resume",
                    unknown=doubtful,
                ) from None
            self._retry(open_ones, answered, str(broken))

    def follow(self, command: Command) -> Iterator[str]:
        """Given a command that keeps printing, yield its output as it comes until it ends or its timeout is over.

        Stopping the iteration (or Ctrl-C) stops the command on the server. Raises ConnectionLost.
        """
        self.open()
        channel = self._channel
        if channel is None:
            yield self.run(command).stdout
            return
        try:
            yield from channel.follow(command)
        except Lost as broken:
            self.close()
            raise ConnectionLost(
                f"the connection to {self.settings.host} broke ({broken})", remedy="run it again"
            ) from None

    def round_trip_seconds(self, times: int = 5) -> float:
        """Return the median time of a message to the agent and back, in seconds."""
        self.open()
        if self._channel is None:
            begun = time.monotonic()
            self.run(Command(("true",)))
            return time.monotonic() - begun
        return sorted(self._channel.ping() for _ in range(times))[times // 2]

    def offered_authentication(self) -> tuple[str, ...]:
        """Return the login methods that the server offers to anybody (RFC 4252, the answer to method "none")."""
        peer = self.open()
        with socket.create_connection((peer.host, peer.port), timeout=self.settings.connect_timeout_seconds) as raw:
            transport = paramiko.Transport(raw)
            try:
                transport.start_client(timeout=self.settings.connect_timeout_seconds)
                transport.auth_none(peer.user)
            except paramiko.BadAuthenticationType as offered:
                return tuple(sorted(offered.allowed_types))
            except (paramiko.SSHException, EOFError) as error:
                raise ConnectionFailed(f"{peer.host} did not say which login methods it offers: {error}") from None
            finally:
                transport.close()
        return ("none",)

    def _ask(self, commands: Mapping[str, Command], answered: dict[str, Result]) -> None:
        take = answered.__setitem__
        if self._channel is not None:
            self._channel.ask(commands, take)
            return
        for name, command in commands.items():
            assert self._fabric is not None  # noqa: S101 (open() has set it; this tells the type checker)
            take(name, shell.run(self._fabric, command, self._password))

    def _retry(self, commands: dict[str, Command], answered: dict[str, Result], broken: str) -> None:
        try:
            self.open()
            self._ask(commands, answered)
        except Lost as again:
            self.close()
            raise ConnectionLost(
                f"the connection to {self.settings.host} broke twice ({broken}; then {again})",
                remedy="check the network and the server's load, then run again",
            ) from None

    def _start_agent(self) -> None:
        assert self._fabric is not None  # noqa: S101 (open() has just set it; this tells the type checker)
        if self._shell_only:
            return
        try:
            self._channel = AgentChannel(self._fabric, self._password, self.settings)
        except NoPython:
            self._shell_only, self._channel = (
                True,
                None,
            )  # no Python on the server: one command at a time through the shell
        except Lost as broken:
            self.close()
            raise ConnectionFailed(
                f"{self.settings.host} let us in, but no command could be started: {broken}",
                remedy=f"try by hand: ssh {self.settings.host} python3 --version",
            ) from None
