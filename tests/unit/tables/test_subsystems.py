"""Facts as tables: what an operator must not miss is in them, and no evidence is never an empty table."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from runbook import tables
from runbook.facts import Facts, Missing
from runbook.facts.backup import AwayCopy, Copy, ReadThrough
from runbook.facts.certificates import CertificateFact, Leaf
from runbook.facts.compose import ComposeFile
from runbook.facts.database import Database, Rows
from runbook.facts.firewall import Listener, PacketFilter, PortProbe
from runbook.facts.http import Answer
from runbook.facts.inventory import PathStat, Variables
from runbook.facts.log_lines import Access, Line
from runbook.facts.logs import Logs
from runbook.facts.resources import Filesystem, Machine
from runbook.facts.services import Container, Containers, Listed, Port
from runbook.facts.synthetic import Step, UserJourney
from runbook.facts.usage import Usage
from runbook.facts.web import Web
from runbook.parameters import Parameters, project_root, read
from runbook.records.index import Entry
from runbook.verdict import State, Verdict, Verdicts

NOW = dt.datetime(2026, 11, 24, 8, 40, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
MIB, GIB = 1024**2, 1024**3


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    return read(project_root() / "params" / "production.example.yaml", target="production", instance="production")


def facts(**values: Any) -> Facts:
    return Facts(values, {}, seconds=1.0, begun=NOW.timestamp(), ended=NOW.timestamp())


def container(service: str, state: str = "running", **more: Any) -> Container:
    given: dict[str, Any] = {
        "name": f"pazpaz-{service}", "id": "0" * 64, "service": service, "project": "pazpaz", "state": state, "health": "healthy",
        "health_said": "", "failing_streak": 0, "exit_code": 0, "oom_killed": False, "error": "", "restarts": 0, "created": NOW - 5 * HOUR,
        "started": NOW - 4 * HOUR, "finished": NOW - HOUR, "reference": f"pazpaz-{service}:1", "image": "sha256:" + "a" * 64,
        "config_hash": "", "restart_policy": "always", "memory_limit_bytes": 0, "privileged": False, "ports": (), "mounts": (),
    }  # fmt: skip
    return Container(**(given | more))


def listed(*names: str) -> tuple[Listed, ...]:
    return tuple(Listed(name, "image", "running", "Up", "") for name in names)


def column(table: tables.Table, name: str) -> list[Any]:
    return [row[table.columns.index(name)] for row in table.rows]


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("containers", "containers"), ("images", "containers"), ("compose", "compose"), ("web", "web"), ("user_journey", "synthetic"), ("usage", "usage"),
        ("disks", "filesystems"), ("host", "machine"), ("docker_disk", "docker_disk"), ("ssh", "login"), ("accounts", "accounts"), ("keys", "accounts"),
        ("logins", "sessions"), ("sudo", "sudo_rules"), ("firewall", "ufw"), ("locations", "paths"), ("variables", "variables"), ("packages", "packages"),
        ("log_lines", "logs"), ("log_services", "logs"), ("messages", "logs"), ("requests", "logs"), ("database_refusals", "logs"), ("certificates", "certificates"),
        ("served", "certificates"), ("timer", "renewal"), ("activity", "database"), ("locks", "database"), ("slow_queries", "database"),
        ("table_sizes", "database"), ("query", "query"), ("copies", "copies"), ("units", "units"),
    ],
)  # fmt: skip
def test_missing_evidence_is_an_unknown_row_with_its_reason(name: str, fact: str) -> None:
    table = getattr(tables, name)(facts(**{fact: Missing(fact, "sudo: refused", "sudo x")}))
    assert table.rows[0][:3] == (State.UNKNOWN, fact, "sudo: refused")
    assert table.title == "No evidence: this could not be looked at."


def test_a_stopped_and_an_unexpected_container_are_rows_of_their_own() -> None:
    seen = Containers({"api": container("api", "exited", exit_code=137)}, listed("pazpaz-api", "miner"))
    verdicts = Verdicts.of(
        [
            Verdict(State.CRITICAL, "services.state", "api", "exited with code 137"),
            Verdict(State.WARNING, "services.extra", "miner", "nobody expects this container"),
        ]
    )
    table = tables.containers(facts(containers=seen), verdicts)
    assert column(table, "service") == ["api", "miner"]
    assert column(table, "exit code")[0].startswith("137: killed")
    assert column(table, "finding") == ["exited with code 137", "nobody expects this container"]


def test_compose_says_what_it_would_change() -> None:
    seen = facts(
        compose=ComposeFile(True, "", {"pazpaz-api": "Recreate", "pazpaz-db": "Running"}, unset=True),
        containers=Containers({"api": container("api"), "db": container("db")}, ()),
    )
    table = tables.compose(seen)
    assert dict(zip(column(table, "service"), column(table, "Compose would"), strict=True)) == {
        "api": "recreate",
        "db": "leave it",
    }
    assert table.note == "A variable has no value: 01-access/server-inventory names it."


def answer(path: str, status: int, **more: Any) -> Answer:
    return Answer(path, status, 12.0, **more)


def test_web_shows_each_part_that_the_api_reaches() -> None:
    ready = answer("/ready", 503, text='{"status": "x", "checks": {"database": "TimeoutError", "redis": "ok"}}')
    web = Web(answer("/", 200), (), answer("/health", 200), ready, None, None, None, "no answer in time")
    verdicts = Verdicts.of([Verdict(State.CRITICAL, "web.ready", "database", "the API says: TimeoutError")])
    table = tables.web(facts(web=web), verdicts)
    assert table.rows[0][:3] == (State.CRITICAL, "API reaches database", "TimeoutError")
    assert table.title == "6 looks from outside, 1 failed request"


def test_walk_keeps_the_order_of_the_steps_and_marks_those_not_reached() -> None:
    steps = (
        Step("login", True, 5.0, "token"),
        Step("read", False, 9.0, "GET answered 500", "500"),
        Step("write", None, 0.0, "not reached"),
    )
    table = tables.user_journey(facts(synthetic=UserJourney(steps)))
    assert column(table, "state") == [State.OK, State.CRITICAL, State.UNKNOWN]
    assert column(table, "milliseconds") == [5.0, 9.0, None]
    assert "not tried" in repr(tables.user_journey(facts(synthetic=UserJourney((), skipped="no account"))))


def test_usage_names_containers_without_a_limit() -> None:
    machine = Machine(8 * GIB, 10.0, 0, 0.0, 0.1, 0.1, 0.1, 2, 100.0, {})
    used = (
        Usage("a", 1.0, 2.0, 10 * MIB, 8 * GIB, 0, 0, 0, 0, 1),
        Usage("b", 1.0, 2.0, 10 * MIB, 512 * MIB, 0, 0, 0, 0, 1),
    )
    assert column(tables.usage(facts(usage=used, machine=machine)), "limit MiB") == ["none", 512.0]


def test_ports_are_shown_from_every_side(parameters: Parameters) -> None:
    seen = facts(
        packet_filter=PacketFilter("DROP", "DROP", True, {"22": ("anywhere",), "443": ("anywhere",)}, ()),
        listeners=(Listener("192.0.2.1", 22, "sshd"), Listener("127.0.0.1", 5432, "postgres")),
        containers=Containers({"api": container("api", ports=(Port("192.0.2.1", 8000, 8000, "tcp"),))}, ()),
        outside=(PortProbe(22, "x:22", True, "connected"), PortProbe(8000, "x:8000", True, "connected"), PortProbe(5432, "x:5432", False, "refused")),
    )  # fmt: skip
    verdicts = Verdicts.of([Verdict(State.CRITICAL, "firewall.outside", "8000", "reachable, and nobody expects it")])
    table = tables.ports(seen, parameters, verdicts)
    assert table.rows[0] == (
        State.CRITICAL,
        "8000",
        False,
        "no",
        "nobody",
        "api",
        "open",
        "reachable, and nobody expects it",
    )
    assert "5432" in column(table, "port")
    assert table.title == "2 ports of 3 tried from outside are open"


def test_locations_show_what_is_not_there() -> None:
    there = PathStat("/opt/pazpaz/.env.production", "file", "0644", "pazpaz", "pazpaz", 700, NOW - HOUR)
    verdicts = Verdicts.of(
        [
            Verdict(State.CRITICAL, "inventory.mode", there.path, "others have rights that they must not have"),
            Verdict(State.WARNING, "inventory.path", "/opt/pazpaz/logs", "is not there"),
        ]
    )
    table = tables.locations(facts(paths={there.path: there}), verdicts)
    assert table.title == "1 path found, 1 not there"
    assert column(table, "mode") == ["0644", None]
    assert column(table, "kind") == ["file", "not there"]


def test_variables_that_lack_a_value_stand_first() -> None:
    table = tables.variables(
        facts(variables=Variables(set=("A",), empty=("B",), used=("A", "B", "C"), with_default=()))
    )
    assert column(table, "variable") == ["C", "B", "A"]
    assert "lacking: B, C" in table.title


def line(minutes: float, service: str, level: str, message: str, status: int = 0) -> Line:
    access = Access("c", "GET", "/clients/7", status, 1, "a", "10.0.0.1:8000") if status else None
    return Line(NOW - dt.timedelta(minutes=minutes), service, level, message, access)


def test_logs_are_grouped_counted_and_told_apart() -> None:
    logs = Logs(
        (
            line(9, "api", "ERROR", "could not connect to server 17"),
            line(8, "api", "ERROR", "could not connect to server 18"),
            line(7, "nginx", "ERROR", "GET /clients/7 502", 502),
            line(6, "nginx", "INFO", "GET /clients/7 200", 200),
        ),
        "1h",
        {"redis": "no such container"},
    )
    seen = facts(logs=logs)
    assert tables.messages(seen).rows[0][:3] == (2, "api", "ERROR")
    assert tables.requests(seen).rows[0][:2] == (1, 502)
    assert tables.requests(seen).title == "1 failed request of 2 in the last 1h"
    assert len(tables.database_refusals(seen).rows) == 1
    assert "redis (no such container)" in repr(tables.messages(seen))
    assert tables.log_lines(seen).rows[-1][3] == "GET /clients/7 200"


def leaf(sha256: str) -> Leaf:
    return Leaf(
        ("pazpaz.test",), "CN=a", "CN=b", "1", NOW - 24 * HOUR, NOW + 24 * 30 * HOUR, sha256, is_authority=False
    )


def test_a_certificate_that_is_not_the_one_served_is_seen() -> None:
    public = CertificateFact("public", leaf("a" * 64), "", 2, True, "", True, "", leaf("b" * 64), "")
    table = tables.served(facts(certificates=(public,)))
    assert column(table, "the same") == [False]
    assert table.title == "0 of 1 served certificates are the ones on disk"
    assert column(tables.certificates(facts(certificates=(public,))), "days left") == [30.0]


def session(pid: int, **more: Any) -> dict[str, Any]:
    given = {"pid": pid, "role": "pazpaz", "application": "api", "state": "active", "wait_event_type": None, "wait_event": None, "blocked_by": [], "transaction_seconds": 1, "query_seconds": 1, "state_seconds": 1, "query": "SELECT 1"}  # fmt: skip
    return given | more


def test_locks_name_who_blocks_whom() -> None:
    sessions = [
        session(1, state="idle in transaction", transaction_seconds=900, query="UPDATE clients"),
        session(
            2,
            wait_event_type="Lock",
            wait_event="transactionid",
            blocked_by=[1],
            query_seconds=30,
            query="DELETE FROM clients",
        ),
    ]
    seen = facts(database=Database({"activity": sessions}))
    assert tables.locks(seen).rows == ((2, 30, "DELETE FROM clients", 1, "UPDATE clients"),)
    assert tables.activity(seen).rows[0][2] == "idle in transaction"
    assert column(tables.slow_queries(seen), "query") == ["DELETE FROM clients"]


def test_a_question_that_the_database_refused_is_no_empty_table() -> None:
    table = tables.table_sizes(facts(database=Database({"activity": []}, {"tables": "permission denied"})))
    assert table.rows[0][:3] == (State.UNKNOWN, "database.tables", "permission denied")


def test_own_query_shows_its_rows_and_says_when_there_were_more() -> None:
    table = tables.query(facts(query=Rows("SELECT a", [{"a": 1, "b": None}], more=True)))
    assert table.columns == ("a", "b")
    assert "there were more" in table.title


def test_growth_needs_a_day_and_tells_when_the_disk_is_full() -> None:
    disk = Filesystem("/var/lib/docker", "/dev/a", "ext4", 10 * GIB, 9 * GIB, GIB, 90.0, None, read_only=False)
    path = "database.answers.server.0.database_bytes"
    seen = facts(filesystems=(disk,))
    grown = tables.growth(seen, {path: [(NOW - 48 * HOUR, 100.0 * MIB), (NOW, 300.0 * MIB)]})
    assert grown.rows[0][0] == "server, database"
    assert grown.rows[0][4] == 100.0
    assert grown.rows[0][5] == pytest.approx(10.24)
    young = tables.growth(seen, {path: [(NOW - HOUR, 100.0 * MIB), (NOW, 300.0 * MIB)]})
    assert young.rows[0][4:] == (None, None)


def test_coverage_counts_only_copies_that_were_read_to_their_end(parameters: Parameters) -> None:
    copies = tuple(Copy(f"/opt/pazpaz/backups/{name}.dump", MIB, NOW - age * HOUR, "0600", "root", has_checksum=True) for name, age in (("new", 2), ("old", 30)))  # fmt: skip
    read_through = (
        ReadThrough(copies[0].path, "", True, False, "unexpected end of file"),
        ReadThrough(copies[1].path, "", True, True, ""),
    )
    classes = {item.name: () for item in parameters.backup.classes}
    seen = facts(
        copies=classes | {"database": copies},
        read_through=classes | {"database": read_through},
        off_host={"database": AwayCopy("/mnt", "old.dump", MIB, NOW - 30 * HOUR)},
    )
    table = tables.coverage(seen, parameters)
    database = table.rows[column(table, "class").index("database")]
    assert database[3:5] == ("old.dump", "30.0 hours of changes")
    assert "old.dump, 30.0 hours old" in database
    assert column(table, "would be lost now").count("everything") == 3
    assert column(tables.copies(seen), "proven by reading") == [
        "NOT GOOD: unexpected end of file",
        "good, read to its end",
    ]


def entry(notebook: str, state: str, verdict: str) -> Entry:
    return Entry(
        "r.ipynb",
        (NOW - HOUR).isoformat(),
        "sandbox",
        notebook,
        state,
        verdict,
        0,
        5.0,
        "me",
        f"{verdict}: fine",
        "killed",
    )


def test_start_page_never_calls_a_run_that_died_ok() -> None:
    last = {
        "04-health/quick": entry("04-health/quick", "died", "OK"),
        "02-services/logs": entry("02-services/logs", "whole", "WARNING"),
    }
    table = tables.notebooks(last, now=NOW)
    assert [(row[0], str(row[1])) for row in table.rows[:2]] == [
        (State.UNKNOWN, "04-health/quick"),
        (State.WARNING, "02-services/logs"),
    ]
    assert column(table, "found")[0] == "died: killed"
    assert column(table, "run before")[0] == HOUR


def test_exceptions_show_what_they_rest_on(parameters: Parameters) -> None:
    verdicts = Verdicts.of(
        [
            Verdict(
                State.OK, "services.health", "frontend", "its health check fails", known="accepted until 2026-12-31"
            ),
            Verdict(State.OK, "web.front-page", "front page", "served"),
        ]
    )
    table = tables.exceptions(parameters, verdicts)
    assert column(table, "subject") == ["frontend"]
    assert column(table, "probe") == ["web.front-page: OK"]
    assert "wget" in column(table, "better would be")[0]


def test_contacts_say_when_nobody_is_named(parameters: Parameters) -> None:
    bare = parameters.model_copy(update={"about": parameters.about.model_copy(update={"contacts": ()})})
    assert "Nobody is named" in repr(tables.contacts(bare))
    assert column(tables.contacts(parameters), "order") == [1, 2]
    assert "https://pazpaz.health" in column(tables.card(parameters), "here")


@pytest.mark.parametrize(
    ("service", "text", "shown"),
    [
        ("db", "2026-11-24T08:48:12.802Z 2026-11-24 08:48:12.802 UTC [22] pazpaz@pazpaz FATAL:  too many clients", "08:48:12 db          CRITICAL too many clients"),
        ("", 'pazpaz-api  | 2026-11-24T08:48:15.4Z {"level": "INFO", "message": "GET / 200"}', "08:48:15 api         INFO     GET / 200"),
        ("", "what is this \x1b[31m", "what is this \N{REPLACEMENT CHARACTER}[31m"),
    ],
)  # fmt: skip
def test_a_followed_line_is_shown_as_in_the_tables(parameters: Parameters, service: str, text: str, shown: str) -> None:
    assert tables.live_line(parameters, service, text) == shown
