"""The public address as a visitor sees it, from the operator's machine.

Every look has its own deadline, and all run side by side. A request that fails is an answer here (that it failed is the
evidence), so `Answer.error` says why and nothing is raised for it. The standard library's client is enough and costs no
import time, which a health check at three in the morning would feel.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urljoin, urlsplit

from runbook.errors import RunbookError
from runbook.facts import LocalFact

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from runbook.parameters import Parameters, WebSettings

KEPT_BYTES = 2_000
MOST_BYTES = 32 * 1024 * 1024
MOST_ASSETS = 8
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


@dataclass(frozen=True, slots=True)
class ServedCertificate:
    """The certificate that the public address serves. `trusted` is the verdict of this machine's TLS library."""

    names: tuple[str, ...]
    subject: str
    issuer: str
    serial: str
    not_before: dt.datetime
    not_after: dt.datetime
    sha256: str
    protocol: str
    trusted: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class Web:
    """Everything that was seen of the public address."""

    front: Answer
    assets: tuple[Answer, ...]
    health: Answer
    ready: Answer | None
    version: Answer | None
    redirect: Answer | None
    certificate: ServedCertificate | None
    certificate_error: str = ""

    @property
    def ready_checks(self) -> dict[str, str]:
        """What the readiness answer says of each part; empty where it said nothing that can be read."""
        answered = self.ready.json if self.ready is not None else None
        checks = answered.get("checks") if isinstance(answered, dict) else None
        return {str(name): str(said) for name, said in checks.items()} if isinstance(checks, dict) else {}


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
        raw = dial(self.settings, self.timeout)
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


def dial(settings: WebSettings, timeout_seconds: float) -> socket.socket:
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


class _Assets(HTMLParser):
    """Collects the scripts and style sheets that a page needs."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "script":
            self.found.append(values.get("src") or "")
        elif tag == "link" and "stylesheet" in (values.get("rel") or ""):
            self.found.append(values.get("href") or "")


def assets_of(page: str, url: str) -> tuple[str, ...]:
    """Given a page and its address, return the paths of its own scripts and style sheets.

    >>> assets_of('<link rel=stylesheet href="/a.css"><script src="https://elsewhere.example/b.js"></script>', "https://pazpaz.test/")
    ('/a.css',)
    """
    parser = _Assets()
    parser.feed(page)
    here = urlsplit(url).netloc
    parts = [urlsplit(urljoin(url, reference)) for reference in parser.found if reference]
    paths = [part.path + (f"?{part.query}" if part.query else "") for part in parts if part.netloc == here]
    return tuple(dict.fromkeys(paths))[:MOST_ASSETS]


def look(parameters: Parameters) -> Web:
    """Look at the public address: page, its scripts, health, readiness, version, redirect, certificate; all at once."""
    settings = parameters.web
    if not settings.from_outside:
        raise RunbookError("web.from_outside is off in the params file: this machine may not look")
    paths = {"health": settings.health_path, "ready": settings.ready_path, "version": settings.version_path}
    with ThreadPoolExecutor(max_workers=6, thread_name_prefix="web") as threads:
        page = threads.submit(_page, settings)
        asked = {name: threads.submit(_get, settings, path) for name, path in paths.items() if path}
        redirect = threads.submit(_redirect, parameters)
        certificate = threads.submit(_certificate, settings)
        front, assets = page.result()
        answers = {name: future.result() for name, future in asked.items()}
        served, error = certificate.result()
        return Web(
            front=front,
            assets=assets,
            health=answers["health"],
            ready=answers.get("ready"),
            version=answers.get("version"),
            redirect=redirect.result(),
            certificate=served,
            certificate_error=error,
        )


def _get(settings: WebSettings, path: str) -> Answer:
    # nothing secret is sent here, so even a page behind a bad certificate is looked at; the certificate is judged apart
    with Site(settings, timeout_seconds=settings.timeout_seconds, verified=False) as site:
        return site.request("GET", path)[0]


def _page(settings: WebSettings) -> tuple[Answer, tuple[Answer, ...]]:
    with Site(settings, timeout_seconds=settings.timeout_seconds, verified=False) as site:
        front, content = site.request("GET", "/")
        if front.status != http.client.OK:
            return front, ()
        paths = assets_of(content.decode("utf-8", "replace"), f"{settings.url}/")
        return front, tuple(site.request("GET", path)[0] for path in paths)


def _redirect(parameters: Parameters) -> Answer | None:
    settings = parameters.web
    if not settings.url.startswith("https:"):
        return None
    name = urlsplit(settings.url).hostname or ""
    place = parameters.firewall.outside_connect.get(80, f"{name}:80")
    plain = settings.model_copy(update={"url": f"http://{name}", "connect_to": place})
    return _get(plain, "/")


def _certificate(settings: WebSettings) -> tuple[ServedCertificate | None, str]:
    if not settings.url.startswith("https:"):
        return None, ""
    try:
        handshake = _handshake(settings, verified=False)
    except (OSError, ValueError) as error:
        return None, reason_of(error)
    trust = ""
    try:
        _handshake(settings, verified=True)
    except (OSError, ValueError) as error:
        trust = reason_of(error)
    return read_certificate(handshake[0], protocol=handshake[1], error=trust), ""


def _handshake(settings: WebSettings, *, verified: bool) -> tuple[bytes, str]:
    name = urlsplit(settings.url).hostname or ""
    context = tls_context(settings, verified=verified)
    with (
        dial(settings, settings.timeout_seconds) as raw,
        context.wrap_socket(raw, server_hostname=name) as secure,
    ):
        return secure.getpeercert(binary_form=True) or b"", secure.version() or ""


def read_certificate(der: bytes, *, protocol: str, error: str) -> ServedCertificate:
    """Given a certificate in DER, return what it says. Raises ValueError for bytes that are none."""
    from cryptography import x509  # noqa: PLC0415 (0.1 s; this runs beside the round trip)

    certificate = x509.load_der_x509_certificate(der)
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        names = tuple(sorted(alternative.get_values_for_type(x509.DNSName)))
    except x509.ExtensionNotFound:
        names = ()
    return ServedCertificate(
        names=names,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        sha256=hashlib.sha256(der).hexdigest(),
        protocol=protocol,
        trusted=not error,
        error=error,
    )


web = LocalFact("web", look)
