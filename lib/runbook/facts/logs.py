"""Logs of the containers as rows: time, service, level, message; nginx's access log field by field.

Docker writes a time before every line, so that lines of all services sort together. What follows is as each program
writes it: JSON (the application), PostgreSQL's, Redis's, nginx's and plain text.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook.commands import Command
from runbook.errors import ParametersError
from runbook.facts import Fact
from runbook.facts.services import compose_argv, moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from runbook.commands import Result
    from runbook.parameters import Parameters

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
WORDS = {
    "TRACE": "DEBUG", "DEBUG": "DEBUG", "DEBUG1": "DEBUG", "INFO": "INFO", "LOG": "INFO", "NOTICE": "INFO", "NOTE": "INFO", "STATEMENT": "INFO",
    "DETAIL": "INFO", "HINT": "INFO", "CONTEXT": "INFO", "WARN": "WARNING", "WARNING": "WARNING", "ERROR": "ERROR", "ERR": "ERROR",
    "FATAL": "CRITICAL", "PANIC": "CRITICAL", "CRITICAL": "CRITICAL", "CRIT": "CRITICAL", "ALERT": "CRITICAL", "EMERG": "CRITICAL",
}  # fmt: skip
SINCE = re.compile(r"\d{1,6}(\.\d+)?[smhd]|\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?")
ACCESS = re.compile(
    r'(?P<client>\S+) \S+ (?P<user>\S+) \[(?P<at>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+|-)'
    r'(?: "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?(?P<rest>.*)'
)
NGINX_ERROR = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(\w+)\] \d+#\d+: (.*)", re.DOTALL)
NGINX_UPSTREAM = re.compile(r'upstream: "([^"]+)"')
NGINX_REQUEST = re.compile(r'request: "(\S+) (\S+)')
POSTGRES = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]* \S+ \[\d+\] (?:\S*@\S* )?([A-Z0-9]+):\s+(.*)", re.DOTALL)
REDIS = re.compile(r"\d+:[XCSM] \d\d \w{3} \d{4} [\d:.]+ ([.\-*#]) (.*)", re.DOTALL)
REDIS_LEVELS = {".": "DEBUG", "-": "INFO", "*": "INFO", "#": "WARNING"}
JUICEFS = re.compile(r"\d{4}/\d\d/\d\d [\d:.]+ \S+\[\d+\] <(\w+)>: (.*)", re.DOTALL)
LEADING = re.compile(
    r"[\[<(]?(?:level=)?(DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|ERR|FATAL|CRIT(?:ICAL)?|PANIC)[\]>)]?[:\s]", re.IGNORECASE
)
DATED = re.compile(r"^\W*(?:\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}|\d{4}[-/]\d\d[-/]\d\d[T ][\d:.,]+Z?) *(?:->|-)? *")
TRACEBACK = re.compile(r"^(Traceback \(most recent call last\)|[\w.]+(Error|Exception)(:|$))")
CONNECTION_TROUBLE = re.compile(
    r"connection (refused|reset|timed out|was closed)|could not connect|too many (clients|connections)|remaining connection slots|"
    r"password authentication failed|no pg_hba\.conf entry|the database system is (starting up|shutting down|in recovery)|"
    r"database is unavailable|connection slots are reserved|server closed the connection|SSL (SYSCALL )?error|InvalidPassword|"
    r"connection to server .* failed|terminating connection due to",
    re.IGNORECASE,
)
SHAPES = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE), "<uuid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,\d]*(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), "<email>"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b"), "<address>"),
    (re.compile(r"\b0x[0-9a-f]+\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"(?<![\w<])[-+]?\d+(?:[.,]\d+)*(?=\b|[a-z]{1,2}\b)"), "<n>"),
    (re.compile(r"'(?:[^'\\]|\\.)*'"), "'<text>'"),
)
LONGEST_SHAPE = 160
MOST_LINES = 20_000


@dataclass(frozen=True, slots=True)
class Line:
    """One line: when Docker took it (UTC), from which service, how grave, and what it says."""

    at: dt.datetime
    service: str
    level: str
    message: str
    access: Access | None = None

    @property
    def bad(self) -> bool:
        """Whether its own program calls it an error."""
        return self.level in {"ERROR", "CRITICAL"}


@dataclass(frozen=True, slots=True)
class Access:
    """One request in a web server's access log. `upstream` only where the log format names it."""

    client: str
    method: str
    path: str
    status: int
    bytes: int
    agent: str
    upstream: str = ""

    @property
    def failed(self) -> bool:
        """Whether the server failed (5xx)."""
        return self.status >= 500  # noqa: PLR2004 (RFC 9110, 15.6)


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
    """All lines, oldest first. `unread` says why a service's log could not be had; `cut` names those cut at the limit."""

    lines: tuple[Line, ...]
    since: str
    unread: dict[str, str] = field(default_factory=dict)
    cut: tuple[str, ...] = ()

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


def shape_of(message: str) -> str:
    """Given a message, return its shape: what varies from one occurrence to the next is taken out.

    >>> shape_of("GET /api/v1/clients/1b4e28ba-2fa1-11d2-883f-0016d3cca427 500 12.5 ms")
    'GET /api/v1/clients/<uuid> <n> <n> ms'
    """
    first = " ".join(message[:2000].split())
    for pattern, name in SHAPES:
        first = pattern.sub(name, first)
    return first[:LONGEST_SHAPE]


def parse_access(text: str) -> Access | None:
    """Given a line of nginx's access log (format "combined", more fields may follow), return it; None for another line.

    >>> parse_access('10.0.0.9 - - [24/Nov/2026:08:10:09 +0000] "GET /a?b=1 HTTP/1.1" 200 512 "-" "curl"')
    Access(client='10.0.0.9', method='GET', path='/a', status=200, bytes=512, agent='curl', upstream='')
    """
    found = ACCESS.fullmatch(text)
    if not found:
        return None
    words = found["request"].split(" ")
    method, path = (words[0], words[1]) if len(words) >= 2 else ("", found["request"])  # noqa: PLR2004 (method and path)
    upstream = re.search(r'(?:upstream=|"?)((?:\d{1,3}\.){3}\d{1,3}:\d+)', found["rest"] or "")
    return Access(
        client=found["client"],
        method=method,
        path=path.split("?")[0],
        status=int(found["status"]),
        bytes=0 if found["bytes"] == "-" else int(found["bytes"]),
        agent=found["agent"] or "",
        upstream=upstream[1] if upstream else "",
    )


def parse_line(service: str, text: str, *, from_stderr: bool = False) -> Line | None:
    """Given a service and one line as `docker logs --timestamps` prints it, return it; None without a time before it.

    A line that no rule knows is INFO; it never becomes an error because the word stands in it ("0 errors").
    """
    stamp, _, rest = text.partition(" ")
    try:
        at = moment(stamp)
    except Exception:  # noqa: BLE001 (whatever stands there, it is no line of Docker's)
        return None
    if at is None:
        return None
    message = rest.rstrip()
    access = parse_access(message) if '] "' in message else None
    if access is not None:
        level = "ERROR" if access.failed else "INFO"
        return Line(at, service, level, f"{access.method} {access.path} {access.status}", access)
    level, said = _level(message, from_stderr=from_stderr)
    return Line(at, service, level, said)


def _level(message: str, *, from_stderr: bool) -> tuple[str, str]:
    """Return the level and the message without what only repeats time, process and level."""
    if message.startswith("{"):
        known = _json_level(message)
        if known is not None:
            return known
    for pattern, levels in ((NGINX_ERROR, WORDS), (POSTGRES, WORDS), (JUICEFS, WORDS), (REDIS, REDIS_LEVELS)):
        found = pattern.fullmatch(message)
        if found:
            return levels.get(found[1].upper(), "INFO"), found[2]
    bare = DATED.sub("", message)
    found = LEADING.match(bare + " ")
    if found:
        return WORDS.get(found[1].upper(), "INFO"), bare
    if from_stderr and TRACEBACK.match(bare):
        return "ERROR", bare
    return "INFO", bare


def _json_level(message: str) -> tuple[str, str] | None:
    try:
        item = json.loads(message)
    except (ValueError, RecursionError):
        return None
    if not isinstance(item, dict):
        return None
    level = str(item.get("level") or item.get("severity") or item.get("levelname") or "INFO").upper()
    said = str(item.get("message") or item.get("msg") or item.get("event") or message)
    trace = str(item.get("traceback") or item.get("exc_info") or "").strip().splitlines()
    return WORDS.get(level, "INFO"), f"{said}: {trace[-1]}" if trace else said


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
    return Logs(tuple(sorted(lines, key=lambda line: line.at)), since, unread, tuple(cut))


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
