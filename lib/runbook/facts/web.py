"""The public address as a visitor sees it, from the operator's machine; every look runs beside the others."""

from __future__ import annotations

import hashlib
import http.client
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from runbook.errors import RunbookError
from runbook.facts import LocalFact
from runbook.facts.http import Answer, Site, connect, reason_of, tls_context

if TYPE_CHECKING:
    import datetime as dt

    from runbook.parameters import Parameters, WebSettings


MOST_ASSETS = 8


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
        connect(settings, settings.timeout_seconds) as raw,
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
