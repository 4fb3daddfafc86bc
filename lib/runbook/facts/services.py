"""Containers as Docker sees them, and how they compare with the compose file.

One `docker inspect` answers for every expected container; its template asks for what is needed and no more, since
the environment in a full answer holds secrets. `docker ps` beside it shows containers that nobody expects.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters


INSPECTED = {
    "name": ".Name",
    "id": ".Id",
    "created": ".Created",
    "image": ".Image",
    "reference": ".Config.Image",
    "labels": ".Config.Labels",
    "state": ".State",
    "restarts": ".RestartCount",
    "policy": ".HostConfig.RestartPolicy.Name",
    "memory": ".HostConfig.Memory",
    "privileged": ".HostConfig.Privileged",
    "ports": ".NetworkSettings.Ports",
    "mounts": ".Mounts",
}


TEMPLATE = "{" + ",".join(f'"{key}":{{{{json {path}}}}}' for key, path in INSPECTED.items()) + "}"


NEVER = "0001-01-01"


TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")


EXIT_MEANINGS = {
    0: "ended by itself",
    1: "error of the application",
    125: "Docker could not start it",
    126: "its command cannot be executed",
    127: "its command was not found",
    134: "aborted (SIGABRT)",
    137: "killed (SIGKILL): out of memory, or stopped by force",
    139: "crashed (SIGSEGV)",
    143: "stopped on request (SIGTERM)",
}


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a container that Docker publishes on the server."""

    address: str
    host_port: int
    container_port: int
    protocol: str

    @property
    def public(self) -> bool:
        """Whether it is published beyond the server itself."""
        return not self.address.startswith("127.") and self.address != "::1"


@dataclass(frozen=True, slots=True)
class Container:
    """One container. Times are UTC; `health` is empty where the image has no health check."""

    name: str
    id: str
    service: str
    project: str
    state: str
    health: str
    health_said: str
    failing_streak: int
    exit_code: int
    oom_killed: bool
    error: str
    restarts: int
    created: dt.datetime
    started: dt.datetime | None
    finished: dt.datetime | None
    reference: str
    image: str
    config_hash: str
    restart_policy: str
    memory_limit_bytes: int
    privileged: bool
    ports: tuple[Port, ...]
    mounts: tuple[str, ...]
    depends_on: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether its main process runs and is not paused."""
        return self.state == "running"

    @property
    def started_for_good(self) -> bool:
        """Whether Docker has it running, or starts it again by itself: one that crashes again and again is always one of both."""
        return self.state in {"running", "restarting"}

    @property
    def exit_meaning(self) -> str:
        """What the exit code says."""
        if self.oom_killed:
            return "killed: out of memory"
        return EXIT_MEANINGS.get(self.exit_code, "see its logs")


@dataclass(frozen=True, slots=True)
class Listed:
    """A container in `docker ps -a`, expected or not."""

    name: str
    image: str
    state: str
    status: str
    project: str


@dataclass(frozen=True, slots=True)
class Containers:
    """The expected containers that exist, by service, and the list of all containers of the server."""

    expected: dict[str, Container]
    all: tuple[Listed, ...]

    def __iter__(self) -> Any:
        return iter(self.expected.values())

    def __len__(self) -> int:
        return len(self.expected)


def moment(text: str) -> dt.datetime | None:
    """Given Docker's RFC 3339 time with nanoseconds, return it in UTC; None for Docker's "never" (year 1).

    >>> moment("2026-11-24T08:00:00.123456789Z")
    datetime.datetime(2026, 11, 24, 8, 0, 0, 123456, tzinfo=datetime.timezone.utc)
    >>> moment("0001-01-01T00:00:00Z") is None
    True
    """
    if not text or text.startswith(NEVER):
        return None
    found = TIMESTAMP.fullmatch(text)
    if not found:
        raise ParseError("a time of Docker", text)
    whole, fraction, zone = found.groups()
    value = dt.datetime.fromisoformat(whole + (fraction or "")[:7] + ("+00:00" if zone == "Z" else zone))
    return value.astimezone(dt.UTC)


def containers_commands(parameters: Parameters) -> dict[str, Command]:
    """Ask for every expected container in one command, and list all containers in another."""
    names = [service.container for service in parameters.stack.services]
    return {
        # exit code 1: some of them do not exist; the others are printed all the same
        "inspect": Command(
            ("docker", "inspect", "--type", "container", "--format", TEMPLATE, "--", *names),
            expect={0: "all exist", 1: "some do not exist"},
        ),
        "list": Command(("docker", "ps", "--all", "--no-trunc", "--format", "{{json .}}")),
    }


def parse_containers(results: Mapping[str, Result], parameters: Parameters) -> Containers:
    """Read both answers. Raises ParseError for a line that is not JSON."""
    services = {service.container: service.name for service in parameters.stack.services}
    found = {}
    for line in lines_of(results["inspect"].stdout):
        container = _container(json_object(line, "docker inspect"), services)
        found[container.service] = container
    listed = tuple(_listed(json_object(line, "docker ps")) for line in lines_of(results["list"].stdout))
    return Containers(found, listed)


def lines_of(text: str) -> list[str]:
    """Given an output, return its lines that are not blank."""
    return [line for line in text.splitlines() if line.strip()]


def json_object(line: str, what: str) -> dict[str, Any]:
    """Given a line that is a JSON object, return it. Raises ParseError that quotes the line."""
    try:
        value = json.loads(line)
    except ValueError:
        raise ParseError(what, line, remedy="is this Docker's own output?") from None
    if not isinstance(value, dict):
        raise ParseError(what, line)
    return value


def _container(item: dict[str, Any], services: dict[str, str]) -> Container:
    state, labels = item["state"], item["labels"] or {}
    name = item["name"].lstrip("/")
    health = state.get("Health") or {}
    log = health.get("Log") or []
    created = moment(item["created"])
    if created is None:
        raise ParseError("the time a container was created", str(item["created"]))
    return Container(
        name=name,
        id=item["id"],
        service=services.get(name, name),
        project=labels.get("com.docker.compose.project", ""),
        state=state["Status"],
        health="" if health.get("Status", "none") == "none" else health["Status"],
        health_said=" ".join(str(log[-1].get("Output", "")).split())[:300] if log else "",
        failing_streak=int(health.get("FailingStreak", 0)),
        exit_code=int(state["ExitCode"]),
        oom_killed=bool(state["OOMKilled"]),
        error=state.get("Error", ""),
        restarts=int(item["restarts"]),
        created=created,
        started=moment(state["StartedAt"]),
        finished=moment(state["FinishedAt"]),
        reference=item["reference"],
        image=item["image"],
        config_hash=labels.get("com.docker.compose.config-hash", ""),
        restart_policy=item["policy"] or "no",
        memory_limit_bytes=int(item["memory"]),
        privileged=bool(item["privileged"]),
        ports=_ports(item["ports"] or {}),
        mounts=tuple(
            sorted(f"{mount.get('Name') or mount['Source']}:{mount['Destination']}" for mount in item["mounts"] or [])
        ),
        # "db:service_healthy:false,redis:service_started:true", as Compose writes it on what it makes
        depends_on=tuple(
            name
            for item_ in str(labels.get("com.docker.compose.depends_on", "")).split(",")
            if (name := item_.partition(":")[0])
        ),
    )


def _ports(published: dict[str, list[dict[str, str]] | None]) -> tuple[Port, ...]:
    found = []
    for key, bindings in published.items():
        number, _, protocol = key.partition("/")
        found += [
            Port(binding["HostIp"] or "0.0.0.0", int(binding["HostPort"]), int(number), protocol or "tcp")  # noqa: S104 (what Docker means by an empty address)
            for binding in bindings or []
        ]
    return tuple(sorted(found, key=lambda port: (port.host_port, port.address)))


def _listed(item: dict[str, Any]) -> Listed:
    labels = dict(pair.partition("=")[::2] for pair in str(item.get("Labels", "")).split(","))
    return Listed(
        name=item["Names"],
        image=item["Image"],
        state=item["State"],
        status=item["Status"],
        project=labels.get("com.docker.compose.project", ""),
    )


containers = Fact("containers", containers_commands, parse_containers)
