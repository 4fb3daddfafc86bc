"""Redis and the queue in it, by what Redis says of itself: whether it lets its users in, takes writes, and is emptied by a worker."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTROL, SECRETS, STATUS, DISK = (
    "08-troubleshoot/service-wont-start",
    "10-maintenance/rotate-secrets",
    "02-services/status",
    "08-troubleshoot/disk-full",
)
FULL_SHARE, HIGH_SHARE = 0.98, 0.9
FEWEST_CLIENTS = 20
"""An application and a worker alone hold ten connections."""
MOST_WAITING, LONGEST_WAIT_SECONDS = 100, 60
SLOW_MILLISECONDS = 2000


def cache(service: str, part: dict[str, Any]) -> Iterator[Verdict]:
    """Judge the answers of facts/probes/cache.py."""
    yield from _logins(service, part["logins"])
    info, config = part.get("info", {}), part.get("config", {})
    if info:
        yield from _memory(service, info, config)
        yield from _writes(service, info, config)
        yield from _clients(service, info, config)
    if part.get("held"):
        yield _row(
            "cache.paused",
            service,
            "it holds back every write of its clients (CLIENT PAUSE)",
            "held",
            "answered",
            "a message on a channel that nobody hears: no answer within 1.5 s; CLIENT UNPAUSE ends it",
        )
    if refused := part.get("refused"):
        command = refused[0].partition(":")[0]
        yield _row(
            "cache.rights",
            service,
            f"its user may not do what the application needs ({command})",
            f"{len(refused)} commands refused",
            "0",
            f"ACL DRYRUN: {refused[0]}",
            SECRETS,
        )
    commands = part.get("slow") or []
    more = (
        f"; slowest lately: {commands[0]['command']} ({commands[0]['microseconds'] / 1000:.0f} ms)" if commands else ""
    )
    yield from slow("cache.slow", service, part.get("milliseconds", 0), f"AUTH, SELECT and PING{more}")
    yield from _queues(part.get("queues", {}))


def _row(check: str, subject: str, reason: str, *told: str, state: State = State.CRITICAL) -> Verdict:
    """Return a finding; `told` is value, limit, evidence and, where it is another than that of services, the notebook to open."""
    value, limit, evidence, *opens = told
    return Verdict(state, check, subject, reason, value, limit, evidence, opens[0] if opens else CONTROL)


def slow(check: str, service: str, milliseconds: float, asked: str) -> Iterator[Verdict]:
    """Tell of a part that answers slowly, with what it was asked."""
    if milliseconds >= SLOW_MILLISECONDS:
        yield _row(
            check,
            service,
            "it answers slowly",
            f"{milliseconds} ms",
            f"{SLOW_MILLISECONDS} ms",
            asked,
            state=State.WARNING,
        )


def _logins(service: str, logins: dict[str, str]) -> Iterator[Verdict]:
    for who, said in logins.items():
        if said != "ok":
            user, _, variable = who.partition(" ")
            wrong = re.match(r"WRONGPASS|NOAUTH|ERR AUTH|NOPERM|ERR Client sent AUTH", said)
            reason = f"it refuses the credentials of {user} ({variable})" if wrong else f"it refuses {user}: {said}"
            yield _row(
                "cache.login",
                service,
                reason,
                "refused",
                "taken",
                f"AUTH as {user}: {said}",
                SECRETS if wrong else CONTROL,
            )


def _memory(service: str, info: dict[str, str], config: dict[str, str]) -> Iterator[Verdict]:
    most, used = int(config.get("maxmemory") or info.get("maxmemory") or 0), int(info.get("used_memory") or 0)
    policy = config.get("maxmemory-policy") or info.get("maxmemory_policy", "")
    evidence = f"CONFIG: maxmemory {most}, maxmemory-policy {policy}; INFO: used_memory {used}"
    if most and used >= FULL_SHARE * most:
        refuses = policy == "noeviction" or policy.startswith("volatile")
        told = "and it refuses every write" if refuses else f"and it throws keys away ({policy}): jobs can be lost"
        check, state = ("cache.memory", State.CRITICAL) if refuses else ("cache.memory-share", State.WARNING)
        yield _row(
            check,
            service,
            f"its memory limit is reached, {told}",
            f"{used} bytes",
            f"{most} bytes",
            evidence,
            state=state,
        )
    elif most and used >= HIGH_SHARE * most:
        yield _row(
            "cache.memory-share",
            service,
            "its memory limit is nearly reached",
            f"{used} bytes",
            f"{most} bytes",
            evidence,
            state=State.WARNING,
        )


def _writes(service: str, info: dict[str, str], config: dict[str, str]) -> Iterator[Verdict]:
    replicas, wanted = info.get("connected_slaves", "0"), int(config.get("min-replicas-to-write") or 0)
    saving, written = info.get("rdb_last_bgsave_status", "ok"), info.get("aof_last_write_status", "ok")
    if info.get("role") == "slave":
        master = f"{info.get('master_host')}:{info.get('master_port')}"
        yield _row(
            "cache.read-only", service, "it is a replica of another server: writes are refused, and its own data are gone from it", "replica", "master",
            f"INFO: role slave of {master}, link {info.get('master_link_status')}",
        )  # fmt: skip
    if wanted > int(replicas or 0):
        yield _row(
            "cache.read-only",
            service,
            "it refuses writes, because it wants replicas that are not there",
            f"{replicas} replicas",
            str(wanted),
            f"CONFIG: min-replicas-to-write {wanted}",
        )
    if "err" in (saving, written):
        stops = written == "err" or config.get("stop-writes-on-bgsave-error", "yes") == "yes"
        told = ", and refuses writes for that" if stops else ""
        yield _row(
            "cache.saving",
            service,
            f"it cannot save to its disk{told}",
            "err",
            "ok",
            f"INFO: rdb_last_bgsave_status {saving}, aof_last_write_status {written}",
            DISK,
        )
    if info.get("loading") == "1":
        yield _row(
            "cache.loading", service, "it is still loading its data", "loading", "ready", "INFO: loading 1", STATUS
        )


def _clients(service: str, info: dict[str, str], config: dict[str, str]) -> Iterator[Verdict]:
    clients, most = (
        int(info.get("connected_clients") or 0),
        int(config.get("maxclients") or info.get("maxclients") or 0),
    )
    if most and (clients >= HIGH_SHARE * most or most < FEWEST_CLIENTS):
        yield _row(
            "cache.clients",
            service,
            "it takes (nearly) no more clients",
            str(clients),
            str(most),
            f"CONFIG: maxclients {most}; INFO: connected_clients {clients}, rejected {info.get('rejected_connections')}",
        )


def _queues(queues: dict[str, dict[str, Any]]) -> Iterator[Verdict]:
    seen: set[str] = set()
    for name, row in queues.items():
        number = name.rpartition(" ")[2]
        if number in seen:
            continue  # two users of one database see one queue
        seen.add(number)
        if row["type"] not in {"zset", "none"}:
            yield _row(
                "queue.type", "queue", "what lies under the queue's name is no queue: no job can be put in or taken out", str(row["type"]), "zset",
                f"TYPE arq:queue in database {number}: {row['type']}",
            )  # fmt: skip
            continue
        waiting, oldest, now = row.get("waiting") or 0, row.get("oldest_ms"), row.get("now_ms")
        age = (now - oldest) / 1000 if now and oldest else 0.0
        if waiting >= MOST_WAITING or age >= LONGEST_WAIT_SECONDS:
            yield _row(
                "queue.wait", "queue", f"{waiting} jobs wait, the oldest for {age:.0f} s: they are not done as fast as they come", f"{waiting} jobs",
                f"{MOST_WAITING} jobs, {LONGEST_WAIT_SECONDS} s", f"ZCARD arq:queue in database {number}: {waiting}",
            )  # fmt: skip
    if queues and not any(row["beat"] == 1 for row in queues.values()):
        yield _row(
            "queue.beat",
            "queue",
            "no worker has shown a sign of life lately",
            "none",
            "a key that a worker renews",
            "EXISTS arq:queue:health-check: 0",
        )
