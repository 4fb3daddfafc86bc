"""One line of a log, as each program writes it: JSON, PostgreSQL's, Redis's, nginx's, JuiceFS's, and plain text.

Docker writes a time before every line, so that lines of all services sort together. A line's level is what its own
program says; the word "error" somewhere in a text makes no error of it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.facts.services import moment

if TYPE_CHECKING:
    import datetime as dt

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


WORDS = {
    "TRACE": "DEBUG", "DEBUG": "DEBUG", "DEBUG1": "DEBUG", "INFO": "INFO", "LOG": "INFO", "NOTICE": "INFO", "NOTE": "INFO", "STATEMENT": "INFO",
    "DETAIL": "INFO", "HINT": "INFO", "CONTEXT": "INFO", "WARN": "WARNING", "WARNING": "WARNING", "ERROR": "ERROR", "ERR": "ERROR",
    "FATAL": "CRITICAL", "PANIC": "CRITICAL", "CRITICAL": "CRITICAL", "CRIT": "CRITICAL", "ALERT": "CRITICAL", "EMERG": "CRITICAL",
}  # fmt: skip


ACCESS = re.compile(
    r'(?P<client>\S+) \S+ (?P<user>\S+) \[(?P<at>[^\]]+)\] "(?P<request>(?:[^"\\]|\\.)*)" (?P<status>\d{3}) (?P<bytes>\d+|-)'
    r'(?: "(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)")?(?P<rest>.*)'
)


NGINX_ERROR = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(\w+)\] \d+#\d+: (.*)", re.DOTALL)


POSTGRES = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]* \S+ \[\d+\] (?:\S*@\S* )?([A-Z0-9]+):\s+(.*)", re.DOTALL)


REDIS = re.compile(r"\d+:[XCSM] \d\d \w{3} \d{4} [\d:.]+ ([.\-*#]) (.*)", re.DOTALL)


REDIS_LEVELS = {".": "DEBUG", "-": "INFO", "*": "INFO", "#": "WARNING"}


JUICEFS = re.compile(r"\d{4}/\d\d/\d\d [\d:.]+ \S+\[\d+\] <(\w+)>: (.*)", re.DOTALL)


LEADING = re.compile(
    r"[\[<(]?(?:level=)?(DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|ERR|FATAL|CRIT(?:ICAL)?|PANIC)[\]>)]?[:\s]", re.IGNORECASE
)


DATED = re.compile(r"^\W*(?:\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}|\d{4}[-/]\d\d[-/]\d\d[T ][\d:.,]+Z?) *(?:->|-)? *")


TRACEBACK = re.compile(r"^(Traceback \(most recent call last\)|[\w.]+(Error|Exception)(:|$))")


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
