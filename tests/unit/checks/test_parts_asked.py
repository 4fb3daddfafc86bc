"""The parts asked themselves: the healthy server gives no finding, each thing that is wrong gives its own."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from captured import Captured, fact_of

from runbook.checks import backends, database, database_limits, host, inside, links
from runbook.facts import Facts, Missing, gather
from runbook.facts.stack_probes import Backends, HostProbe, Inside, Links
from runbook.verdict import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.facts.database import Database
    from runbook.parameters import Parameters

CHECKS = (links.links, inside.inside, backends.backends, host.host)


def seen(parameters: Parameters, case: str) -> dict[str, Any]:
    """Return the captured facts of the parts."""
    files = [Path(f"stack_probes/{name}-{case}.out") for name in ("links", "inside", "backends", "host")]
    there = [file for file in files if (Path(__file__).parents[2] / "cases/facts" / file).exists()]
    found = gather(Captured(*there), parameters, [fact_of(file) for file in there])
    return {name: found[name] for name in found}


def bad(parameters: Parameters, facts: dict[str, Any]) -> dict[tuple[str, str], State]:
    """Return what is not OK, by check and subject."""
    rows = [
        row
        for check in CHECKS
        for row in check(Facts(facts, {}, seconds=0), parameters)
        if not row.reason.startswith("no evidence")
    ]
    return {(row.check, row.subject): row.state for row in rows if row.state is not State.OK}


def test_the_healthy_server_gives_no_finding(parameters: Parameters) -> None:
    facts = seen(parameters, "healthy")
    assert bad(parameters, facts) == {}
    rows = [row for check in CHECKS for row in check(Facts(facts, {}, seconds=0), parameters)]
    assert len({row.check for row in rows}) >= 6, "and it was looked at"


def test_each_connection_was_tried_three_times(parameters: Parameters) -> None:
    assert {(link.tries, link.failures) for link in seen(parameters, "healthy")["links"].links} == {(3, 0)}


def test_five_faults_at_once_are_five_findings(parameters: Parameters) -> None:
    assert bad(parameters, seen(parameters, "sick")) == {
        ("link.port-wrong", "nginx to api"): State.CRITICAL,
        ("process.stopped", "arq-worker"): State.CRITICAL,
        ("cache.read-only", "redis"): State.CRITICAL,
        ("queue.beat", "queue"): State.CRITICAL,
        ("storage.bucket", "minio"): State.CRITICAL,
        ("scanner.signatures", "clamav"): State.CRITICAL,
        ("settings.differ", "api"): State.WARNING,
    }


def test_without_evidence_nothing_is_said_to_be_well(parameters: Parameters) -> None:
    facts = Facts(
        {name: Missing(name, "the engine does not answer") for name in ("links", "inside", "backends", "host")},
        {},
        seconds=0,
    )
    rows = [row for check in CHECKS for row in check(facts, parameters)]
    assert [row.state for row in rows] == [State.UNKNOWN] * 4


def changed_inside(
    parameters: Parameters, service: str, change: Callable[[dict[str, Any]], None]
) -> dict[tuple[str, str], State]:
    facts = seen(parameters, "healthy")
    item = copy.deepcopy(facts["inside"].services)
    change(item[service])
    return bad(parameters, facts | {"inside": Inside(item)})


def _process(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda item: [one.update(values) for one in item["processes"]].clear()


def _limit(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda item: item["limits"].update(values)


def _mount(place: str, **values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda item: next(one for one in item["mounts"] if one["place"] == place).update(values)


@pytest.mark.parametrize(
    ("service", "change", "check", "state"),
    [
        ("redis", _process(state="T"), "process.stopped", State.CRITICAL),
        ("db", _process(state="D"), "process.waiting", State.WARNING),
        ("db", _limit(frozen=True), "process.frozen", State.CRITICAL),
        ("api", _limit(pids_limit=10, pids=10), "limits.processes", State.CRITICAL),
        ("api", _limit(memory=500 << 20, memory_inactive=0, memory_limit=512 << 20), "limits.memory", State.CRITICAL),
        ("api", _limit(memory=440 << 20, memory_inactive=0, memory_limit=512 << 20), "limits.memory-share", State.WARNING),
        ("api", _limit(cpus=0.1, throttled_share=95.0), "limits.cpu", State.CRITICAL),
        ("api", _limit(cpus=0.05, throttled_share=0.0), "limits.cpu", State.WARNING),
        ("api", _process(beside=True, cpu_percent=99), "maybe.foreign-process", State.WARNING),
        ("nginx", lambda item: item["files"].update(open=60, limit=64), "limits.files", State.CRITICAL),
        ("db", _mount("/var/lib/postgresql/data", read_only=True), "process.read-only", State.CRITICAL),
        ("db", _mount("/var/lib/postgresql/data", may_write=False), "process.owner", State.CRITICAL),
        ("db", _mount("/var/lib/postgresql/data", free=0), "process.full", State.CRITICAL),
        ("db", _mount("/dev/shm", inodes_free=0, inodes=100), "process.full", State.CRITICAL),  # noqa: S108 (a place in a captured answer)
        ("db", _mount("/var/lib/postgresql/data", problem="not mounted"), "process.mount", State.CRITICAL),
        ("api", _mount("/certs/ca.crt", replaced=True), "mounts.replaced", State.WARNING),
        ("api", _mount("/certs/ca.crt", gone=True), "mounts.gone", State.WARNING),
        ("api", _mount("/certs/ca.crt", may_read=False), "process.owner", State.CRITICAL),
    ],
)  # fmt: skip
def test_what_the_kernel_knows(
    service: str, change: Callable[[dict[str, Any]], None], check: str, state: State, parameters: Parameters
) -> None:
    assert changed_inside(parameters, service, change) == {(check, service): state}


def _info(**values: str) -> Callable[[dict[str, Any]], None]:
    return lambda parts: parts["redis"]["info"].update(values)


def _config(**values: str) -> Callable[[dict[str, Any]], None]:
    return lambda parts: parts["redis"]["config"].update(
        {key.replace("_", "-"): value for key, value in values.items()}
    )


def _queue(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda parts: [row.update(values) for row in parts["redis"]["queues"].values()].clear()


@pytest.mark.parametrize(
    ("change", "check", "subject", "state"),
    [
        (_config(maxmemory="1000"), "cache.memory", "redis", State.CRITICAL),
        (_config(maxclients="12"), "cache.clients", "redis", State.CRITICAL),
        (_config(min_replicas_to_write="1"), "cache.read-only", "redis", State.CRITICAL),
        (_info(role="slave"), "cache.read-only", "redis", State.CRITICAL),
        (_info(rdb_last_bgsave_status="err"), "cache.saving", "redis", State.CRITICAL),
        (_info(loading="1"), "cache.loading", "redis", State.CRITICAL),
        (lambda parts: parts["redis"].update(held=True), "cache.paused", "redis", State.CRITICAL),
        (lambda parts: parts["redis"].update(refused=["SET: no permissions"]), "cache.rights", "redis", State.CRITICAL),
        (lambda parts: parts["redis"].update(milliseconds=2500), "cache.slow", "redis", State.WARNING),
        (lambda parts: parts["redis"]["logins"].update({"api REDIS_URL": "WRONGPASS invalid"}), "cache.login", "redis", State.CRITICAL),
        (lambda parts: parts["redis"].update(failed="no answer within 3 s"), "cache.answers", "redis", State.CRITICAL),
        (_queue(type="string"), "queue.type", "queue", State.CRITICAL),
        (_queue(type="zset", waiting=500, oldest_ms=None), "queue.wait", "queue", State.CRITICAL),
        (_queue(beat=0), "queue.beat", "queue", State.CRITICAL),
        (lambda parts: parts["minio"]["ready"].update(status=503), "storage.answers", "minio", State.CRITICAL),
        (lambda parts: parts["minio"]["bucket"].update(status=404, said="NoSuchBucket: gone"), "storage.bucket", "minio", State.CRITICAL),
        (lambda parts: parts["minio"].update(trusted=False, trust_said="certificate has expired"), "storage.certificate", "minio", State.CRITICAL),
        (lambda parts: parts["minio"].update(tls="wrong version number"), "storage.tls", "minio", State.CRITICAL),
        (lambda parts: parts["clamav"].update(ping=""), "scanner.answers", "clamav", State.CRITICAL),
        (lambda parts: parts["clamav"].update(virus="stream: OK"), "scanner.signatures", "clamav", State.CRITICAL),
        (lambda parts: parts["clamav"].update(clean="stream: Any FOUND"), "scanner.clean", "clamav", State.CRITICAL),
        (lambda parts: parts["clamav"].update(large="INSTREAM size limit exceeded. ERROR"), "scanner.size", "clamav", State.CRITICAL),
        (lambda parts: parts["db"]["logins"].update({"api DATABASE_URL": 'FATAL:  role "a" is not permitted to log in'}), "database.login", "db", State.CRITICAL),
        (lambda parts: parts["api http"].update(status=500), "application.answers", "api", State.CRITICAL),
        (lambda parts: parts["api http"].update(late=6.0), "application.answers", "api", State.CRITICAL),
    ],
)  # fmt: skip
def test_what_stands_behind_the_application(
    change: Callable[[dict[str, Any]], None], check: str, subject: str, state: State, parameters: Parameters
) -> None:
    facts = seen(parameters, "healthy")
    parts = copy.deepcopy(facts["backends"].parts)
    change(parts)
    assert bad(parameters, facts | {"backends": Backends(parts, {})}) == {(check, subject): state}


@pytest.mark.parametrize(
    ("values", "check", "subject", "state"),
    [
        ({"said": "name: Name or service not known", "names": ()}, "link.name", "nginx to api", State.CRITICAL),
        ({"owners": ("172.30.0.99", "api")}, "link.name", "nginx to api", State.CRITICAL),
        ({"owners": ("frontend",)}, "link.name", "nginx to api", State.CRITICAL),
        ({"said": "port: timed out", "connected_ms": None}, "network.blocked", "nginx to api", State.CRITICAL),
        ({"said": "port: timed out", "connected_ms": None, "from_host": False}, "link.port", "nginx to api", State.CRITICAL),
        ({"said": "port: Connection refused", "connected_ms": None, "from_host": False, "port": 99}, "link.port-wrong", "nginx to api", State.CRITICAL),
        ({"said": "port: timed out", "tries": 3, "failures": 1}, "link.flaps", "nginx to api", State.CRITICAL),
        ({"said": "port: Cannot assign requested address", "connected_ms": None}, "link.ports-used", "nginx", State.CRITICAL),
        ({"connected_ms": 900}, "link.time", "nginx to api", State.WARNING),
    ],
)  # fmt: skip
def test_a_connection_that_fails(
    values: dict[str, Any], check: str, subject: str, state: State, parameters: Parameters
) -> None:
    facts = seen(parameters, "healthy")
    first, *rest = facts["links"].links
    assert (first.service, first.to) == ("nginx", "api")
    found = replace(facts["links"], links=(replace(first, **values), *rest))
    assert bad(parameters, facts | {"links": found}) == {(check, subject): state}


def test_several_names_that_do_not_resolve_are_one_finding(parameters: Parameters) -> None:
    facts = seen(parameters, "healthy")
    lost = tuple(
        replace(link, said="name: timed out", names=()) if link.service == "api" else link
        for link in facts["links"].links
    )
    found: Links = replace(facts["links"], links=lost)
    (row,) = [
        row
        for row in links.links(Facts(facts | {"links": found}, {}, seconds=0), parameters)
        if row.state is not State.OK
    ]
    assert row.subject == "api"
    assert row.reason.startswith("api cannot resolve the names of ")
    assert all(name in row.reason for name in ("db", "redis", "minio", "clamav"))


def test_a_container_that_is_cut_off_is_told_once_and_by_its_name(parameters: Parameters) -> None:
    facts = seen(parameters, "healthy")
    lost = tuple(
        replace(link, said="name: unknown", names=(), share_network=False) if link.to == "minio" else link
        for link in facts["links"].links
    )
    networks = dict.fromkeys(facts["links"].networks, ("pazpaz_default",)) | {"minio": ()}
    assert bad(parameters, facts | {"links": replace(facts["links"], links=lost, networks=networks)}) == {
        ("link.network", "minio"): State.CRITICAL
    }


@pytest.mark.parametrize(
    ("values", "check", "state"),
    [
        ({"forward": 0}, "kernel.setting", State.CRITICAL),
        ({"drops": ["iptables filter: INPUT -p tcp --dport 443 -j DROP"]}, "firewall.drops", State.WARNING),
        ({"shaped": ["qdisc netem 8001: dev eth0 root delay 300ms"]}, "network.shaped", State.CRITICAL),
        ({"bridges": ["the interface br-1 of the network a is down"]}, "network.bridge", State.CRITICAL),
        ({"published": ["443"]}, "network.published", State.WARNING),
        ({"kernel": ["EXT4-fs error (device sda1): bad block"]}, "kernel.log", State.CRITICAL),
        ({"room": {"open files of the host": [99, 100]}}, "host.room", State.CRITICAL),
        ({"resolvers": [{"server": "192.0.2.1", "answers": False, "said": "no answer within 2 s"}]}, "host.names", State.CRITICAL),
    ],
)  # fmt: skip
def test_what_the_host_can_no_longer_do(
    values: dict[str, Any], check: str, state: State, parameters: Parameters
) -> None:
    facts = seen(parameters, "healthy")
    found = HostProbe(facts["host"].found | values)
    (row,) = bad(parameters, facts | {"host": found}).items()
    assert (row[0][0], row[1]) == (check, state)


@pytest.mark.parametrize(
    ("rule", "hurts"),
    [
        ("iptables filter: DOCKER-USER -p tcp -m tcp --dport 443 -j DROP", True),
        ("iptables filter: INPUT -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable", True),
        ("iptables filter: INPUT -m statistic --mode random --probability 0.3 -j DROP", True),
        ("iptables filter: FORWARD -i br-1 -o br-2 -j DROP", True),
        ("iptables filter: f2b-sshd -s 203.0.113.9/32 -j REJECT --reject-with icmp-port-unreachable", False),
        ("iptables filter: INPUT -m conntrack --ctstate INVALID -j DROP", False),
        ("iptables filter: INPUT -j DROP", False),
        ("iptables filter: FORWARD -j DROP", False),
        ("iptables filter: INPUT -p tcp -m tcp --dport 25 -j DROP", False),
    ],
)  # fmt: skip
def test_rules_that_other_programs_write_are_no_finding(rule: str, hurts: bool, parameters: Parameters) -> None:
    facts = seen(parameters, "healthy")
    found = bad(parameters, facts | {"host": HostProbe(facts["host"].found | {"drops": [rule]})})
    assert found == ({("firewall.drops", "packet filter"): State.WARNING} if hurts else {})


def answers(parameters: Parameters, **values: list[dict[str, Any]]) -> Database:
    """Return the healthy database with other answers."""
    case = Path("database/database-healthy.out")
    found: Database = gather(Captured(case), parameters, [fact_of(case)])["database"]
    return replace(found, answers=found.answers | values)


ROLE = {"role": "pazpaz", "may_log_in": True, "expired": False, "most": -1, "used": 3, "ours": True}


@pytest.mark.parametrize(
    ("values", "check", "state"),
    [
        ({"roles": [ROLE | {"may_log_in": False}]}, "database.role", State.CRITICAL),
        ({"roles": [ROLE | {"expired": True}]}, "database.role", State.CRITICAL),
        ({"roles": [ROLE | {"most": 3}]}, "database.role", State.CRITICAL),
        ({"limits": [{"allows": False, "most": -1, "used": 0}]}, "database.limit", State.CRITICAL),
        ({"limits": [{"allows": True, "most": 5, "used": 5}]}, "database.limit", State.CRITICAL),
        ({"overrides": [{"role": "all roles", "setting": "statement_timeout=1"}]}, "database.timeout", State.CRITICAL),
        ({"overrides": [{"role": "pazpaz", "setting": "search_path=nowhere"}]}, "maybe.session-setting", State.WARNING),
        ({"overrides": [{"role": "all roles", "setting": "statement_timeout=30s"}]}, "", State.OK),
        ({"changed_settings": [{"name": "synchronous_standby_names", "setting": "one", "unit": None, "source": "configuration file", "file": "x"}]}, "database.standby", State.CRITICAL),
        ({"file_errors": [{"file": "pg_hba.conf", "line": 3, "error": "invalid"}]}, "database.configuration", State.WARNING),
        ({"rejected": [{"line": 1, "type": "host", "database": "all", "role": "all", "address": "all"}]}, "maybe.rejected", State.WARNING),
        ({"prepared": [{"gid": "x", "role": "pazpaz", "seconds": 90}]}, "database.prepared", State.CRITICAL),
        ({"slots": [{"name": "x", "active": False, "held_bytes": 5}]}, "database.slot", State.WARNING),
        ({"archiver": [{"failed": 3, "wal": "0001", "failing": True}]}, "database.archiving", State.WARNING),
        ({"row_rules": [{"table": "clients", "what": "row security"}]}, "maybe.row-rule", State.WARNING),
        ({"lock_holders": [{"pid": 9, "table": "clients", "mode": "AccessExclusiveLock", "role": "a", "application": "b", "state": "idle in transaction", "seconds": 30, "query": "lock"}]}, "database.lock-holder", State.CRITICAL),
        ({"checksums": [{"database": "pazpaz", "failures": 2, "failed_seconds_ago": 30}]}, "database.checksums", State.CRITICAL),
        ({"checksums": [{"database": "pazpaz", "failures": 2, "failed_seconds_ago": 90_000}]}, "database.checksums", State.WARNING),
    ],
)  # fmt: skip
def test_what_the_database_refuses_by_its_own_settings(
    values: dict[str, Any], check: str, state: State, parameters: Parameters
) -> None:
    facts = Facts({"database": answers(parameters, **values)}, {}, seconds=0)
    found = {row.check: row.state for row in database.database(facts, parameters) if row.state is not State.OK}
    assert found == ({check: state} if check else {})
    assert database_limits.JUDGES.keys() <= facts.database.answers.keys(), "the captured answers hold every question"
