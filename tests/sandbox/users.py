"""Users at work during a change: one adds a client five times a second, one looks whether the service answers.

What was acknowledged (HTTP 201) must be found in the database afterwards; what was not, may or may not be there.
"""

from __future__ import annotations

import ssl
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self
from uuid import UUID

import httpx

from sandbox.state import Sandbox, read_ports

if TYPE_CHECKING:
    from conftest import Host

EVERY_SECONDS = 0.2
LOOK_SECONDS = 0.1
ASK_SECONDS = 5.0
NAME = "zz of a test"  # last by name: the synthetic walk looks for what it made among the first hundred
SYNTHETIC = "synthetic@pazpaz.test"
NOTE = "sealed, and to be read again"
CANARY = "Synthetic Canary"
NO_DATABASE = ("template0", "template1", "postgres")


@dataclass
class Users:
    """At work from `with` to its end."""

    host: Host
    acknowledged: list[UUID] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    looks: list[tuple[float, bool]] = field(default_factory=list)
    writes: bool = True

    def __post_init__(self) -> None:
        sandbox = Sandbox.named(self.host.name)
        ports = read_ports(sandbox)
        assert ports is not None
        self._url = f"https://127.0.0.1:{ports['https']}/api/v1"
        self._trust = ssl.create_default_context(cafile=sandbox.folder / "ca.crt")
        self._trust.check_hostname = True
        self._password = (sandbox.folder / "synthetic_password").read_text().strip()
        self._stop = threading.Event()
        works = [self._write, self._look] if self.writes else [self._look]
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(3 * ASK_SECONDS)

    def wait_for_writes(self, more: int = 1, within_seconds: float = 60) -> None:
        """Wait until so many more rows were acknowledged: the service takes writes (again)."""
        wanted, deadline = len(self.acknowledged) + more, time.monotonic() + within_seconds
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, f"no write is taken: {self.failures[-3:]}"
            time.sleep(0.05)

    @property
    def downtime_seconds(self) -> float:
        """The longest stretch without a good answer, to the next good one."""
        return max(self.outages, default=0.0)

    @property
    def outages(self) -> list[float]:
        """Seconds of each stretch without a good answer."""
        found: list[float] = []
        since = None
        for at, good in list(self.looks):
            if not good and since is None:
                since = at
            elif good and since is not None:
                found.append(round(at - since, 2))
                since = None
        if since is not None:
            found.append(round(time.monotonic() - since, 2))
        return found

    def lost(self) -> list[UUID]:
        """Return rows that were acknowledged and are in no database (a restore keeps the old one under another name)."""
        kept = rows(self.host)
        return [row for row in self.acknowledged if row not in kept]

    def unreadable(self, most: int = 30) -> list[str]:
        """Return what is wrong with the newest acknowledged rows when a user reads them; one that is in a kept database only is not."""
        told = []
        with self._client() as client:
            token = self._log_in(client)
            for row in self.acknowledged[-most:]:
                answer = _ask(client, "GET", f"/clients/{row}", headers={"Authorization": token})
                if answer.status_code == httpx.codes.NOT_FOUND:
                    continue
                if answer.status_code != httpx.codes.OK or answer.json()["medical_notes"] != NOTE:
                    told.append(f"{row}: {answer.status_code} {answer.text[:80]}")
        return told

    def clear(self) -> None:
        """Remove the rows again, and what the audit log says of them, from every database."""
        for name in databases(self.host):
            _sql(
                self.host,
                name,
                f"delete from audit_log where subject in (select id::text from clients where name = '{NAME}'); delete from clients where name = '{NAME}'",  # noqa: S608  # a fixed text
            )

    def _client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self._url, verify=self._trust, headers={"Host": "pazpaz.test"}, timeout=ASK_SECONDS
        )

    def _write(self) -> None:
        with self._client() as client:
            token = ""
            while not self._stop.is_set():
                begun = time.monotonic()
                try:
                    token = token or self._log_in(client)
                    answer = _ask(
                        client,
                        "POST",
                        "/clients",
                        json={"name": NAME, "medical_notes": NOTE},
                        headers={"Authorization": token},
                    )
                    if answer.status_code == httpx.codes.CREATED:
                        self.acknowledged.append(UUID(answer.json()["id"]))
                    else:
                        self.failures.append(f"{answer.status_code} {answer.text[:80]}")
                        token = "" if answer.status_code == httpx.codes.UNAUTHORIZED else token
                except (httpx.HTTPError, ValueError, KeyError) as error:
                    self.failures.append(f"{type(error).__name__}: {error}"[:120])
                self._stop.wait(max(0.0, EVERY_SECONDS - (time.monotonic() - begun)))

    def _log_in(self, client: httpx.Client) -> str:
        answer = _ask(client, "POST", "/auth/login", json={"email": SYNTHETIC, "password": self._password})
        return f"Bearer {answer.raise_for_status().json()['access_token']}"

    def _look(self) -> None:
        with self._client() as client:
            while not self._stop.is_set():
                begun = time.monotonic()
                try:
                    good = _ask(client, "GET", "/health", timeout=2.0).status_code == httpx.codes.OK
                except httpx.HTTPError:
                    good = False
                self.looks.append((begun, good))
                self._stop.wait(max(0.0, LOOK_SECONDS - (time.monotonic() - begun)))


def canary(host: Host) -> str:
    """Log in as the synthetic user and return the sealed note of the standing client. Raises httpx.HTTPError, KeyError."""
    user = Users(host)
    with user._client() as client:  # noqa: SLF001  # of this module
        token = user._log_in(client)  # noqa: SLF001  # as above
        found = _ask(client, "GET", "/clients?limit=200", headers={"Authorization": token}).raise_for_status().json()
        number = {row["name"]: row["id"] for row in found}[CANARY]
        answer = _ask(client, "GET", f"/clients/{number}", headers={"Authorization": token})
        return str(answer.raise_for_status().json()["medical_notes"])


def _ask(client: httpx.Client, method: str, path: str, **options: object) -> httpx.Response:
    return client.request(method, path, extensions={"sni_hostname": "pazpaz.test"}, **options)  # type: ignore[arg-type]  # httpx's own keywords


def _sql(host: Host, database: str, query: str) -> list[str]:
    quoted = query.replace("'", "'\\''")
    told: str = host.sh(f"docker exec pazpaz-db psql -qtAX -v ON_ERROR_STOP=1 -U pazpaz -d {database} -c '{quoted}'")
    return told.split()


def databases(host: Host) -> list[str]:
    """Return the databases that have clients."""
    names = [name for name in _sql(host, "postgres", "select datname from pg_database") if name not in NO_DATABASE]
    return [name for name in names if _sql(host, name, "select 1 from pg_tables where tablename = 'clients'")]


def rows(host: Host) -> set[UUID]:
    """Return the rows that users of a test added, from every database."""
    query = f"select id from clients where name = '{NAME}'"  # noqa: S608  # a fixed text
    return {UUID(found) for name in databases(host) for found in _sql(host, name, query)}
