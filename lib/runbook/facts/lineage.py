"""What certbot keeps of a public certificate: its live links, the archive behind them, and how it proves the name.

A lineage is certbot's word for a certificate with those before it: live/NAME holds links to the newest ones in
archive/NAME (cert1.pem, cert2.pem, ...), renewal/NAME.conf how it was obtained (certbot's guide, "Where are my certificates?").
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import STATE_FOLDER, Fact
from runbook.facts.certificates import PEM, leaf_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Certificate, Parameters

KINDS = ("cert", "chain", "fullchain", "privkey")
NUMBERED = re.compile(r"(cert|chain|fullchain|privkey)(\d+)\.pem")
# $1 live folder, $2 archive folder, $3 renewal file, $4 where earlier runs keep what they took back
SEEN = r"""for kind in cert chain fullchain privkey; do echo "link $kind $(readlink "$1/$kind.pem" || true)"; done
for file in "$2"/*.pem; do [ -e "$file" ] && echo "file ${file##*/}"; done
grep -E '^ *(authenticator|server|webroot_path) *=' "$3" | sed 's/^ */conf /'
for file in "$2"/cert*.pem "$4"/*/replaced"$2"/cert*.pem; do
  [ -e "$file" ] && echo "issued $(stat -c %Y "$file") $file" && cat "$file"
done
true"""


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate that the authority issued. `written` is when its file was; `kept` whether it lies in the archive."""

    number: int
    sha256: str
    serial: str
    not_before: dt.datetime
    not_after: dt.datetime
    written: dt.datetime
    kept: bool


@dataclass(frozen=True, slots=True)
class Lineage:
    """A lineage. `live` is the number that all four links point at; None where they do not agree or one is missing."""

    certificate: str
    name: str
    live: int | None
    complete: tuple[int, ...]
    issued: tuple[Issued, ...]
    authenticator: str
    webroot: str
    server: str

    @property
    def newest(self) -> Issued | None:
        """The certificate that the live links point at."""
        return next((item for item in self.issued if item.kept and item.number == self.live), None)

    def issued_within(self, at: dt.datetime, days: float, *, before: dt.datetime | None = None) -> int:
        """Return how many were issued in the days before `at`; those written since `before` are left out."""
        since = at - dt.timedelta(days=days)
        return sum(1 for item in self.issued if item.not_before >= since and (before is None or item.written < before))


@dataclass(frozen=True, slots=True)
class Places:
    """Where a lineage lies on the server."""

    name: str
    live: str
    archive: str
    conf: str

    @classmethod
    def of(cls, item: Certificate) -> Places:
        """Given a certificate of the params file (path .../live/NAME/fullchain.pem), return its places."""
        live = PurePosixPath(item.path).parent
        root = live.parent.parent
        return cls(live.name, str(live), str(root / "archive" / live.name), str(root / "renewal" / f"{live.name}.conf"))


def renewable(parameters: Parameters) -> dict[str, Certificate]:
    """Return the certificates that certbot renews, by their name in the params file."""
    return {item.name: item for item in parameters.certificates.items if item.kind == "letsencrypt"}


def selected_certificate(parameters: Parameters, name: str) -> Certificate | None:
    """Given a name of the params file or certbot's own, return the certificate; None where there is none of that name."""
    known = renewable(parameters)
    return known.get(name) or next((item for item in known.values() if Places.of(item).name == name), None)


def lineages_commands(parameters: Parameters) -> dict[str, Command]:
    """Look into each lineage's folders."""
    commands = {}
    for name, item in renewable(parameters).items():
        places = Places.of(item)
        words = (places.live, places.archive, places.conf, STATE_FOLDER)
        commands[name] = Command(("sh", "-c", SEEN, "sh", *words), sudo=True, timeout=20)
    return commands


def parse_lineages(results: Mapping[str, Result], parameters: Parameters) -> dict[str, Lineage]:
    """Read what lies there, by the certificate's name in the params file."""
    known = renewable(parameters)
    return {name: _lineage(known[name], result.stdout) for name, result in results.items()}


def _lineage(item: Certificate, text: str) -> Lineage:
    from cryptography import x509  # noqa: PLC0415 (0.1 s that only this fact needs)

    places = Places.of(item)
    links: dict[str, int] = {}
    files: dict[int, set[str]] = {}
    said: dict[str, str] = {}
    lines, _, rest = text.partition("\nissued ")
    for line in lines.splitlines():
        word, _, told = line.partition(" ")
        if word == "link":
            found = NUMBERED.fullmatch(told.rpartition("/")[2])
            links |= {found[1]: int(found[2])} if found else {}
        elif word == "file" and (found := NUMBERED.fullmatch(told)):
            files.setdefault(int(found[2]), set()).add(found[1])
        elif word == "conf":
            key, _, value = told.partition("=")
            said[key.strip()] = value.strip().rstrip(",")
    issued: dict[str, Issued] = {}
    for part in rest.split("\nissued ") if rest else ():
        head, _, pem = part.partition("\n")
        written, _, path = head.partition(" ")
        found = NUMBERED.fullmatch(path.rpartition("/")[2])
        if found is None or not (blocks := PEM.findall(pem)):
            continue  # half written: it was never live
        leaf = leaf_of(x509.load_pem_x509_certificate(blocks[0].encode()))
        at = dt.datetime.fromtimestamp(int(written), dt.UTC)
        kept = path.startswith(f"{places.archive}/")
        one = Issued(int(found[2]), leaf.sha256, leaf.serial, leaf.not_before, leaf.not_after, at, kept)
        issued.setdefault(leaf.sha256, one)
    if not links and not files and not said:
        raise ParseError(f"certbot's folders of {places.name}", text[:200] or "(nothing)")
    numbers = set(links.values())
    return Lineage(
        certificate=item.name,
        name=places.name,
        live=numbers.pop() if len(numbers) == 1 and len(links) == len(KINDS) else None,
        complete=tuple(sorted(number for number, kinds in files.items() if kinds == set(KINDS))),
        issued=tuple(sorted(issued.values(), key=lambda one: (one.not_before, one.number))),
        authenticator=said.get("authenticator", ""),
        webroot=said.get("webroot_path", ""),
        server=said.get("server", ""),
    )


lineages = Fact("lineages", lineages_commands, parse_lineages)
