"""Verdicts are true: each fault is really put in, and the read-only notebooks say so, with evidence."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from runbook import notebook, parameters
from runbook.checks import exceptions
from runbook.connection import Connection
from runbook.errors import ConnectionFailed
from runbook.execution import bundles
from runbook.facts import gather
from runbook.verdict import State, Verdict, Verdicts
from sandbox.faults import injection
from sandbox.faults.catalogue import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from changes import Desk

    from conftest import Host
    from sandbox.faults.fault import Fault

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(400)]

# fault -> notebook that must say so, the check that finds it, the worst state it may be taken for
SAID_BY = [
    ("api-stopped", "04-health/quick", "services.state", State.CRITICAL),
    ("db-paused", "04-health/quick", "services.state", State.CRITICAL),
    ("table-dropped", "04-health/quick", "synthetic.read", State.CRITICAL),
    ("table-dropped", "06-database/size", "database.tables", State.CRITICAL),
    ("certificate-expired", "04-health/quick", "web.certificate", State.CRITICAL),
    ("certificate-expired", "05-certificates/status", "certificates.days-left", State.CRITICAL),
    ("proxy-config-broken", "04-health/quick", "web.proxy-config", State.CRITICAL),
    ("backup-disk-full", "04-health/quick", "resources.disk", State.CRITICAL),
    ("backup-foreign", "04-health/quick", "backup.content", State.CRITICAL),
    ("backup-foreign", "07-backup/coverage", "backup.verified", State.CRITICAL),
    ("renewal-broken", "04-health/quick", "certificates.renewal-config", State.WARNING),
    ("renewal-link-lost", "05-certificates/status", "certificates.links", State.WARNING),
    ("env-readable", "01-access/server-inventory", "inventory.mode", State.CRITICAL),
    ("firewall-off", "01-access/ssh-and-sudo", "firewall.state", State.CRITICAL),
    ("unknown-container", "02-services/status", "services.extra", State.WARNING),
]


@pytest.fixture
def mended(host: Host) -> Iterator[Host]:
    """The server, with every fault taken out again afterwards."""
    yield host
    injection.mend_all(host.name)


@pytest.fixture(scope="module")
def untouched(host: Host) -> Host:
    """The server as it was made: other tests have left lines in its logs."""
    host.reset()
    return host


READ_NOTEBOOKS = [name for name in notebook.names() if notebook.find(name).kind == "read"]


def test_the_untouched_server_is_ok_apart_from_known_exceptions(untouched: Host) -> None:
    told = look(parameters.load(f"sandbox@{untouched.name}"))
    assert {name for name, verdicts in told.items() if len(verdicts)} == set(READ_NOTEBOOKS)
    assert findings(told) == set()


@pytest.mark.parametrize(
    ("fault", "name", "check", "state"), SAID_BY, ids=[f"{row[0]}-{row[1].split('/')[1]}" for row in SAID_BY]
)
def test_a_fault_is_said_with_its_evidence(
    mended: Host, desk: Desk, fault: str, name: str, check: str, state: State
) -> None:
    injection.inject(mended.name, injection.find(fault))
    done = desk.dry_run(name)
    code, about = done.code, done.about
    found = [row for row in about["before"]["rows"] if row["check"].startswith(check) and row["state"] != "OK"]
    assert found, about["before"]["sentence"]
    assert State[found[0]["state"]].rank >= state.rank
    assert found[0]["reason"]
    assert found[0]["evidence"] or found[0]["value"]
    assert code == State[about["verdict"]].value != 0
    assert about["next"], "no notebook to open next"


def test_liveness_does_not_fool_the_quick_check(mended: Host, desk: Desk) -> None:
    """The paper's own check still says that all is well while the database is gone."""
    injection.inject(mended.name, injection.find("db-paused"))
    health = mended.sh("curl -sk -m 5 --resolve pazpaz.test:443:127.0.0.1 https://pazpaz.test/api/v1/health")
    assert json.loads(health) == {"status": "ok", "version": "v1"}
    done = desk.dry_run("04-health/quick")
    assert done.code == State.CRITICAL.value
    rows = done.about["before"]["rows"]
    assert any(row["check"].startswith("web.ready") and row["state"] == "CRITICAL" for row in rows)


def look(settings: parameters.Parameters) -> dict[str, Verdicts]:
    """Judge the server by every read-only notebook, without kernels: all facts gathered once, then judged by each."""
    wanted: dict[str, Any] = {}
    for name in READ_NOTEBOOKS:
        values = {item.name: item.default for item in notebook.find(name).parameters}
        wanted |= {fact.name: fact for fact in bundles.facts(name, values)}
    with Connection(settings) as connection:
        facts = gather(connection, settings, wanted.values())
    told = {}
    for name in READ_NOTEBOOKS:
        rows: list[Verdict] = []
        for check in bundles.checks(name):
            rows += check(facts, settings)
        told[name] = Verdicts.of(exceptions.apply(rows, settings.known_exceptions, today=facts.at.date()))
    return told


def findings(told: dict[str, Verdicts]) -> set[tuple[str, str, str]]:
    """Return (notebook, check, subject) of all that is not OK."""
    return {
        (name, row.check, row.subject)
        for name, verdicts in told.items()
        for row in verdicts
        if row.state is not State.OK
    }


def paper_notices(host: Host) -> bool:
    """Whether the paper's own check (front page, health, compose ps) sees anything."""
    script = (
        "cd /opt/pazpaz; curl -skf -m 8 -o /dev/null --resolve pazpaz.test:443:127.0.0.1 https://pazpaz.test/ || exit 1;"
        """curl -skf -m 8 --resolve pazpaz.test:443:127.0.0.1 https://pazpaz.test/api/v1/health | grep -q '"status": *"ok"' || exit 1;"""
        "docker compose -f docker-compose.prod.yml --env-file .env.production ps --format '{{.State}}' | grep -vc running | grep -q '^0$' || exit 1;"
        "[ $(docker compose -f docker-compose.prod.yml --env-file .env.production ps -q | wc -l) = 8 ]; echo $?"
    )
    return host.sh(script, check=False).strip() != "0"


def noticed(host: Host, fault: Fault) -> tuple[set[tuple[str, str, str]], bool]:
    """Look, put a fault in, look again, take it out; return what is new, and whether the paper's check saw anything.

    The look before is what counts as usual: an earlier fault may have left lines in logs or restarts behind.
    """
    settings = parameters.load(f"sandbox@{host.name}")
    usual = findings(look(settings))
    try:
        injection.inject(host.name, fault)
        try:
            found = findings(look(settings)) - usual
        except ConnectionFailed:  # every notebook ends with that, exit code 5
            found = {("every notebook", "connection", "ssh")}
        return found, paper_notices(host)
    finally:
        injection.mend_all(host.name)


@pytest.mark.faults_full
@pytest.mark.timeout(7200)
def test_nearly_every_fault_is_noticed(host: Host) -> None:
    """The whole catalogue, one fault after another; prints which notebook noticed what."""
    chosen = os.environ.get("RUNBOOK_FAULTS", "").split() or list(FAULTS)
    missed: list[str] = []
    quick = paper = 0
    for name in chosen:
        found, on_paper = noticed(host, injection.find(name))
        if not found:  # once more on an untouched server: what it left in the logs may have been there from another
            host.reset()
            found, on_paper = noticed(host, injection.find(name))
        by = sorted({f"{row[0]}: {row[1]}" for row in found})
        paper += on_paper
        quick += any(row[0] == "04-health/quick" for row in found)
        print(
            f"{name:<30} paper {'yes' if on_paper else 'no ':<3} quick {'yes' if any(row.startswith('04-health/quick') for row in by) else 'no ':<3} "
            f"{len({row.split(': ')[1] for row in by})} checks: {', '.join(sorted({row.split(': ')[1] for row in by}))[:200] or 'NOT NOTICED'}",
            flush=True,
        )
        if not found:
            missed.append(name)
    print(
        f"{len(chosen)} faults: noticed {len(chosen) - len(missed)}, by health.quick alone {quick}, by the paper's check {paper}; missed: {missed}"
    )
    assert len(missed) <= 0.05 * len(chosen)
