"""What lines of a log blame: the messages that well-known programs write when they meet trouble, and which part that is. Pure.

The words are those of the programs' own sources and documents: PostgreSQL's error messages, Redis's error prefixes, S3's
error codes, nginx's error log, errno(3) as the C library and Python spell it. A message that only says that another part
does not answer blames that part, and says less than one that names what is wrong.
"""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.checks import number_of
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from runbook.facts.log_lines import Line
    from runbook.facts.logs import Logs
    from runbook.facts.stack_probes import Links
    from runbook.triage.parts import Parts

RECENT_SECONDS = 120
"""A message can belong to the symptoms of now when it came within this."""
LATE = dt.timedelta(seconds=2)
"""A line may bear an earlier time than the request that it tells of."""
START, CONNECTIONS, DISK, CERTIFICATES, USAGE, CONTROL, INVENTORY, CORRUPTION, LOGS = (
    "08-troubleshoot/service-wont-start",
    "08-troubleshoot/database-connections",
    "08-troubleshoot/disk-full",
    "08-troubleshoot/certificate-errors",
    "08-troubleshoot/high-cpu-memory",
    "08-troubleshoot/service-wont-start",
    "01-access/server-inventory",
    "09-emergency/data-corruption",
    "04-health/log-scan",
)


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of message. `blames` is a role, "own" (who writes it), or "named" (whom it names)."""

    kind: str
    pattern: re.Pattern[str]
    blames: str
    words: str
    next: str


def _of(kind: str, pattern: str, blames: str, words: str, next_notebook: str) -> Message:
    return Message(kind, re.compile(pattern, re.IGNORECASE), blames, words, next_notebook)


MESSAGES = (
    # PostgreSQL, as it says it itself or as a client repeats it
    _of("page", r"invalid page in block|could not read block|missing chunk number|checksum verification failed|is corrupted|unexpected data beyond EOF", "database", "data of it cannot be read: it is damaged", CORRUPTION),
    _of("login", r"password authentication failed for user \S+", "database", "it refuses the password", CONNECTIONS),
    _of("rule", r"no pg_hba\.conf entry for .{0,80}|pg_hba\.conf rejects connection", "database", "its rules of access (pg_hba.conf) refuse the client", CONNECTIONS),
    _of("role", r"\brole \"[^\"]+\" (does not exist|is not permitted to log in)|\bdatabase \"[^\"]+\" (does not exist|is not currently accepting connections)", "database", "the role or the database is not there, or not to be used", CONNECTIONS),
    _of("connections", r"too many (clients|connections)( already| for (role|database))?|remaining connection slots|QueuePool limit", "database", "no connection to it is left", CONNECTIONS),
    _of("timeout", r"canceling statement due to (statement|lock) timeout|QueryCanceled", "database", "its statements are ended by a time limit, or wait for a lock", CONNECTIONS),
    _of("lock", r"deadlock detected|LockNotAvailable|could not obtain lock", "database", "its statements wait for locks", "06-database/query"),
    _of("read-only", r"cannot execute \w+ in a read-only transaction|ReadOnlySqlTransaction", "database", "it can only be read", CONNECTIONS),
    _of("rights", r"permission denied for (table|schema|relation|sequence|database|function|view) \S+|InsufficientPrivilege", "database", "the application lacks a right", CONNECTIONS),
    _of("schema", r"relation \"?[^\"]+\"? does not exist|column \"?[^\"]+\"? .{0,40}does not exist|Undefined(Table|Column|Function)|function \S+ does not exist", "database", "its schema is not the one that the application expects", "03-deploy/migrate"),
    _of("constraint", r"violates (not-null|check|foreign key|unique|exclusion) constraint|(NotNull|Check|ForeignKey|Unique)Violation", "database", "a constraint refuses what the application writes", "06-database/query"),
    _of("starting", r"the database system is (starting up|shutting down|in recovery|not yet accepting)", "database", "it is starting, stopping or recovering", CONNECTIONS),
    _of("extend", r"could not (extend|write to|create) file .{0,80}No space left|could not write .{0,60}No space left", "database", "its disk is full", DISK),
    # Redis
    _of("memory", r"OOM command not allowed", "cache", "its memory limit is reached, and it refuses writes", CONTROL),
    _of("saving", r"MISCONF", "cache", "it refuses writes because it cannot save", DISK),
    _of("replica", r"READONLY You can't write|NOREPLICAS", "cache", "it refuses writes: it is a replica, or lacks replicas", CONTROL),
    _of("login", r"WRONGPASS|NOAUTH|invalid username-password pair", "cache", "it refuses the password", INVENTORY),
    _of("rights", r"NOPERM", "cache", "the application's user may not do what it needs", CONTROL),
    _of("type", r"WRONGTYPE", "cache", "a key holds another kind of value than the application expects", CONTROL),
    _of("clients", r"max number of clients reached", "cache", "it takes no more clients", CONTROL),
    _of("command", r"unknown command '?`?\w+", "cache", "it does not know a command that is needed", CONTROL),
    # S3
    _of("bucket", r"NoSuchBucket|bucket does not exist", "storage", "the bucket is not there", INVENTORY),
    _of("key", r"InvalidAccessKeyId|SignatureDoesNotMatch", "storage", "it refuses the application's key", INVENTORY),
    _of("rights", r"\bAccessDenied\b", "storage", "it does not let the application do what it needs", INVENTORY),
    _of("full", r"XMinioStorageFull|StorageFull|QuotaExceeded|XMinioAdminBucketQuotaExceeded", "storage", "it has no room left", DISK),
    _of("time", r"RequestTimeTooSkewed", "storage", "the clocks are too far apart", CONTROL),
    _of("object", r"NoSuchKey|stored object is missing", "storage", "objects that the database knows are not in it", "07-backup/restore-uploads"),
    # clamd
    _of("signatures", r"malformed database|no supported database files|can't (open|load) .{0,60}(cvd|cld|hdb|database)", "scanner", "its signatures cannot be loaded", CONTROL),
    _of("size", r"INSTREAM size limit exceeded", "scanner", "its limit of size is lower than the uploads", CONTROL),
    # nginx
    _of("body", r"client intended to send too large body", "proxy", "it refuses uploads of this size (client_max_body_size)", CONTROL),
    _of("rate", r"limiting (requests|connections)", "proxy", "its limit of requests is reached", CONTROL),
    _of("room", r"worker_connections are not enough", "proxy", "it has no connection left (worker_connections)", CONTROL),
    _of("rule", r"access forbidden by rule", "proxy", "a rule of its configuration refuses clients", CONTROL),
    _of("header", r"upstream sent (too big|invalid) header", "proxy", "what the application answers does not fit its buffers", CONTROL),
    _of("name", r"\S+ could not be resolved|host not found in upstream", "proxy", "it cannot resolve the name of what stands behind it", CONTROL),
    _of("file", r'open\(\) "[^"]+" failed', "own", "a file that it should serve cannot be opened", CONTROL),
    # what any program meets
    _of("no-space", r"No space left on device|ENOSPC|disk quota exceeded", "own", "there is no room where it writes", DISK),
    _of("read-only", r"Read-only file system|EROFS", "own", "it may not write: its file system is read-only", DISK),
    _of("permission", r"Permission denied|EACCES|Operation not permitted|PermissionError", "own", "it lacks a right to a file", START),
    _of("files", r"Too many open files|EMFILE|ENFILE", "own", "it may open no more files or connections", USAGE),
    _of("memory", r"Cannot allocate memory|MemoryError|ENOMEM|JavaScript heap out of memory", "own", "it gets no more memory", USAGE),
    _of("processes", r"can't start new thread|Resource temporarily unavailable|fork: retry", "own", "it may start no more processes or threads", USAGE),
    _of("port", r"Address already in use|EADDRINUSE", "own", "its port is taken by another program", START),
    _of("settings", r"validation errors? for \w*Settings|Field required|environment variable \S+ (is )?(not set|missing|required)|required .{0,30}(variable|setting)", "own", "a variable that it needs is missing or wrong", INVENTORY),
    _of("image", r"ModuleNotFoundError|ImportError|SyntaxError|exec format error|executable file not found|cannot open shared object", "own", "its image or command is broken", "03-deploy/backend-rollback"),
    _of("configuration", r"unknown directive|invalid (value|parameter|number of arguments)|configuration file .{0,60}(contains errors|test failed)|Fatal config|Bad directive|unrecognized configuration parameter", "own", "its configuration holds an error", CONTROL),
    _of("certificate", r"certificate (has )?expired|CERTIFICATE_VERIFY_FAILED|certificate verify failed|key values mismatch|unable to get (local )?issuer|hostname mismatch|cannot load certificate", "named", "a certificate is not trusted, has expired, or does not fit", CERTIFICATES),
    _of("key", r"InvalidToken|cannot be read|CannotUnseal|decryption failed|InvalidTag|bad decrypt", "own", "what is stored encrypted cannot be decrypted with its key", CORRUPTION),
)  # fmt: skip
AWAY = re.compile(
    r"Connection refused|connection timed out|timed out|Name or service not known|Temporary failure in name resolution|No route to host|"
    r"Connection reset|no live upstreams|prematurely closed|connection was closed|Host is unreachable|Network is unreachable|getaddrinfo failed",
    re.IGNORECASE,
)
NO_TROUBLE = re.compile(
    r"terminating connection due to administrator command|received (fast|smart) shutdown request|the database system is shutting down"
)
"""What a program calls an error, and somebody asked for."""
ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")


def from_logs(
    logs: Logs, parts: Parts, links: Links | None, begun: dt.datetime, down: Collection[str]
) -> list[Verdict]:
    """Given the last lines of the logs, return a finding for each kind of message of now, by the part that it blames.

    `begun` is when the look began, by the server's clock: what was logged since then belongs to the symptoms that were
    seen, what came shortly before may. Of a service that is `down` all last lines count.
    """
    owners = {name: link.to for link in (links.links if links else ()) for name in (*link.names, link.host) if link.to}
    found: dict[tuple[str, str], list[Line]] = {}
    chosen: dict[tuple[str, str], Message] = {}
    for line in logs.lines:
        is_down = line.service in down
        if (
            line.access is not None
            or NO_TROUBLE.search(line.message)
            or (line.level in {"DEBUG", "INFO"} and not is_down)
        ):
            continue
        if not is_down and (begun - line.at).total_seconds() > RECENT_SECONDS:
            continue
        for message, part in _blamed(line, parts, owners):
            found.setdefault((message.kind, part), []).append(line)
            chosen.setdefault((message.kind, part), message)
    return [
        _row(chosen[key], key[1], lines, now=lines[-1].at >= begun - LATE or lines[-1].service in down)
        for key, lines in sorted(found.items())
    ]


def _blamed(line: Line, parts: Parts, owners: dict[str, str]) -> Iterator[tuple[Message, str]]:
    text = line.message[:2000]
    for message in MESSAGES:
        if message.pattern.search(text):
            part = {"own": line.service, "named": _named(text, parts, owners) or line.service}.get(message.blames, "")
            yield message, part or next(iter(parts.of_role(message.blames)), line.service)
            return
    part = _named(text, parts, owners) if AWAY.search(text) else ""
    if part and part != line.service:
        yield GONE, part
    elif line.bad or TRACEBACK.search(text):
        yield OTHER, line.service


TRACEBACK = re.compile(r"^Traceback |^[\w.]+(Error|Exception)\b")
OTHER = _of("other", r"", "own", "its log tells of an error that nothing else explains", LOGS)
GONE = _of("away", r"", "named", "others do not reach it", CONTROL)


def _named(text: str, parts: Parts, owners: dict[str, str]) -> str:
    """Return the service whose name or address a message holds."""
    words: tuple[str, ...] = (*ADDRESS.findall(text), *re.findall(r"[A-Za-z][A-Za-z0-9_-]+", text))
    for word in words:
        if word in owners:
            return owners[word]
        if word in parts.roles:
            return word
    return ""


def _row(message: Message, part: str, lines: list[Line], *, now: bool) -> Verdict:
    services = Counter(line.service for line in lines)
    last = lines[-1]
    who = ", ".join(service for service, _ in services.most_common(3))
    room = "link.said" if message is GONE else f"log.{message.kind}" if now else f"log-before.{message.kind}"
    return Verdict(
        State.CRITICAL if now else State.WARNING, room, part, f"its log says: {' '.join(last.message.split())[:160]}" if message is OTHER else message.words, number_of(len(lines), "line"), "none",
        f"log of {who}, last at {last.at:%H:%M:%S}: {' '.join(last.message.split())[:300]}", message.next,
    )  # fmt: skip
