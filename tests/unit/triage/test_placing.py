"""Every check has a place of its own, and what a finding's state and words say moves it."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import runbook.checks
from runbook.facts import Facts
from runbook.triage.parts import ADDRESS, ENGINE, HOST, TLS, USERS, model
from runbook.triage.placing import RULES, Acts, Level, place, service_of
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.parameters import Parameters

NAMES = sorted(
    {
        name
        for path in Path(runbook.checks.__file__).parent.glob("*.py")
        for name in re.findall(r'"([a-z]+(?:-[a-z]+)?\.[a-z]+(?:-[a-z]+)*)"', path.read_text(encoding="utf-8"))
        if name.partition(".")[0] not in {"preflight", "recovery", "rotation", "deploy", "net"} and not name.endswith((".d", ".conf"))
    }
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_check_is_placed_by_a_rule_of_its_own(name: str) -> None:
    rule = next(item for item in RULES if fnmatchcase(name, item.checks))
    assert rule.checks != "*", f"{name}: add a rule to triage/placing.py"


@pytest.mark.parametrize(
    ("row", "part", "level", "acts"),
    [
        (Verdict(State.CRITICAL, "services.state", "db", "exited with code 1 (error of the application)"), "db", Level.STATE, Acts.NOW),
        (Verdict(State.CRITICAL, "services.state", "db", "exited with code 0 (ended by itself)"), "db", Level.MESSAGE, Acts.NOW),
        (Verdict(State.CRITICAL, "web.ready", "storage", "the API says: failed"), "minio", Level.NEIGHBOUR, Acts.NOW),
        (Verdict(State.CRITICAL, "web.ready", "API", "readiness answers 503"), USERS, Level.USER, Acts.NOW),
        (Verdict(State.CRITICAL, "web.certificate", "pazpaz.test", "no TLS connection: refused", value="none"), USERS, Level.USER, Acts.NOW),
        (Verdict(State.CRITICAL, "web.certificate", "pazpaz.test", "certificate has expired", value="refused"), TLS, Level.CAUSE, Acts.NOW),
        (Verdict(State.WARNING, "resources.disk", "/", "disk use over its limit"), "disk /", Level.CAUSE, Acts.LATER),
        (Verdict(State.CRITICAL, "resources.disk", "/", "disk use over its limit"), "disk /", Level.CAUSE, Acts.NOW),
        (Verdict(State.UNKNOWN, "services.state", "docker", "no evidence: stopped after 30 s"), ENGINE, Level.STATE, Acts.NOW),
        (Verdict(State.UNKNOWN, "synthetic.job", "user's way", "not reached"), USERS, Level.USER, Acts.NOW),
        (Verdict(State.CRITICAL, "synthetic.old-data", "user's way", "the stored file a differs from its checksum"), "minio", Level.MESSAGE, Acts.NOW),
        (Verdict(State.CRITICAL, "units.active", "docker.service", "it does not run"), ENGINE, Level.STATE, Acts.NOW),
        (Verdict(State.CRITICAL, "log.no-space", "redis", "there is no room"), "redis", Level.MESSAGE, Acts.NOW),
        (Verdict(State.CRITICAL, "backup.content", "newest dump", "it is another's"), "backup database", Level.CAUSE, Acts.LATER),
        (Verdict(State.WARNING, "firewall.listener", "9999", "nobody expects it"), ADDRESS, Level.STATE, Acts.COULD),
        (Verdict(State.CRITICAL, "resources.clock", "host", "over its limit"), HOST, Level.CAUSE, Acts.NOW),
    ],
)  # fmt: skip
def test_where_a_finding_belongs(row: Verdict, part: str, level: Level, acts: Acts, parameters: Parameters) -> None:
    found = place(row, model(Facts({}, {}, seconds=0), parameters), parameters)
    assert (found.part, found.level, found.acts) == (part, level, acts)


def test_a_service_is_known_by_its_container_too(parameters: Parameters) -> None:
    parts = model(Facts({}, {}, seconds=0), parameters)
    assert [service_of(word, parts) for word in ("pazpaz-redis", "queue", "clamav", "somebody")] == [
        "redis",
        "arq-worker",
        "clamav",
        "",
    ]
