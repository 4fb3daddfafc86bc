"""What programs on the server find out of the stack's parts: connections between containers, their limits, what stands behind, the host.

The answers stay JSON: which of them is trouble is for checks/stack_probes.py to say. The programs are in probes/.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact
from runbook.facts.probes import source
from runbook.facts.roles import roles_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters

SECONDS = 9
"""Longer than the programs' own deadline: whatever they have by then is had."""


@dataclass(frozen=True, slots=True)
class Link:
    """One connection that a service's settings name: `to` is a service, "" for what is none of the stack.

    `names` are the addresses that the name stands for, `owners` the services (or addresses) behind them. `said` tells what
    failed: "name: ..." or "port: ...", "" where the port answers. `from_host`: whether the host itself reaches the same port.
    """

    service: str
    by: str
    host: str
    port: int
    to: str
    names: tuple[str, ...]
    owners: tuple[str, ...]
    said: str
    resolved_ms: int | None
    connected_ms: int | None
    share_network: bool
    from_host: bool | None
    tried: bool
    tries: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Links:
    """All connections; what shapes or filters traffic by service; services whose network could not be entered; ports that each listens on."""

    links: tuple[Link, ...]
    shaped: dict[str, tuple[str, ...]]
    filters: dict[str, tuple[str, ...]]
    failed: dict[str, str]
    listens: dict[str, tuple[int, ...]] = field(default_factory=dict)
    networks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    directives: dict[str, tuple[tuple[str, int, str], ...]] = field(default_factory=dict)
    """By service: file, line and text of what can make a web server answer otherwise than what stands behind it."""

    def as_json(self) -> dict[str, Any]:
        """Return what a record keeps: what is set, not what was measured (addresses change with each container)."""
        return {
            "links": {f"{one.service} {one.by}": f"{one.host}:{one.port}" for one in self.links},
            "shaped": self.shaped,
            "filters": self.filters,
            "listens": self.listens,
            "networks": self.networks,
            "directives": {
                f"{name} {file}": [f"{text}" for where, _, text in rows if where == file]
                for name, rows in self.directives.items()
                for file in {row[0] for row in rows}
            },
        }


@dataclass(frozen=True, slots=True)
class Inside:
    """What the kernel knows of each running container, as probes/inside.py prints it, by service."""

    services: dict[str, dict[str, Any]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return what a record keeps: limits and mounts, not what was used of them."""
        return {
            name: {
                "limits": {key: item["limits"][key] for key in ("memory_limit", "pids_limit", "cpus", "frozen")},
                "files": {"limit": item["files"]["limit"]},
                "mounts": {
                    one[
                        "place"
                    ]: f"{one['source'] or one.get('kind')}, {'read-only' if one.get('read_only') else 'writable'}, owner {one.get('owner')}, mode {one.get('mode')}"
                    for one in item["mounts"]
                },
            }
            for name, item in self.services.items()
            if "limits" in item
        }


@dataclass(frozen=True, slots=True)
class Backends:
    """What the parts behind the application answer, as probes/backends.py prints it, and variables that differ between services."""

    parts: dict[str, dict[str, Any]]
    differing: dict[str, list[list[str]]]

    def as_json(self) -> dict[str, Any]:
        """Return what a record keeps: what is set, not what is counted."""
        kept = {
            name: {key: value for key, value in part.items() if key in {"config", "logins", "trusted", "tls", "failed"}}
            for name, part in self.parts.items()
        }
        return {"parts": kept, "differing": self.differing}


@dataclass(frozen=True, slots=True)
class HostProbe:
    """What the host can no longer do, as probes/host.py prints it."""

    found: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return what a record keeps: settings and rules, not counts and messages."""
        servers = [row.get("server") for row in self.found.get("resolvers") or [] if isinstance(row, dict)]
        return {
            "resolvers": servers,
            **{key: self.found.get(key) for key in ("forward", "drops", "shaped", "bridges", "published")},
        }


def _names(parameters: Parameters) -> dict[str, str]:
    return {item.name: item.container for item in parameters.stack.services}


def _program(name: str, asked: object) -> dict[str, Command]:
    return {"probe": Command(("python3", "-", json.dumps(asked)), stdin=source(name), sudo=True, timeout=SECONDS)}


def _answer(results: Mapping[str, Result], what: str) -> dict[str, Any]:
    text = results["probe"].stdout.strip()
    try:
        found = json.loads(text)
    except ValueError:
        raise ParseError(what, text[-200:] or results["probe"].stderr[-200:]) from None
    if not isinstance(found, dict):
        raise ParseError(what, text[:200])
    return found


def parse_links(results: Mapping[str, Result], _parameters: Parameters) -> Links:
    """Read the program's answer. Raises ParseError."""
    found = _answer(results, "the connections between containers")
    links = []
    for row in found["links"]:
        seen, host = row["seen"] or {}, row["from_host"] or {}
        links.append(
            Link(
                row["service"], row["by"], row["host"], row["port"], row["to"], tuple(seen.get("names", ())), tuple(row["owners"]),
                seen.get("said", ""), seen.get("resolved_ms"), seen.get("connected_ms"), row["share_network"],
                host.get("open"), bool(row["seen"]), seen.get("tries", 0), seen.get("failures", 0),
            )
        )  # fmt: skip
    return Links(
        tuple(links),
        {name: tuple(lines) for name, lines in found["shaped"].items() if lines},
        {name: tuple(lines) for name, lines in found["filters"].items() if lines},
        dict(found["failed"]),
        {name: tuple(ports) for name, ports in found["listens"].items()},
        {name: tuple(names) for name, names in found.get("networks", {}).items()},
        {name: tuple((row[0], row[1], row[2]) for row in rows) for name, rows in found.get("directives", {}).items()},
    )


def parse_inside(results: Mapping[str, Result], _parameters: Parameters) -> Inside:
    """Read the program's answer. Raises ParseError."""
    return Inside(_answer(results, "what the kernel knows of the containers"))


def parse_backends(results: Mapping[str, Result], _parameters: Parameters) -> Backends:
    """Read the program's answer. Raises ParseError."""
    found = _answer(results, "what stands behind the application")
    return Backends(found["parts"], found["differing"])


def parse_host(results: Mapping[str, Result], _parameters: Parameters) -> HostProbe:
    """Read the program's answer. Raises ParseError."""
    return HostProbe(_answer(results, "what the host can do"))


def backends_commands(parameters: Parameters) -> dict[str, Command]:
    """Ask cache, store and scanner, and the application and the front end past the web server."""
    roles = roles_of(parameters)
    http = [[name, _port(parameters, role), parameters.web.health_path if role == "application" else "/"] for name, role in roles.items() if role in {"application", "frontend"}]  # fmt: skip
    return _program("backends", {"containers": _names(parameters), "roles": roles, "http": http})


def _port(parameters: Parameters, role: str) -> int:
    return parameters.deploy.backend.port if role == "application" and parameters.deploy.backend else 80


links = Fact("links", lambda parameters: _program("links", _names(parameters)), parse_links)
inside = Fact("inside", lambda parameters: _program("inside", _names(parameters)), parse_inside)
backends = Fact("backends", backends_commands, parse_backends)
host = Fact(
    "host",
    lambda parameters: _program("host", {"containers": _names(parameters), "minutes": round(parameters.limits.recent_minutes)}),
    parse_host,
)  # fmt: skip
