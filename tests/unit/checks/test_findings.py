"""Captured facts judged: the healthy server is fine but for what the paper says; each change to it is found."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from captured import Captured, fact_of

from runbook import notebook
from runbook.checks import (
    access,
    backup,
    certificates,
    database,
    dumps,
    exceptions,
    firewall,
    inventory,
    logs,
    services,
    synthetic,
    units,
    usage,
    web,
)
from runbook.execution import bundles
from runbook.facts import Facts, Missing, gather
from runbook.facts.database import Rows
from runbook.facts.http import Answer
from runbook.facts.synthetic import Step, UserJourney
from runbook.facts.units import Units, parse_show
from runbook.facts.usage import Kill
from runbook.facts.web import ServedCertificate, Web
from runbook.verdict import State, Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.parameters import Parameters
    from runbook.verdict import Verdict

NOTEBOOK = re.compile(r"\d\d-[a-z-]+(/[a-z-]+)?")


def seen(parameters: Parameters, *files: str) -> Facts:
    """Return the facts of these captured cases ("services/containers-healthy"), as of the newest moment in them."""
    cases = [Path(f"{file}.out") for file in files]
    at = dt.datetime(2026, 11, 24, 8, 31, tzinfo=dt.UTC).timestamp()
    return gather(Captured(*cases), parameters, [fact_of(case) for case in cases], clock=lambda: at)


def bad(rows: list[Verdict]) -> dict[tuple[str, str], State]:
    """Return what is not OK, by check and subject."""
    return {(row.check, row.subject): row.state for row in rows if row.state is not State.OK}


ANSWER = Answer("/", 200, 12.0, "text/html", "", 700, "<title>PazPaz</title>")
HEALTH = Answer("/api/v1/health", 200, 5.0, "application/json", "", 30, '{"status":"ok","version":"v1"}')
PARTS = {"database": "ok", "redis": "ok", "storage": "ok", "clamav": "ok", "worker": "ok"}
READY = Answer("/api/v1/ready", 200, 20.0, "application/json", "", 98, json.dumps({"status": "ok", "checks": PARTS}))
SERVED = ServedCertificate(
    ("pazpaz.test",), "", "CN=authority", "ab12", dt.datetime(2026, 11, 1, tzinfo=dt.UTC), dt.datetime(2027, 2, 1, tzinfo=dt.UTC), "ff", "TLSv1.3", trusted=True
)  # fmt: skip
WEB = Web(
    front=ANSWER,
    assets=(Answer("/assets/app.js", 200, 3.0, "text/javascript", "", 1293, "x"),),
    health=HEALTH,
    ready=READY,
    version=Answer("/api/v1/version", 200, 3.0, "application/json", "", 60, '{"revision":"0003"}'),
    redirect=Answer("/", 301, 3.0, "text/html", "https://pazpaz.test/", 162, ""),
    certificate=SERVED,
)


# what a change stands on besides has cases of its own: it is judged by its planner
LOOKS = [name for name in notebook.names() if notebook.find(name).kind == "read"]


def test_the_untouched_server_is_fine_apart_from_the_paper(parameters: Parameters) -> None:
    """Every captured fact of the untouched practice server is judged, and only known exceptions stand out."""
    asked = sorted(
        entry for name, bundle in bundles.BUNDLES.items() if name in LOOKS for entry in bundle.facts
        if entry.split(".")[0] not in {"web", "synthetic"} and entry.removesuffix("()") not in {"access.login", "firewall.outside", "backup.off_host", "database.query"}
    )  # fmt: skip
    files = dict.fromkeys(f"{entry.removesuffix('()').replace('.', '/')}-healthy" for entry in asked)
    facts = seen(parameters, *files)
    assert facts.missing == ()
    passed = UserJourney(tuple(Step(name, True, 5.0, "fine") for name in ("login", "job")))
    whole = Facts(
        {name: facts[name] for name in facts} | {"web": WEB, "synthetic": passed, "off_host": {}, "outside": (), "login": Missing("login", ""), "query": Rows("SELECT 1", [], more=False)},
        {}, seconds=0.1, begun=facts.begun, ended=facts.begun,
    )  # fmt: skip
    checks = {check for name in LOOKS for check in bundles.checks(name)} - {access.login}
    rows = [row for check in checks for row in check(whole, parameters)]
    judged = Verdicts.of(exceptions.apply(rows, parameters.known_exceptions, today=facts.at.date()))
    known_to_differ = {"services.restarts", "resources.clock", "database.revision"}
    assert {k: v for k, v in bad(list(judged)).items() if k[0] not in known_to_differ} == {}
    assert {row.check for row in judged if row.known} == {
        "services.health", "access.password-login", "backup.off-host", "backup.copy",
    }  # fmt: skip


def test_containers_missing_exited_and_paused(parameters: Parameters) -> None:
    facts = seen(parameters, "services/containers-missing-exited-paused")
    found = bad([*services.state(facts, parameters), *services.restarts(facts, parameters)])
    assert found[("services.missing", "redis")] is State.CRITICAL
    assert found[("services.state", "api")] is State.CRITICAL
    assert found[("services.state", "db")] is State.CRITICAL
    assert found[("services.memory-kill", "api")] is State.WARNING


def at(parameters: Parameters, case: str, minutes: float, *, kills: tuple[Kill, ...] = (), **changed: Any) -> Facts:
    """Return the captured containers, the api's changed, as seen some minutes after it was started."""
    found = seen(parameters, case).containers
    api = dataclasses.replace(found.expected["api"], **changed)
    now = api.started + dt.timedelta(minutes=minutes)
    kept = dataclasses.replace(found, expected={**found.expected, "api": api})
    return Facts({"containers": kept, "kills": kills}, {}, seconds=0, begun=now.timestamp())


@pytest.mark.parametrize(
    ("minutes", "restarts", "state", "expected", "told"),
    [
        (9.9, 1, "running", State.WARNING, ""),
        (9.9, 5, "running", State.CRITICAL, ""),
        (10.1, 5, "running", State.OK, "restarted 5 times by Docker since it was created, the last time 10 minutes ago"),
        (600, 500, "running", State.OK, "the last time 600 minutes ago"),
        (600, 5, "restarting", State.CRITICAL, ""),
        (600, 0, "running", State.OK, ""),
    ],
)  # fmt: skip
def test_a_crash_loop_that_is_over_is_history(
    parameters: Parameters, minutes: float, restarts: int, state: str, expected: State, told: str
) -> None:
    facts = at(parameters, "services/containers-healthy", minutes, restarts=restarts, state=state)
    row = next(
        row for row in services.restarts(facts, parameters) if (row.check, row.subject) == ("services.restarts", "api")
    )
    assert row.state is expected
    assert told in row.history
    assert bool(row.history) == bool(told)


@pytest.mark.parametrize(
    ("minutes", "killed_ago", "expected"),
    [(5, None, State.WARNING), (60, 9.0, State.WARNING), (60, 11.0, State.OK), (60, None, State.OK)],
)
def test_a_kill_for_want_of_memory_that_is_over_is_history(
    parameters: Parameters, minutes: float, killed_ago: float | None, expected: State
) -> None:
    facts = at(parameters, "services/containers-healthy", minutes, oom_killed=True)
    if killed_ago is not None:
        kill = Kill(facts.at - dt.timedelta(minutes=killed_ago), "pazpaz-api", "oom")
        facts = at(parameters, "services/containers-healthy", minutes, oom_killed=True, kills=(kill,))
    (row,) = (row for row in services.restarts(facts, parameters) if row.check == "services.memory-kill")
    assert row.state is expected
    assert bool(row.history) == (expected is State.OK)
    (host,) = usage.kills(facts, parameters)
    assert host.state is (State.WARNING if killed_ago == 9.0 else State.OK)
    assert bool(host.history) == (killed_ago == 11.0)


def test_an_engine_that_is_away_is_no_evidence(parameters: Parameters) -> None:
    facts = seen(parameters, "services/containers-engine-away")
    assert bad(services.state(facts, parameters)) == {("services.state", "docker"): State.UNKNOWN}


def test_a_strange_container_and_a_published_port(parameters: Parameters) -> None:
    facts = seen(parameters, "services/containers-healthy")
    nobody = dataclasses.replace(facts.containers.all[0], name="xmrig", image="miner:latest")
    api = facts.containers.expected["api"]
    open_port = dataclasses.replace(facts.containers.expected["nginx"].ports[0], host_port=5432)
    found = dataclasses.replace(
        facts.containers,
        all=(*facts.containers.all, nobody),
        expected={
            **facts.containers.expected,
            "api": dataclasses.replace(api, ports=(open_port,), restart_policy="no"),
        },
    )
    given = Facts({"containers": found}, {}, seconds=0)
    assert bad(services.unexpected(given, parameters)) == {("services.extra", "xmrig"): State.WARNING}
    assert bad(firewall.bypass(given, parameters)) == {("firewall.bypass", "5432"): State.CRITICAL}
    assert ("services.restart-policy", "api") in bad(services.restarts(given, parameters))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"front": Answer("/", 0, 10.0, error="connection refused")}, {("web.front-page", "front page"): State.CRITICAL}),
        ({"front": dataclasses.replace(ANSWER, text="<title>Welcome to nginx!</title>")}, {("web.front-page", "front page"): State.CRITICAL}),
        ({"front": dataclasses.replace(ANSWER, milliseconds=1000.0)}, {("web.latency", "front page"): State.WARNING}),
        ({"assets": (Answer("/assets/app.js", 200, 3.0, "text/html", "", 700, "<!doctype"),)}, {("web.assets", "front page's files"): State.CRITICAL}),
        ({"assets": (Answer("/assets/app.js", 404, 3.0, "text/html", "", 10, ""),)}, {("web.assets", "front page's files"): State.CRITICAL}),
        ({"health": dataclasses.replace(HEALTH, text='{"status":"ok"}')}, {("web.health", "API"): State.CRITICAL}),
        ({"ready": dataclasses.replace(READY, status=503, text=json.dumps({"checks": PARTS | {"redis": "error: TimeoutError"}}))}, {("web.ready", "redis"): State.CRITICAL}),
        ({"ready": dataclasses.replace(READY, text='{"status":"ok"}')}, {("web.ready", "API"): State.CRITICAL}),
        ({"ready": dataclasses.replace(READY, text=json.dumps({"checks": {"database": "ok"}}))}, {("web.ready", part): State.UNKNOWN for part in ("redis", "storage", "clamav", "worker")}),
        ({"redirect": Answer("/", 200, 3.0, text="hello")}, {("web.redirect", "http"): State.WARNING}),
        ({"redirect": Answer("/", 301, 3.0, location="https://elsewhere.example/")}, {("web.redirect", "http"): State.WARNING}),
        ({"certificate": dataclasses.replace(SERVED, trusted=False, error="certificate not trusted: expired")}, {("web.certificate", "pazpaz.test"): State.CRITICAL}),
        ({"certificate": dataclasses.replace(SERVED, not_after=dt.datetime(2026, 12, 15, 12, tzinfo=dt.UTC))}, {("web.certificate-days", "pazpaz.test"): State.WARNING}),
        ({"certificate": dataclasses.replace(SERVED, not_after=dt.datetime(2026, 12, 1, 12, tzinfo=dt.UTC))}, {("web.certificate-days", "pazpaz.test"): State.CRITICAL}),
        ({"certificate": None, "certificate_error": "connection refused"}, {("web.certificate", "pazpaz.test"): State.CRITICAL}),
    ],
)  # fmt: skip
def test_web(
    change: dict[str, Any],
    expected: dict[tuple[str, str], State],
    given: Callable[..., Facts],
    parameters: Parameters,
) -> None:
    """Each thing that a visitor could see wrong is found, and nothing else with it."""
    assert bad(web.web(given(web=dataclasses.replace(WEB, **change)), parameters)) == expected


def test_walk(given: Callable[..., Facts], parameters: Parameters) -> None:
    """A failed step is critical, one that was not reached is no evidence, a slow one is a warning; jobs may take their time."""
    steps = (
        Step("login", True, 1999.0, "token"),
        Step("read", True, 2000.0, "listed"),
        Step("job", True, 9000.0, "done"),
        Step("scan", False, 5.0, "the test virus was accepted", "status 201"),
        Step("download", None, 0.0, "not reached"),
    )
    assert bad(synthetic.synthetic(given(synthetic=UserJourney(steps)), parameters)) == {
        ("synthetic.read", "user's way"): State.WARNING,
        ("synthetic.scan", "user's way"): State.CRITICAL,
        ("synthetic.download", "user's way"): State.UNKNOWN,
    }


def test_walk_without_an_account_is_said(given: Callable[..., Facts], parameters: Parameters) -> None:
    rows = synthetic.synthetic(given(synthetic=UserJourney((), skipped="no account")), parameters)
    assert [(row.state, row.known) for row in rows] == [(State.OK, "not looked at: no account")]


def test_firewall_off_and_strange_rules(parameters: Parameters) -> None:
    facts = seen(parameters, "firewall/packet_filter-off-and-sources")
    assert bad(firewall.packet_filter(facts, parameters)) == {
        ("firewall.state", "kernel"): State.CRITICAL,
        ("firewall.port", "8000:8010"): State.CRITICAL,
    }


def test_listeners(parameters: Parameters) -> None:
    facts = seen(parameters, "firewall/listeners-old-ss")
    assert bad(firewall.listeners(facts, parameters)) == {
        ("firewall.listener", "53"): State.WARNING,
        ("firewall.listener", "9100"): State.WARNING,
        **{("firewall.listener", str(port)): State.CRITICAL for port in (22, 80, 443)},
    }


def test_strange_accounts_and_keys(parameters: Parameters) -> None:
    facts = seen(
        parameters, "access/accounts-intruder", "access/sudo_rules-unasked", "access/sshd-keyboard-interactive"
    )
    rows = [row for check in (access.accounts, access.sudo, access.sshd) for row in check(facts, parameters)]
    assert bad(rows) == {
        ("access.root-accounts", "accounts"): State.CRITICAL,
        ("access.accounts", "accounts"): State.WARNING,
        ("access.sudo-accounts", "accounts"): State.CRITICAL,
        ("access.keys", "authorized_keys"): State.CRITICAL,
        ("access.sudo-unasked", "sudo"): State.WARNING,
        ("access.password-login", "sshd"): State.WARNING,
    }


def test_paths_absent_and_open(parameters: Parameters) -> None:
    facts = seen(parameters, "inventory/paths-some-absent", "inventory/variables-lacking")
    found = bad([*inventory.paths(facts, parameters), *inventory.variables(facts, parameters)])
    env = "/opt/pazpaz/.env.production"
    assert found[("inventory.mode", env)] is State.CRITICAL
    assert found[("inventory.size", env)] is State.CRITICAL
    assert found[("inventory.owner", env)] is State.WARNING
    assert found[("inventory.path", "/opt/pazpaz/docker-compose.prod.yml")] is State.CRITICAL
    assert found[("inventory.env", "variables")] is State.CRITICAL


def test_database(parameters: Parameters) -> None:
    """Each answer of the database is judged by itself."""
    facts = seen(parameters, "database/database-healthy")
    answers = {name: [dict(row) for row in rows] for name, rows in facts.database.answers.items()}
    answers["tables"] = [row for row in answers["tables"] if row["name"] != "clients"]
    answers["filled:users"] = [{"filled": False}]
    answers["indexes"] = [row for row in answers["indexes"] if row["name"] != "audit_log_at_idx"]
    answers["read_only_by"] = [
        {"database": "pazpaz", "role": "all roles", "setting": "default_transaction_read_only=on"}
    ]
    answers["connections"] = [{"used": 93, "most": 100, "reserved": 3}]
    answers["settings"] = [row | ({"setting": "off"} if row["name"] == "fsync" else {}) for row in answers["settings"]]
    answers["checksums"] = [{"database": "pazpaz", "failures": 1, "deadlocks": 0, "temp_bytes": 0}]
    waiting = {
        "pid": 9,
        "application": "pazpaz",
        "query": "select",
        "state": "active",
        "transaction_seconds": 5,
        "query_seconds": 5,
        "blocked_by": [7],
    }
    holding = {
        "pid": 7,
        "application": "psql",
        "query": "lock",
        "state": "idle in transaction",
        "transaction_seconds": 600,
        "query_seconds": 600,
        "blocked_by": [],
    }
    answers["activity"] = [waiting, holding]
    answers["trust"] = [
        {"type": "host", "database": "all", "role": "all", "address": "10.0.0.0", "auth_method": "trust"}
    ]
    changed = Facts(
        {
            "database": dataclasses.replace(
                facts.database, answers=answers, unanswered={"sequences": "invalid page in block 0"}
            )
        },
        {},
        seconds=0,
    )
    assert bad(database.database(changed, parameters)) == {
        ("database.tables", "clients"): State.CRITICAL,
        ("database.tables", "users"): State.CRITICAL,
        ("database.read-only", "database"): State.CRITICAL,
        ("database.connections", "connections"): State.CRITICAL,
        ("database.settings", "fsync"): State.CRITICAL,
        ("database.checksums", "pages"): State.CRITICAL,
        ("database.locks", "locks"): State.WARNING,
        ("database.idle-in-transaction", "transactions"): State.CRITICAL,
        ("database.trust", "pg_hba.conf"): State.CRITICAL,
        ("database.expected-indexes", "indexes"): State.WARNING,
        ("database.answers", "sequences"): State.UNKNOWN,
    }  # fmt: skip


@pytest.mark.parametrize(("database_head", "state"), [("0003", State.OK), ("0004", State.WARNING)])
def test_schema_against_image(
    database_head: str, state: State, given: Callable[..., Facts], parameters: Parameters
) -> None:
    facts = seen(parameters, "database/database-healthy")
    answers = facts.database.answers | {"revision": [{"revision": database_head}]}
    both = given(database=dataclasses.replace(facts.database, answers=answers), web=WEB)
    assert [row.state for row in database.revision(both, parameters)] == [state]


def test_backups_bad_and_old(parameters: Parameters) -> None:
    facts = seen(
        parameters,
        "backup/copies-odd-names",
        "backup/read_through-truncated-then-good",
        "units/units-failed-and-absent",
    )
    rows = [row for check in (backup.copies, backup.read_through, backup.schedule) for row in check(facts, parameters)]
    found = bad(rows)
    assert found[("backup.copy", "database")] is State.CRITICAL
    assert found[("backup.copy", "configuration")] is State.CRITICAL
    assert found[("backup.size", "database")] is State.CRITICAL
    assert found[("backup.mode", "database")] is State.WARNING
    assert found[("backup.checksum", "database")] is State.WARNING
    assert found[("backup.verified", "database")] is State.CRITICAL
    assert found[("backup.verified", "uploads")] is State.WARNING
    assert found[("backup.schedule", "database")] is State.CRITICAL
    assert "the newest good one is a.dump" in next(row.reason for row in rows if row.check == "backup.verified")


@pytest.mark.parametrize(
    ("case", "state", "reason"),
    [
        ("healthy", State.OK, "it is one of this database"),
        ("foreign", State.CRITICAL, "it is a dump of the database other, not of pazpaz"),
        ("cut-off", State.CRITICAL, "its table of contents cannot be read: could not read from input file"),
        ("reader-away", State.UNKNOWN, "is not running"),
        ("none", None, ""),
    ],
)
def test_the_newest_dump_is_told_by_its_contents(
    parameters: Parameters, case: str, state: State | None, reason: str
) -> None:
    rows = dumps.newest(seen(parameters, f"dump_candidates/newest_dump-{case}"), parameters)
    assert [row.state for row in rows] == ([] if state is None else [state])
    assert all(reason in row.reason for row in rows)


def test_a_reader_that_is_away_proves_nothing(parameters: Parameters) -> None:
    facts = seen(parameters, "backup/copies-healthy", "backup/read_through-reader-away")
    assert bad(backup.read_through(facts, parameters)) == {("backup.verified", "database"): State.UNKNOWN}


@pytest.mark.parametrize(("hours", "state"), [(25.9, State.OK), (26.0, State.OK), (26.1, State.CRITICAL)])
def test_age_of_a_backup(hours: float, state: State, parameters: Parameters) -> None:
    facts = seen(parameters, "backup/copies-healthy")
    newest = facts.copies["database"][0]
    aged = dataclasses.replace(newest, modified=facts.at - dt.timedelta(hours=hours))
    given = Facts({"copies": {**facts.copies, "database": (aged,)}}, {}, seconds=0, begun=facts.begun)
    ages = [row.state for row in backup.copies(given, parameters) if row.check == "backup.age"]
    assert ages == [state]


def test_certificates_all_wrong(parameters: Parameters) -> None:
    facts = seen(parameters, "certificates/certificates-all-wrong", "certificates/renewal-failed")
    found = bad([*certificates.certificates(facts, parameters), *certificates.renewal(facts, parameters)])
    assert found == {
        ("certificates.days-left", "public"): State.CRITICAL,
        ("certificates.days-left", "internal CA"): State.CRITICAL,
        ("certificates.key", "postgres"): State.CRITICAL,
        ("certificates.chain", "postgres"): State.CRITICAL,
        ("certificates.served", "postgres"): State.UNKNOWN,
        ("certificates.served", "minio"): State.CRITICAL,
        ("certificates.timer", "certbot.timer"): State.CRITICAL,
        ("certificates.last-run", "certbot.service"): State.CRITICAL,
    }


@pytest.mark.parametrize(
    ("days", "state"), [(21.01, State.OK), (21, State.WARNING), (7, State.CRITICAL), (-1, State.CRITICAL)]
)
def test_days_left(days: float, state: State, parameters: Parameters) -> None:
    facts = seen(parameters, "certificates/certificates-healthy")
    public = facts.certificates[0]
    leaf = dataclasses.replace(public.disk, not_after=facts.at + dt.timedelta(days=days))
    given = Facts({"certificates": (dataclasses.replace(public, disk=leaf),)}, {}, seconds=0, begun=facts.begun)
    rows = [row for row in certificates.certificates(given, parameters) if row.check == "certificates.days-left"]
    assert rows[0].state is state


MASKED = """NextElapseUSecRealtime=
LastTriggerUSec=Thu 2026-11-26 21:59:09 UTC
Result=resources
Id=certbot.timer
LoadState=masked
ActiveState=failed
SubState=failed
UnitFileState=masked
"""


def test_a_masked_unit_is_no_absent_one(parameters: Parameters) -> None:
    """As systemd 257 describes a timer after `systemctl mask --now`."""
    given = Facts({"units": Units(parse_show(MASKED), ())}, {}, seconds=0)
    rows = {(row.check, row.subject): row for row in units.units(given, parameters)}
    assert rows[("units.active", "certbot.timer")].reason == "this unit is masked: nothing can start it"
    assert rows[("units.active", "docker.service")].reason == "this unit does not exist"


def test_units(parameters: Parameters) -> None:
    facts = seen(parameters, "units/units-failed-and-absent")
    found = bad(units.units(facts, parameters))
    assert found[("units.failed", "pazpaz-backup.service")] is State.WARNING
    assert found[("units.active", "certbot.timer")] is State.CRITICAL
    assert found[("units.enabled", "certbot.timer")] is State.WARNING
    assert found[("units.active", "docker.service")] is State.CRITICAL


def test_logs_that_cannot_be_read(parameters: Parameters) -> None:
    facts = seen(parameters, "logs/logs-healthy")
    blind = dataclasses.replace(facts.logs, unread={"api": "No such container"}, cut=("nginx",))
    found = bad(logs.logs(Facts({"logs": blind}, {}, seconds=0), parameters))
    assert found == {("logs.read", "api"): State.UNKNOWN, ("logs.read", "nginx"): State.WARNING}


def test_every_finding_opens_a_notebook(parameters: Parameters) -> None:
    """What is not OK says where to go on, and by a name that a notebook can have."""
    facts = seen(parameters, "services/containers-missing-exited-paused", "certificates/certificates-all-wrong", "access/accounts-intruder", "inventory/paths-some-absent", "backup/copies-odd-names", "units/units-failed-and-absent")  # fmt: skip
    rows = [row for check in (services.state, certificates.certificates, access.accounts, inventory.paths, backup.copies, units.units) for row in check(facts, parameters)]  # fmt: skip
    findings = [row for row in rows if row.state is not State.OK]
    assert findings
    assert [row for row in findings if not NOTEBOOK.fullmatch(row.next) or not row.reason] == []


def test_a_query_of_ones_own_that_failed_is_never_ok(parameters: Parameters, given: Callable[..., Facts]) -> None:
    failed = database.answered(given(query=Missing("query", 'column "no_such" does not exist')), parameters)
    assert [(row.state, row.check) for row in failed] == [(State.UNKNOWN, "database.answered")]
    assert "no_such" in failed[0].reason
    one = Rows("SELECT 1", [{"a": 1}], more=True)
    assert [(row.state, row.value) for row in database.answered(given(query=one), parameters)] == [
        (State.OK, "more than 1 rows")
    ]
