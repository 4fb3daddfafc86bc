"""HTTP requests from the operator's machine, each with a deadline of its own.

A request that fails is an answer here (that it failed is the evidence): `Answer.error` says why. The standard library's
client is enough and costs no import time, which a health check at three in the morning would feel.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from runbook.errors import RunbookError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.parameters import WebSettings


KEPT_BYTES = 2_000


MOST_BYTES = 32 * 1024 * 1024


READ_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request got. `status` is 0 where there was no answer at all; then `error` says why."""

    path: str
    status: int
    milliseconds: float
    content_type: str = ""
    location: str = ""
    size_bytes: int = 0
    text: str = ""
    error: str = ""

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


class Site:
    """HTTP requests to the target's address, on one kept connection. Not for several threads at once."""

    def __init__(self, settings: WebSettings, *, timeout_seconds: float, verified: bool) -> None:
        self.settings = settings
        self.timeout = timeout_seconds
        self._context = tls_context(settings, verified=verified)
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def request(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[Answer, bytes]:
        """Send one request and return its answer and whole body; what went wrong stands in `answer.error`."""
        begun = time.monotonic()
        try:
            response, content = self._send(method, path, body, headers or {}, begun + self.timeout)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            return Answer(path, 0, _since(begun), error=reason_of(error)), b""
        answer = Answer(
            path=path,
            status=response.status,
            milliseconds=_since(begun),
            content_type=response.headers.get("Content-Type", ""),
            location=response.headers.get("Location", ""),
            size_bytes=len(content),
            text=content[:KEPT_BYTES].decode("utf-8", "replace"),
        )
        return answer, content

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], deadline: float
    ) -> tuple[http.client.HTTPResponse, bytes]:
        connection = self._connection or self._connect()
        sent = {"Host": urlsplit(self.settings.url).netloc, "User-Agent": "runbook", **headers}
        connection.request(method, path, body=body, headers=sent)
        response = connection.getresponse()
        parts, size = [], 0
        while True:
            left = deadline - time.monotonic()
            if left <= 0:  # a server that drips byte by byte never runs into the socket's own timeout
                raise TimeoutError(f"no complete answer within {self.timeout:g} s")
            if connection.sock is not None:
                connection.sock.settimeout(left)
            data = response.read1(READ_BYTES)
            if not data:
                break
            parts.append(data)
            size += len(data)
            if size > MOST_BYTES:
                raise ValueError(f"the answer is longer than {MOST_BYTES} bytes")
        response.read()  # nothing is left, but only this tells the connection that it is free for the next request
        if response.will_close:
            self.close()
        return response, b"".join(parts)

    def _connect(self) -> http.client.HTTPConnection:
        raw = connect(self.settings, self.timeout)
        name = urlsplit(self.settings.url).hostname or ""
        connection = http.client.HTTPConnection(name, timeout=self.timeout)
        secure = self.settings.url.startswith("https:")
        try:
            connection.sock = self._context.wrap_socket(raw, server_hostname=name) if secure else raw
        except OSError:
            raw.close()
            raise
        self._connection = connection
        return connection


def _since(begun: float) -> float:
    return round((time.monotonic() - begun) * 1000, 1)


def reason_of(error: Exception) -> str:
    """Given what a network call raised, return it in words."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the server closed the connection without an answer"
    if isinstance(error, socket.gaierror):
        return "the name does not resolve"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def address(settings: WebSettings) -> tuple[str, int]:
    """Return where to connect to: `connect_to` where it is set, else what the URL says."""
    if settings.connect_to:
        host, _, port = settings.connect_to.rpartition(":")
        return host.strip("[]"), int(port)
    parts = urlsplit(settings.url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def connect(settings: WebSettings, timeout_seconds: float) -> socket.socket:
    """Return a TCP connection to the public address. Raises OSError."""
    raw = socket.create_connection(address(settings), timeout=timeout_seconds)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return raw


def tls_context(settings: WebSettings, *, verified: bool) -> ssl.SSLContext:
    """Return the TLS settings: this machine's authorities, or the target's own `ca`; unverified only to look at."""
    if not verified:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if settings.ca is None:
        return ssl.create_default_context()
    path = Path(settings.ca).expanduser()
    try:
        return ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise RunbookError(
            f"web.ca: {path} cannot be used: {error}", remedy="put the authority's certificate (PEM) there"
        ) from None
