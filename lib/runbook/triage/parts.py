"""What needs what: the parts of a server and its stack, from the user's journey down to the host. Pure.

Services need what Compose says (`depends_on`), what their own connection settings name, and what their role in such a
stack needs; all of them need the engine and its networks, and the engine needs the host and its file systems.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runbook.facts import Missing
from runbook.facts.roles import ROLES, roles_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from runbook.facts import Facts
    from runbook.facts.services import Container
    from runbook.parameters import Parameters

USERS = "users"
"""The journey of a user: what all of it is for."""
TLS, ADDRESS, FIREWALL = "certificate as served", "public address", "firewall"
ENGINE, NETWORKS, HOST = "Docker", "container networks", "host"
WAY_IN = "way in"
NEEDS: Mapping[str, tuple[str, ...]] = {
    "proxy": ("application", "frontend"),
    "application": ("database", "cache", "storage", "scanner"),
    "worker": ("database", "cache", "storage"),
}
"""What a role needs of others where nothing else tells."""
JOURNEY: Mapping[str, tuple[str, ...]] = {
    "login": ("database",),
    "guard": (),
    "me": ("database",),
    "read": ("database",),
    "old-data": ("database", "storage"),
    "write": ("database",),
    "read-back": ("database",),
    "change": ("database",),
    "upload": ("database", "storage", "scanner", "cache"),
    "download": ("database", "storage"),
    "scan": ("scanner",),
    "job": ("cache", "worker"),
    "cleanup": ("database", "storage"),
}
"""Which roles each step of the user's journey uses behind proxy and application (facts/synthetic.py takes the steps)."""


@dataclass(frozen=True)
class Parts:
    """The model: which parts each part needs directly, and which role each service has."""

    needs: Mapping[str, frozenset[str]]
    roles: Mapping[str, str] = field(default_factory=dict)
    """Role by service."""
    mounts: tuple[str, ...] = ()
    """Mount points of the host's file systems, the longest first."""

    @cached_property
    def _below(self) -> dict[str, frozenset[str]]:
        return {part: self._reach(part) for part in self.needs}

    def _reach(self, part: str) -> frozenset[str]:
        found: set[str] = set()
        waiting = list(self.needs.get(part, ()))
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting.extend(self.needs.get(one, ()))
        return frozenset(found - {part})

    def below(self, part: str) -> frozenset[str]:
        """Return all parts that a part needs, directly or through others."""
        return self._below.get(part, frozenset())

    def depth(self, part: str) -> int:
        """Return how many parts need this one: what many need lies deep."""
        return sum(part in below for below in self._below.values())

    def of_role(self, *roles: str) -> tuple[str, ...]:
        """Return the services of these roles."""
        return tuple(service for service, role in self.roles.items() if role in roles)

    def disk_of(self, path: str) -> str:
        """Return the part that is the file system which holds a path."""
        mount = next((item for item in self.mounts if path == item or path.startswith(f"{item.rstrip('/')}/")), "/")
        return disk(mount)


def disk(mount: str) -> str:
    """Return the part that is a file system."""
    return f"disk {mount}"


def unit(name: str) -> str:
    """Return the part that is a unit of systemd."""
    return f"unit {name}"


def backup(name: str) -> str:
    """Return the part that is a class of backups."""
    return f"backup {name}"


def certificate(name: str) -> str:
    """Return the part that is a certificate as it is stored."""
    return f"certificate {name}"


def model(facts: Facts, parameters: Parameters) -> Parts:
    """Given what is known of the stack and the params file, return the model. Holds where nothing is known, too."""
    containers = _found(facts, "containers")
    expected = containers.expected if containers is not None else {}
    roles = roles_of(parameters, {name: item.reference for name, item in expected.items()})
    filesystems = _found(facts, "filesystems") or ()
    mounts = tuple(sorted((item.mount for item in filesystems), key=len, reverse=True))
    bare = Parts({}, roles, mounts)
    needs: dict[str, set[str]] = {}
    edges = (
        *_of_the_way_in(bare, parameters),
        *_of_services(bare, expected, _connections(facts)),
        *_of_backups(bare, parameters),
        *((disk(mount), HOST) for mount in mounts),
    )
    for part, other in edges:
        needs.setdefault(part, set())
        needs.setdefault(other, set())
        if part != other:
            needs[part].add(other)
    return Parts({part: frozenset(others) for part, others in needs.items()}, roles, mounts)


def _of_the_way_in(parts: Parts, parameters: Parameters) -> Iterator[tuple[str, str]]:
    """Yield (part, what it needs) from users and operators down to the services that they meet first."""
    proxies = parts.of_role("proxy")
    for other in (TLS, ADDRESS, *parts.of_role("proxy", "application", "frontend", "worker")):
        yield USERS, other
    for other in (
        ADDRESS,
        *proxies,
        *(certificate(item.name) for item in parameters.certificates.items if item.served_by == "https"),
    ):
        yield TLS, other
    for other in (FIREWALL, NETWORKS, HOST, *proxies):
        yield ADDRESS, other
    yield FIREWALL, HOST
    yield WAY_IN, FIREWALL
    yield WAY_IN, HOST
    for other in (HOST, parts.disk_of("/var/lib/docker"), unit("docker.service")):
        yield ENGINE, other
    yield unit("docker.service"), HOST
    yield NETWORKS, ENGINE
    for item in parameters.certificates.items:
        server = (item.served_at or "").partition(":")[0]
        if server in parts.roles:
            yield server, certificate(item.name)


def _of_services(
    parts: Parts, expected: Mapping[str, Container], named: Mapping[str, set[str]]
) -> Iterator[tuple[str, str]]:
    """Yield (service, what it needs) by its role, by Compose's depends_on, by its connections and by where its files lie."""
    for name, role in parts.roles.items():
        for other in (ENGINE, NETWORKS, HOST, parts.disk_of("/var/lib/docker"), *parts.of_role(*NEEDS.get(role, ()))):
            yield name, other
        container = expected.get(name)
        for other in (*(container.depends_on if container else ()), *named.get(name, ())):
            if other in parts.roles:
                yield name, other
        for source in container.mounts if container else ():
            if source.startswith("/"):
                yield name, parts.disk_of(source.partition(":")[0])


def _of_backups(parts: Parts, parameters: Parameters) -> Iterator[tuple[str, str]]:
    """Yield (class of backups, what it needs): where it lies, what makes it, and what it is made of."""
    for kind in parameters.backup.classes:
        place = parts.disk_of(kind.directory or "/")
        yield backup(kind.name), place
        source = [parameters.database.service] if kind.kind == "database" else []
        for other in source:
            yield backup(kind.name), other
        if kind.timer:
            service = unit(kind.timer.removesuffix(".timer") + ".service")
            yield backup(kind.name), unit(kind.timer)
            yield backup(kind.name), service
            for other in (place, *source):
                yield service, other


def journey_uses(step: str, parts: Parts) -> frozenset[str]:
    """Given a step of the user's journey, return the parts it uses, all that those need included."""
    front = (TLS, ADDRESS, *parts.of_role("proxy", "application"))
    used = {*front, *parts.of_role(*JOURNEY.get(step, tuple(ROLES)))}
    # what the application needs only counts where the step uses it
    beneath: set[str] = set(used)
    named = set(parts.roles)
    for part in used:
        if parts.roles.get(part) in {"application", "proxy"} or part in (TLS, ADDRESS):
            beneath |= {other for other in parts.below(part) if other not in named}
        else:
            beneath |= parts.below(part)
    return frozenset(beneath)


def _found(facts: Facts, name: str) -> Any:
    value = facts.get(name)
    return None if isinstance(value, Missing) else value


def _connections(facts: Facts) -> dict[str, set[str]]:
    """Return which services each service's connection settings and proxy configuration name."""
    found = _found(facts, "links")
    named: dict[str, set[str]] = {}
    for link in found.links if found is not None else ():
        named.setdefault(link.service, set()).add(link.to)
    return named
