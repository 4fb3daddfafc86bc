"""Files in and out over SFTP, in chunks, so that memory does not grow with the file. A connection of its own.

The agent's connection may be the only session that sshd allows (MaxSessions 1), so files do not go over that one.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Self

import paramiko

from runbook.connection import opening
from runbook.errors import ConnectionLost, RunbookError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fabric import Connection as FabricConnection

    from runbook.parameters import ConnectionSettings

CHUNK_BYTES = 1 << 18
REQUESTS = 64  # read-ahead; 32 KiB each
BROKEN = (EOFError, paramiko.SSHException, ConnectionError, TimeoutError)


class Transfer:
    """One SFTP session, from `with` to its end. Raises what opening a connection raises, and ConnectionLost when it breaks."""

    def __init__(self, settings: ConnectionSettings) -> None:
        self._settings = settings
        self._fabric: FabricConnection | None = None
        self._sftp: paramiko.SFTPClient | None = None

    def __enter__(self) -> Self:
        self._fabric = opening.open_fabric(self._settings)
        try:
            self._sftp = self._fabric.sftp()
            self._sftp.get_channel().settimeout(self._settings.command_timeout_seconds)  # type: ignore[union-attr]  # it has just been opened
        except BROKEN as error:
            self._fabric.close()
            raise RunbookError(
                f"{self._settings.host} offers no SFTP: {error}",
                remedy="sshd_config there needs a line like: Subsystem sftp internal-sftp",
            ) from None
        return self

    def __exit__(self, *_error: object) -> None:
        if self._fabric is not None:
            self._fabric.close()

    @property
    def _session(self) -> paramiko.SFTPClient:
        if self._sftp is None:
            raise ValueError("a transfer is used within `with`")
        return self._sftp

    def fetch(self, path: str, *, size: int) -> Iterator[bytes]:
        """Given a file on the server and its size in bytes, yield its content. Raises RunbookError, ConnectionLost."""
        try:
            with self._session.open(path, "rb") as file:
                file.prefetch(size, max_concurrent_requests=REQUESTS)
                while data := file.read(CHUNK_BYTES):
                    yield data
        except BROKEN as error:
            raise self._lost(path, error) from None
        except OSError as error:
            raise RunbookError(
                f"{path} on {self._settings.host} cannot be read: {error}", remedy="check its owner and mode there"
            ) from None

    def send(self, path: str, chunks: Iterable[bytes], *, mode: int = 0o600) -> None:
        """Write a file on the server under a temporary name, then rename it. Raises RunbookError, ConnectionLost."""
        part = f"{path}.part"
        try:
            self._folder(path.rpartition("/")[0])
            with self._session.open(part, "wb") as file:
                file.chmod(mode)
                file.set_pipelined(True)
                for chunk in chunks:
                    file.write(chunk)
            self._session.posix_rename(part, path)
        except BROKEN as error:
            raise self._lost(path, error) from None
        except OSError as error:
            raise RunbookError(
                f"{path} on {self._settings.host} cannot be written: {error}",
                remedy="check the folder's owner and the space there",
            ) from None

    def _folder(self, path: str) -> None:
        try:
            found = self._session.stat(path)
        except FileNotFoundError:
            self._folder(path.rpartition("/")[0] or "/")
            self._session.mkdir(path, 0o700)
            return
        if not stat.S_ISDIR(found.st_mode or 0):
            raise NotADirectoryError(path)

    def _lost(self, path: str, error: BaseException) -> ConnectionLost:
        said = str(error) or type(error).__name__
        return ConnectionLost(
            f"the connection to {self._settings.host} broke at {path} ({said})",
            remedy="resume: what has arrived whole is not sent again",
        )
