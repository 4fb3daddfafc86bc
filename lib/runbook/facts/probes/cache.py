"""Asks Redis, with the credentials of whoever uses it: its limits, its rights, and the queue that lies in it.

Protocol: RESP (redis.io, protocol specification); the keys of a queue are those of arq.constants. Nothing is written.
"""

from __future__ import annotations

import socket
import time
from urllib.parse import unquote, urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

WAIT, HELD_SECONDS = 3.0, 1.5
ARQ_QUEUE, ARQ_BEAT = "arq:queue", "arq:queue:health-check"
CONFIGURED = (
    "maxmemory", "maxmemory-policy", "maxclients", "appendonly", "save", "min-replicas-to-write", "timeout", "stop-writes-on-bgsave-error",
    "replica-read-only", "databases", "proto-max-bulk-len", "client-output-buffer-limit", "notify-keyspace-events", "slowlog-log-slower-than",
)  # fmt: skip
USED_BY_QUEUES = (
    "SET k v", "GET k", "ZADD k 1 v", "ZRANGEBYSCORE k 0 1", "ZREM k v", "EXISTS k", "DEL k", "PSETEX k 1 v", "MULTI", "EXEC", "WATCH k", "INFO",
    "EXPIRE k 1", "INCR k",
)  # fmt: skip


class Redis:
    """A connection to Redis that speaks just enough of its protocol."""

    def __init__(self, place: tuple[str, int]) -> None:
        self.socket = socket.create_connection(place, WAIT)
        self.socket.settimeout(WAIT)
        self.file = self.socket.makefile("rb")

    def ask(self, *words: str) -> Any:
        """Send a command and return its answer; an error is returned as {"error": text}."""
        parts = [word.encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))
        return self.read()

    def read(self) -> Any:
        """Read one answer."""
        line = self.file.readline().rstrip(b"\r\n").decode(errors="replace")
        if not line:
            raise OSError("the connection was closed")
        kind, rest = line[0], line[1:]
        if kind == "-":
            return {"error": rest}
        if kind == ":":
            return int(rest)
        if kind == "$":
            size = int(rest)
            return None if size < 0 else self.file.read(size + 2)[:-2].decode(errors="replace")
        if kind == "*":
            return [self.read() for _ in range(max(0, int(rest)))]
        return rest


def cache(place: tuple[str, int], urls: dict[str, str]) -> dict[str, Any]:
    """Return what Redis says of itself, and of the queue, to whoever uses it."""
    found: dict[str, Any] = {"logins": {}, "queues": {}}
    begun = time.monotonic()
    for name, url in urls.items():
        redis, number = Redis(place), urlsplit(url).path.strip("/") or "0"
        said = found["logins"][name] = login(redis, url, number)
        if said != "ok":
            continue
        found["milliseconds"] = round((time.monotonic() - begun) * 1000)
        if "info" not in found:
            found.update(itself(redis))
        found["queues"][f"{name} {number}"] = queue(redis)
        if "held" not in found:
            found["held"] = held(redis)
    return found


def held(redis: Redis) -> bool:
    """Return whether Redis holds back what changes something (CLIENT PAUSE): INFO of several versions does not say so.

    A message on a channel that nobody hears changes nothing, and is held back like a write.
    """
    redis.socket.settimeout(HELD_SECONDS)
    try:
        redis.ask("PUBLISH", "runbook-probe", "")
    except OSError:
        return True
    finally:
        redis.socket.settimeout(WAIT)
    return False


def login(redis: Redis, url: str, number: str) -> str:
    """Return "ok", or why Redis does not let a user in."""
    parts = urlsplit(url)
    asked = [("SELECT", number), ("PING",)]
    if parts.password:
        user = [unquote(parts.username)] if parts.username else []
        asked.insert(0, ("AUTH", *user, unquote(parts.password)))
    for words in asked:
        told = redis.ask(*words)
        if isinstance(told, dict):
            return str(told["error"])
    return "ok"


def itself(redis: Redis) -> dict[str, Any]:
    """Return what Redis says of its state, its settings, and what its user may do."""
    info = redis.ask("INFO", "everything")
    pairs = [redis.ask("CONFIG", "GET", key) for key in CONFIGURED]
    user = str(redis.ask("ACL", "WHOAMI"))
    refused = []
    for command in USED_BY_QUEUES:
        told = redis.ask("ACL", "DRYRUN", user, *command.split())
        text = told["error"] if isinstance(told, dict) else told
        if text != "OK" and not (
            isinstance(told, dict) and "unknown" in text.lower()
        ):  # before Redis 7 there is no DRYRUN
            refused.append(f"{command.split()[0]}: {text[:120]}")
    slow = redis.ask("SLOWLOG", "GET", "3")
    return {
        "info": dict(line.partition(":")[::2] for line in str(info).splitlines() if ":" in line),
        "config": {pair[0]: pair[1] for pair in pairs if isinstance(pair, list) and len(pair) > 1},
        "refused": refused,
        "slow": [{"microseconds": row[2], "command": " ".join(map(str, row[3]))[:80]} for row in slow]
        if isinstance(slow, list)
        else [],
    }


def queue(redis: Redis) -> dict[str, Any]:
    """Return what lies in the queue, since when, and whether a worker shows signs of life."""
    row: dict[str, Any] = {"type": redis.ask("TYPE", ARQ_QUEUE)}
    if row["type"] == "zset":
        row["waiting"] = redis.ask("ZCARD", ARQ_QUEUE)
        first = redis.ask("ZRANGE", ARQ_QUEUE, "0", "0", "WITHSCORES")
        row["oldest_ms"] = float(first[1]) if isinstance(first, list) and len(first) > 1 else None
    row["beat"] = redis.ask("EXISTS", ARQ_BEAT)
    clock = redis.ask("TIME")
    row["now_ms"] = int(clock[0]) * 1000 if isinstance(clock, list) else None
    return row
