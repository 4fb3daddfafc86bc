"""What explains what: the cause leads, what follows from it is folded under it, and what is accepted stands last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runbook import triage
from runbook.facts import Facts
from runbook.triage import Group
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.parameters import Parameters

NOTHING = Facts({}, {}, seconds=0)
LOGIN = Verdict(State.CRITICAL, "synthetic.login", "user's way", "POST /api/v1/auth/login answered 503 instead of 200")
READ = Verdict(State.UNKNOWN, "synthetic.read", "user's way", "not reached: the login failed")
JOB = Verdict(State.CRITICAL, "synthetic.job", "user's way", "the job was not done within 6 s")
SLOW = Verdict(State.WARNING, "web.latency", "front page", "answers slowly")
VOIDED = Verdict(
    State.CRITICAL, "services.health", "arq-worker", "its health check fails", voided="synthetic.job is CRITICAL"
)
DB_DOWN = Verdict(State.CRITICAL, "services.state", "db", "exited with code 1 (error of the application)")
REFUSED = Verdict(State.CRITICAL, "database.login", "db", "it refuses api: password authentication failed")
API_SICK = Verdict(State.CRITICAL, "services.health", "api", "its health check fails")
FULL = Verdict(State.CRITICAL, "resources.disk", "/", "disk use over its limit")
OLD_BACKUP = Verdict(State.CRITICAL, "backup.age", "database", "all changes of the last 216 hours would be lost")
UNIT = Verdict(State.WARNING, "units.failed", "pazpaz-backup.service", "this unit has failed")
DRIFT = Verdict(State.WARNING, "services.drift", "api", "its environment was changed since it was made: REDIS_URL")
ENDING = Verdict(State.CRITICAL, "web.certificate-days", "pazpaz.test", "ends soon")
MEMORY = Verdict(State.CRITICAL, "cache.memory", "redis", "its memory limit is reached, and it refuses every write")
HOG = Verdict(State.WARNING, "resources.load", "host", "load of 5 minutes over its limit")
LOGGED = Verdict(State.WARNING, "log-before.bucket", "minio", "the bucket is not there")
SICK = Verdict(State.CRITICAL, "services.health", "minio", "its health check fails")
FINE = Verdict(State.OK, "storage.answers", "minio", "asked itself, it answers as it should")


def told(parameters: Parameters, *rows: Verdict) -> list[tuple[str, str, int]]:
    """Return (check of the lead, group, how many findings it explains), in the order of the page."""
    return [
        (cause.row.check, str(cause.group), len(cause.explains)) for cause in triage.causes(rows, NOTHING, parameters)
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((LOGIN, READ, API_SICK, DB_DOWN), [("services.state", "hurts users now", 3)]),
        ((LOGIN, READ, DB_DOWN, REFUSED), [("database.login", "hurts users now", 3)]),
        ((VOIDED, JOB, MEMORY), [("cache.memory", "hurts users now", 1), ("services.health", "accepted", 0)]),
        ((VOIDED,), [("services.health", "hurts users now", 0)]),
        ((OLD_BACKUP, UNIT, FULL), [("resources.disk", "hurts users now", 2)]),
        ((LOGIN, DRIFT), [("services.drift", "hurts users now", 1)]),
        ((DRIFT,), [("services.drift", "will hurt", 0)]),
        ((ENDING, LOGIN, MEMORY), [("cache.memory", "hurts users now", 1), ("web.certificate-days", "will hurt", 0)]),
        ((SLOW, HOG), [("resources.load", "hurts users now", 1)]),
        ((HOG, LOGIN), [("synthetic.login", "hurts users now", 0), ("resources.load", "will hurt", 0)]),
        ((LOGIN, LOGGED), [("synthetic.login", "hurts users now", 0)]),
        ((SICK, LOGGED), [("log-before.bucket", "hurts users now", 1)]),
        ((SICK, LOGGED, FINE), [("services.health", "hurts users now", 0)]),
        ((), []),
    ],
)  # fmt: skip
def test_the_cause_leads(
    rows: tuple[Verdict, ...], expected: list[tuple[str, str, int]], parameters: Parameters
) -> None:
    assert told(parameters, *rows) == expected
    assert told(parameters, *reversed(rows)) == expected, "the order in which findings come must not matter"


def test_two_causes_that_explain_the_same_are_rivals(parameters: Parameters) -> None:
    found = list(triage.causes((LOGIN, MEMORY, REFUSED), NOTHING, parameters))
    assert [cause.row.check for cause in found] == ["database.login", "cache.memory"], (
        "a login is for the database first"
    )
    assert "cannot be told apart" in found[0].confidence
    assert found[0].rivals == (MEMORY,)


def test_what_follows_stands_below_its_cause(parameters: Parameters) -> None:
    ordered = triage.causes((FINE, LOGIN, OLD_BACKUP, DB_DOWN), NOTHING, parameters).verdicts
    assert [(row.check, row.cause) for row in ordered] == [
        ("services.state", ""),
        ("backup.age", "services.state db"),
        ("synthetic.login", "services.state db"),
        ("storage.answers", ""),
    ]
    assert (
        ordered.sentence
        == "CRITICAL: db: exited with code 1 (error of the application) (2 other findings follow from it)"
    )
    assert ordered.state is State.CRITICAL


def test_the_notebook_that_mends_gets_its_parameters(parameters: Parameters) -> None:
    drift = Verdict(State.WARNING, "services.drift", "api", "its environment was changed", next="02-services/control")
    (cause,) = triage.causes((drift,), NOTHING, parameters)
    assert cause.next_values == (("services", "api"), ("action", "recreate"))
    assert cause.group is Group.LATER
