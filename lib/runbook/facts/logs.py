"""Logs of the containers put together: errors by kind, failed requests by path, trouble with the database, counts."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook.commands import Command
from runbook.errors import ParametersError
from runbook.facts import Fact
from runbook.facts.compose import compose_argv
from runbook.facts.log_lines import Line, parse_line, shape_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from runbook.commands import Result
    from runbook.parameters import Parameters


SINCE = re.compile(r"\d{1,6}(\.\d+)?[smhd]|\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")


NGINX_UPSTREAM = re.compile(r'upstream: "([^"]+)"')


NGINX_REQUEST = re.compile(r'request: "(\S+) (\S+)')


CONNECTION_TROUBLE = re.compile(
    r"connection (refused|reset|timed out|was closed)|could not connect|too many (clients|connections)|remaining connection slots|"
    r"password authentication failed|no pg_hba\.conf entry|the database system is (starting up|shutting down|in recovery)|"
    r"database is unavailable|connection slots are reserved|server closed the connection|SSL (SYSCALL )?error|InvalidPassword|"
    r"connection to server .* failed|terminating connection due to",
    re.IGNORECASE,
)


MOST_LINES = 20_000


@dataclass(frozen=True, slots=True)
class Shape:
    """A kind of message: numbers and names taken out, so that the same trouble counts as one."""

    service: str
    level: str
    shape: str
    count: int
    first: dt.datetime
    last: dt.datetime
    sample: str


@dataclass(frozen=True, slots=True)
class Logs:
    """All lines, oldest first. `read` are the services whose log was had, the silent ones among them.

    `unread` says why a service's log could not be had; `cut` names those cut at the limit.
    """

    lines: tuple[Line, ...]
    since: str
    unread: dict[str, str] = field(default_factory=dict)
    cut: tuple[str, ...] = ()
    read: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Line, ...]:
        """The lines that their own programs call errors."""
        return tuple(line for line in self.lines if line.bad)

    @property
    def requests(self) -> tuple[Line, ...]:
        """The lines of nginx's access log."""
        return tuple(line for line in self.lines if line.access is not None and line.service == "nginx")

    @property
    def failed_requests(self) -> tuple[Line, ...]:
        """The requests that were answered with 5xx."""
        return tuple(line for line in self.requests if line.access is not None and line.access.failed)

    @property
    def connection_trouble(self) -> tuple[Line, ...]:
        """The lines that speak of the database not being reached, or refusing."""
        return tuple(
            line
            for line in self.lines
            if line.level not in {"INFO", "DEBUG"} and CONNECTION_TROUBLE.search(line.message)
        )

    def shapes(self, lines: Iterable[Line] | None = None) -> tuple[Shape, ...]:
        """Group lines (the errors, by default) by the shape of their messages, most frequent first."""
        groups: dict[tuple[str, str, str], list[Line]] = {}
        for line in self.errors if lines is None else lines:
            groups.setdefault((line.service, line.level, shape_of(line.message)), []).append(line)
        found = [
            Shape(service, level, shape, len(group), group[0].at, group[-1].at, group[-1].message[:300])
            for (service, level, shape), group in groups.items()
        ]
        return tuple(sorted(found, key=lambda item: (-item.count, item.service, item.shape)))

    def failures_by_path(self) -> tuple[tuple[int, str, str, int], ...]:
        """Return (status, path without its numbers, upstream, count) of the failed requests, most frequent first."""
        upstreams = self._upstreams()
        counted = Counter(
            (
                line.access.status,
                shape_of(line.access.path),
                line.access.upstream or upstreams.get(line.access.path, ""),
            )
            for line in self.failed_requests
            if line.access is not None
        )
        return tuple((*key, count) for key, count in sorted(counted.items(), key=lambda item: (-item[1], item[0])))

    def _upstreams(self) -> dict[str, str]:
        """The upstream that nginx's error log names for a path, where the access log does not."""
        found = {}
        for line in self.lines:
            upstream, request = NGINX_UPSTREAM.search(line.message), NGINX_REQUEST.search(line.message)
            if line.service == "nginx" and upstream and request:
                found[request[2]] = "/".join(upstream[1].split("/")[:3])
        return found

    def counts(self, minutes: int = 5) -> tuple[tuple[dt.datetime, str, int, int], ...]:
        """Return (start of the interval, service, lines, errors), for a plot over time."""
        step = minutes * 60
        lines: Counter[tuple[int, str]] = Counter()
        errors: Counter[tuple[int, str]] = Counter()
        for line in self.lines:
            key = (int(line.at.timestamp()) // step * step, line.service)
            lines[key] += 1
            errors[key] += line.bad or (line.access is not None and line.access.failed)
        return tuple(
            (dt.datetime.fromtimestamp(at, dt.UTC), service, count, errors[at, service])
            for (at, service), count in sorted(lines.items())
        )

    @property
    def frame(self) -> pd.DataFrame:
        """The lines as a DataFrame: time, service, level, message."""
        import pandas as pd  # noqa: PLC0415 (half a second that only a notebook which shows frames should wait for)

        return pd.DataFrame(
            [(line.at, line.service, line.level, line.message) for line in self.lines],
            columns=["time", "service", "level", "message"],
        )

    def as_json(self) -> dict[str, Any]:
        """What a record keeps: counts and kinds, not every line (the log itself stays on the server)."""
        return {
            "since": self.since,
            "lines": len(self.lines),
            "errors": len(self.errors),
            "by_service": dict(sorted(Counter(line.service for line in self.lines).items())),
            "by_level": dict(sorted(Counter(line.level for line in self.lines).items())),
            "requests": len(self.requests),
            "by_status": dict(
                sorted(Counter(str(line.access.status) for line in self.requests if line.access).items())
            ),
            "failures_by_path": [list(row) for row in self.failures_by_path()[:50]],
            "shapes": list(self.shapes()[:50]),
            "counts": [list(row) for row in self.counts()],
            "unread": self.unread,
            "cut": self.cut,
        }


def checked_since(text: str) -> str:
    """Given "1h", "90m", "2d" or an ISO time, return what Docker takes. Raises ParametersError for anything else.

    >>> checked_since("2d"), checked_since("2026-11-24T08:00:00Z")
    ('48h', '2026-11-24T08:00:00Z')
    """
    given = str(text).strip()
    if not SINCE.fullmatch(given):
        raise ParametersError(
            "since", [f"{given[:60]!r} is no time"], remedy='write "30m", "1h", "2d" or a time as 2026-11-24T08:00:00Z'
        )
    return f"{float(given[:-1]) * 24:g}h" if given.endswith("d") and "T" not in given else given


def logs(values: Mapping[str, Any]) -> Fact[Logs]:
    """Given a notebook's values (`since`, `tail`, `service`; all may be absent), return the fact that reads the logs.

    `service` is one name or empty for all. Raises ParametersError for a service that is not in the params file.
    """
    since = checked_since(values.get("since") or "1h")
    most = int(values.get("tail") or values.get("lines") or MOST_LINES)
    only = str(values.get("service") or "").strip()

    def ask(parameters: Parameters) -> dict[str, Command]:
        return {
            name: Command(
                ("docker", "logs", "--timestamps", "--since", since, "--tail", str(most), "--", container),
                timeout=60, limit=32 * 1024 * 1024,
            )
            for name, container in selected(parameters, only).items()
        }  # fmt: skip

    def parse(results: Mapping[str, Result], _parameters: Parameters) -> Logs:
        return parse_logs(results, since)

    return Fact("logs", ask, parse, optional=frozenset({"*"}))


def selected(parameters: Parameters, only: str) -> dict[str, str]:
    """Given one service's name or nothing for all, return containers by service. Raises ParametersError."""
    containers = {service.name: service.container for service in parameters.stack.services}
    if only and only != "all" and only not in containers:
        raise ParametersError(
            "service",
            [f"{only[:60]!r} is not a service of this target"],
            remedy=f"one of: {', '.join(containers)}; empty for all",
        )
    return {only: containers[only]} if only and only != "all" else containers


def parse_logs(results: Mapping[str, Result], since: str) -> Logs:
    """Read the logs of all services. A log that cannot be had is said, and the others are read."""
    lines, unread, cut = [], {}, []
    for service, result in results.items():
        if not result.ok:
            told = result.stderr.strip().splitlines()
            unread[service] = (told[-1] if told else result.meaning)[:200]
            continue
        if result.truncated:
            cut.append(service)
        for text, from_stderr in ((result.stdout, False), (result.stderr, True)):
            # only a newline ends a line of Docker's: other separators of Unicode may stand inside one
            parsed = (parse_line(service, line, from_stderr=from_stderr) for line in text.split("\n") if line)
            lines += [line for line in parsed if line is not None]
    return Logs(
        tuple(sorted(lines, key=lambda line: line.at)),
        since,
        unread,
        tuple(cut),
        tuple(sorted(results.keys() - unread.keys())),
    )


def follow_command(parameters: Parameters, service: str, seconds: float) -> Command:
    """Given a service, or nothing for all, return the command that follows the log so many seconds (for Connection.follow)."""
    chosen = selected(parameters, service)
    asked = ("--timestamps", "--follow", "--tail", "0")
    docker = (
        ("docker", "logs", *asked, "--", *chosen.values())
        if len(chosen) == 1
        else compose_argv(parameters, "logs", "--no-color", *asked, options=("--ansi", "never"))
    )
    return Command(
        ("timeout", "--signal=INT", f"{seconds:g}", *docker), timeout=seconds + 10,
        expect={0: "the container ended", 124: "the time is over", 130: "stopped"},
    )  # fmt: skip
