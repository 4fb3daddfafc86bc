"""Which plan mends which cause, what a page refuses, and that each change says how it is taken back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from captured import Captured

from runbook.actions.troubleshoot import mend
from runbook.changes.plan import Context, Plan
from runbook.errors import PreflightError
from runbook.facts import Facts, gather
from runbook.facts.database import database
from runbook.facts.services import containers
from runbook.verdict import State, Verdict, Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.parameters import Parameters

STAMP = "20261127T080000Z"
LOGIN = Verdict(State.CRITICAL, "synthetic.login", "user's way", "POST /api/v1/auth/login answered 503 instead of 200")
ROLE = {"role": "pazpaz", "may_log_in": True, "expired": False, "most": -1, "used": 3, "ours": True}


def context(parameters: Parameters, *rows: Verdict, service: str = "", **answers: list[dict[str, Any]]) -> Context:
    """Return what a planner sees: the healthy server's facts, these findings, and these answers of the database."""
    found = gather(
        Captured(Path("services/containers-healthy.out"), Path("database/database-healthy.out")),
        parameters,
        [containers, database],
    )
    data = replace(found["database"], answers=found["database"].answers | answers)
    values = {name: found[name] for name in found} | {"database": data}
    facts = Facts(values, {}, seconds=0)
    return Context(facts, Verdicts(rows), parameters, {"service": service, "wait_seconds": 60}, STAMP)


def names(plan: Plan) -> list[str]:
    return [step.name for step in plan.steps]


@pytest.mark.parametrize(
    ("planner", "row", "answers", "steps"),
    [
        (mend.service_wont_start, Verdict(State.CRITICAL, "services.state", "redis", "paused: it holds its connections"), {}, ["unpause", "wait-healthy"]),
        (mend.service_wont_start, Verdict(State.CRITICAL, "process.stopped", "arq-worker", "its process is stopped"), {}, ["restart-arq-worker", "wait-arq-worker"]),
        (mend.service_wont_start, Verdict(State.CRITICAL, "cache.memory", "redis", "its memory limit is reached"), {}, ["restart-redis", "wait-redis"]),
        (mend.service_wont_start, Verdict(State.CRITICAL, "link.name", "api", "api cannot resolve the names of db"), {}, ["save-logs", "recreate-api", "wait-api"]),
        (mend.service_wont_start, Verdict(State.CRITICAL, "services.state", "api", "restarting again and again, last exit code 3 (see its logs)"), {}, ["save-logs", "recreate-api", "wait-api"]),
        (mend.high_cpu_memory, Verdict(State.CRITICAL, "limits.cpu", "api", "it is held back"), {}, ["save-logs", "recreate-api", "wait-api"]),
        (
            mend.database_connections, Verdict(State.CRITICAL, "database.role", "role pazpaz", "the role pazpaz may not log in (NOLOGIN)"),
            {"roles": [ROLE | {"may_log_in": False, "most": 3}]}, ["allow-login", "no-limit"],
        ),
        (mend.database_connections, Verdict(State.CRITICAL, "database.limit", "database", "its own limit"), {"limits": [{"allows": True, "most": 3, "used": 3}]}, ["no-limit"]),
        (
            mend.database_connections, Verdict(State.CRITICAL, "database.timeout", "statement_timeout", "statements are ended after 1 ms"),
            {"overrides": [{"role": "all roles", "setting": "statement_timeout=1"}, {"role": "pazpaz", "setting": "statement_timeout=2"}]},
            ["reset-0", "reset-1", "end-sessions"],
        ),
        (
            mend.database_connections, Verdict(State.CRITICAL, "database.lock-holder", "clients", "a session has locked it"),
            {"lock_holders": [{"pid": 77, "seconds": 30, "table": "clients"}]}, ["keep-evidence", "end-sessions"],
        ),
        (mend.database_connections, Verdict(State.CRITICAL, "database.login", "db", 'it refuses api: password authentication failed for user "pazpaz"'), {}, ["same-password"]),
        (
            mend.database_connections, Verdict(State.CRITICAL, "database.connections", "connections", "connections in use over its limit"),
            {"activity": [{"pid": pid, "application": "leak", "client": "172.30.0.9", "blocked_by": []} for pid in range(1, 90)]}, ["keep-evidence", "end-sessions"],
        ),
        (
            mend.database_connections, Verdict(State.CRITICAL, "database.login", "db", "it refuses api: sorry, too many clients already"),
            {"activity": [{"pid": pid, "application": "leak", "client": "172.30.0.9", "blocked_by": []} for pid in range(1, 90)]}, ["keep-evidence", "end-sessions"],
        ),
    ],
)  # fmt: skip
def test_the_cause_decides_what_is_done(
    planner: Callable[[Context], Plan], row: Verdict, answers: dict[str, Any], steps: list[str], parameters: Parameters
) -> None:
    plan = planner(context(parameters, LOGIN, row, **answers))
    assert names(plan) == [*steps, "prove-health", "prove-ready"]
    assert plan.basis["cause"] == [row.check, row.subject]
    assert all(step.undo or step.no_undo for step in plan.steps if step.changes)
    assert row.reason in plan.notes[0]


def test_a_page_refuses_what_it_does_not_mend_and_names_the_page_that_does(parameters: Parameters) -> None:
    row = Verdict(State.CRITICAL, "database.login", "db", "it refuses api", next="08-troubleshoot/database-connections")
    with pytest.raises(PreflightError) as refused:
        mend.certificate_errors(context(parameters, LOGIN, row))
    assert "it refuses api" in str(refused.value)
    assert "open 08-troubleshoot/database-connections" in str(refused.value)


def test_the_page_of_the_database_starts_no_other_service(parameters: Parameters) -> None:
    row = Verdict(
        State.CRITICAL,
        "services.state",
        "clamav",
        "exited with code 0 (ended by itself)",
        next="08-troubleshoot/service-wont-start",
    )
    with pytest.raises(PreflightError) as refused:
        mend.database_connections(context(parameters, LOGIN, row))
    assert "open 08-troubleshoot/service-wont-start" in str(refused.value)


def test_a_service_that_is_named_is_the_one_that_is_mended(parameters: Parameters) -> None:
    rows = [
        Verdict(State.CRITICAL, "services.state", name, "paused: it answers nothing") for name in ("redis", "clamav")
    ]
    plan = mend.service_wont_start(context(parameters, LOGIN, *rows, service="clamav"))
    assert plan.basis["container"] == "pazpaz-clamav"
    with pytest.raises(PreflightError, match="mends nothing of db"):
        mend.service_wont_start(context(parameters, LOGIN, *rows, service="db"))


def test_a_port_that_is_taken_is_for_a_person_to_decide(parameters: Parameters) -> None:
    row = Verdict(
        State.CRITICAL,
        "services.state",
        "nginx",
        "created: failed to bind host port 0.0.0.0:443/tcp: address already in use",
    )
    with pytest.raises(PreflightError, match="its port is taken"):
        mend.service_wont_start(context(parameters, LOGIN, row))


def test_a_setting_in_a_file_is_left_to_a_person(parameters: Parameters) -> None:
    row = Verdict(State.CRITICAL, "database.timeout", "statement_timeout", "statements are ended after 1 ms")
    inside = [
        {
            "name": "statement_timeout",
            "setting": "1",
            "unit": "ms",
            "source": "configuration file",
            "file": "/data/postgresql.conf",
        }
    ]
    with pytest.raises(PreflightError, match="only a person should edit"):
        mend.database_connections(context(parameters, LOGIN, row, changed_settings=inside))
    by_system = [inside[0] | {"file": "/data/postgresql.auto.conf"}]
    assert names(mend.database_connections(context(parameters, LOGIN, row, changed_settings=by_system)))[:2] == [
        "reset-server",
        "end-sessions",
    ]


def test_where_nothing_hurts_there_is_nothing_to_do(parameters: Parameters) -> None:
    for planner in (mend.service_wont_start, mend.high_cpu_memory, mend.database_connections, mend.certificate_errors):
        assert planner(context(parameters)).nothing
    waits = Verdict(State.WARNING, "services.restart-policy", "api", "it would stay down after a reboot")
    assert "it would stay down" in mend.certificate_errors(context(parameters, waits)).nothing
