"""Certificates on disk and as served, with their keys' public halves: a private key never leaves the server."""

from __future__ import annotations

import hashlib
import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.commands import TIMED_OUT_EXIT_CODE, Command
from runbook.errors import ParseError
from runbook.facts import Fact
from runbook.facts.units import Unit, parse_show, show

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

    from cryptography import x509

    from runbook.commands import Result
    from runbook.parameters import Certificate, Parameters

PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
# $1 container, $2 port, $3 starttls protocol or "no", $4 name asked for, then more options of s_client; a container is
# reached by its own address on the server
SERVED = r"""address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' -- "$1" | cut -d' ' -f1)
[ -n "$address" ] || { echo "the container has no address: it does not run" >&2; exit 1; }
place=$address:$2 starttls=$3 name=$4; shift 4
if [ "$starttls" != no ]; then set -- -starttls "$starttls" "$@"; fi
timeout 8 openssl s_client -connect "$place" -servername "$name" -showcerts "$@" </dev/null 2>&1"""


@dataclass(frozen=True, slots=True)
class Leaf:
    """What one certificate says. Times are UTC; `sha256` is the fingerprint of the whole certificate."""

    names: tuple[str, ...]
    subject: str
    issuer: str
    serial: str
    not_before: dt.datetime
    not_after: dt.datetime
    sha256: str
    is_authority: bool


@dataclass(frozen=True, slots=True)
class CertificateFact:
    """One certificate of the params file: on disk, its chain, its key, and as served.

    `chain_ok` and `key_matches` are None where there is nothing to compare with; the `*_error`s say why.
    """

    name: str
    disk: Leaf | None
    disk_error: str
    chain_length: int
    chain_ok: bool | None
    chain_error: str
    key_matches: bool | None
    key_error: str
    served: Leaf | None
    served_error: str

    @property
    def serves_disk(self) -> bool | None:
        """Whether what is served is what lies on disk; None where one of them is not known."""
        return None if self.served is None or self.disk is None else self.served.sha256 == self.disk.sha256


def certificates_commands(parameters: Parameters) -> dict[str, Command]:
    """Read every file, derive every public key on the server, ask every server for what it serves."""
    commands = {}
    stack = parameters.stack
    containers = {service.name: service.container for service in stack.services}
    web = next((item.container for item in stack.services if item.name == "nginx"), "")
    for number, item in enumerate(parameters.certificates.items):
        commands[f"{number}.disk"] = Command(("cat", "--", item.path), sudo=True, timeout=10)
        if item.key:
            commands[f"{number}.key"] = Command(("openssl", "pkey", "-in", item.key, "-pubout"), sudo=True, timeout=10)
        if item.chain:
            commands[f"{number}.chain"] = Command(("cat", "--", item.chain), sudo=True, timeout=10)
        if item.served_by:
            # https is asked at the web server itself, so that a proxy in front of it does not hide it
            place = f"{web}:443" if item.served_by == "https" else item.served_at or ""
            host, _, port = place.rpartition(":")
            starttls = "postgres" if item.served_by == "postgres" else "no"
            asked = parameters.web.name if item.served_by == "https" else host
            words = (containers.get(host, host), port, starttls, asked)
            commands[f"{number}.served"] = Command(("sh", "-c", SERVED, "sh", *words), timeout=15)
    return commands


def parse_certificates(results: Mapping[str, Result], parameters: Parameters) -> tuple[CertificateFact, ...]:
    """Read all of it through `cryptography`."""
    return tuple(_one(number, item, results) for number, item in enumerate(parameters.certificates.items))


def _one(number: int, item: Certificate, results: Mapping[str, Result]) -> CertificateFact:
    disk, disk_error = _read(results.get(f"{number}.disk"))
    key_matches, key_error = _key(results.get(f"{number}.key"), disk)
    chain_ok, chain_error = _chain(results.get(f"{number}.chain"), disk, item)
    served, served_error = _read(results.get(f"{number}.served"))
    return CertificateFact(
        name=item.name,
        disk=leaf_of(disk[0]) if disk else None,
        disk_error=disk_error,
        chain_length=len(disk),
        chain_ok=chain_ok,
        chain_error=chain_error,
        key_matches=key_matches,
        key_error=key_error,
        served=leaf_of(served[0]) if served else None,
        served_error=served_error,
    )


def _read(result: Result | None) -> tuple[list[x509.Certificate], str]:
    """Return the certificates in an output; none and the reason where there are none."""
    from cryptography import x509  # noqa: PLC0415 (0.1 s that only this fact needs)

    if result is None:
        return [], ""
    blocks = PEM.findall(result.stdout)
    if not blocks:
        told = [line for line in (result.stderr + "\n" + result.stdout).splitlines() if line.strip()]
        reason = next((line for line in told if "error" in line.lower() or "No such" in line), told[-1] if told else "")
        if result.exit_code == TIMED_OUT_EXIT_CODE:
            reason = "no answer in time"
        return [], reason.strip()[:200] or f"there is no certificate in it ({result.meaning})"
    try:
        return [x509.load_pem_x509_certificate(block.encode()) for block in blocks], ""
    except ValueError as error:
        return [], f"not a certificate: {error}"


def leaf_of(certificate: x509.Certificate) -> Leaf:
    """Given a certificate, return what it says."""
    from cryptography import x509  # noqa: PLC0415 (0.1 s that only this fact needs)
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415 (0.1 s that only this fact needs)

    names: tuple[str, ...] = ()
    authority = False
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            names = tuple(sorted(extension.value.get_values_for_type(x509.DNSName)))
        elif isinstance(extension.value, x509.BasicConstraints):
            authority = extension.value.ca
    return Leaf(
        names=names,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        sha256=hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
        is_authority=authority,
    )


def _key(result: Result | None, disk: list[x509.Certificate]) -> tuple[bool | None, str]:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 (0.1 s that only this fact needs)
        Encoding,
        PublicFormat,
        load_pem_public_key,
    )

    if result is None or not disk:
        return None, ""
    if not result.ok:
        told = result.stderr.strip().splitlines()
        return None, (told[0] if told else result.meaning)[:200]
    try:
        public = load_pem_public_key(result.stdout.encode())
    except ValueError as error:
        return None, f"not a public key: {error}"
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public.public_bytes(*form) == disk[0].public_key().public_bytes(*form), ""


def _chain(result: Result | None, disk: list[x509.Certificate], item: Certificate) -> tuple[bool | None, str]:
    """Whether each certificate is issued by the next; the last by itself or by the authority's file."""
    if not disk:
        return None, ""
    links = list(disk)
    if result is not None:
        authority, error = _read(result)
        if not authority:
            return None, error
        links += authority[:1]
    elif item.kind == "ca":
        links.append(disk[0])
    elif len(disk) == 1:
        return False, "it stands alone: the certificate between it and the authority is missing"
    for lower, upper in itertools.pairwise(links):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError) as error:
            return False, f"not issued by {upper.subject.rfc4514_string()}: {error}"
        except Exception as error:  # noqa: BLE001 (InvalidSignature has no public base but Exception)
            return False, f"not signed by {upper.subject.rfc4514_string()}: {type(error).__name__}"
    return True, ""


# a file or a server that gives no certificate is a finding about that one, not missing evidence for all
certificates = Fact("certificates", certificates_commands, parse_certificates, optional=frozenset({"*"}))


@dataclass(frozen=True, slots=True)
class Renewal:
    """The timer that renews the public certificate, the service it starts, and the renewals certbot has kept."""

    timer: Unit
    service: Unit


def renewal_commands(parameters: Parameters) -> dict[str, Command]:
    """Describe timer and service."""
    return {"units": show([parameters.certificates.timer, parameters.certificates.service])}


def parse_renewal(results: Mapping[str, Result], parameters: Parameters) -> Renewal:
    """Read both blocks."""
    found = parse_show(results["units"].stdout)
    settings = parameters.certificates
    if settings.timer not in found or settings.service not in found:
        raise ParseError("systemctl show", results["units"].stdout[:200])
    return Renewal(found[settings.timer], found[settings.service])


renewal = Fact("renewal", renewal_commands, parse_renewal)
