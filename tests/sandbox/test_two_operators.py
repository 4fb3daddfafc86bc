"""Two operators at once: one proceeds, the other is refused by the holder's name, and nothing is interleaved.

Each has a folder of records of their own, as on two machines.
"""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import json
import threading
from typing import TYPE_CHECKING

import pytest
from changes import Change, Desk

from runbook.changes import lock
from runbook.connection import Connection
from runbook.errors import LockError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Host
    from runbook.parameters import Parameters

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(400)]

NOTEBOOK = "02-services/control"
VALUES = {"services": "api,arq-worker"}
STARTED = "docker inspect -f '{{.State.StartedAt}}' pazpaz-api pazpaz-arq-worker"
CONTENDERS = 6


@pytest.fixture
def desks(host: Host, tmp_path: Path) -> tuple[Desk, Desk]:
    """Two operators' desks; nobody holds the server."""
    host.sh("rm -f /var/lib/runbook/lock")
    return tuple(Desk(tmp_path / name, f"sandbox@{host.name}", name) for name in ("ada", "bruno"))  # type: ignore[return-value]  # of two


def holder(host: Host) -> dict[str, str]:
    """Who holds the server, read from the lock itself; empty where nobody does."""
    text = host.sh("cat /var/lib/runbook/lock 2>/dev/null || true").strip()
    found: dict[str, str] = json.loads(text) if text else {}
    return found


def test_one_proceeds_and_the_other_is_refused_by_name(host: Host, desks: tuple[Desk, Desk]) -> None:
    before = host.sh(STARTED).split()
    running = [desk.start_apply(NOTEBOOK, **VALUES) for desk in desks]
    ended = [run.wait() for run in running]
    ended.sort(key=lambda change: change.code)
    proceeded, refused = ended
    assert proceeded.code in {0, 1}, proceeded
    assert proceeded.applied["state"] == "applied"
    assert refused.code == 4, refused
    name = proceeded.outputs.name
    assert f"{name} on " in refused.text
    assert proceeded.run_id in refused.text
    assert refused.steps == []
    assert refused.about["state"] == "refused"
    in_turn = [event.kind for event in proceeded.events if event.kind.startswith("step.")]
    assert in_turn == ["step.start", "step.end"] * (len(in_turn) // 2)
    after = host.sh(STARTED).split()
    assert all(old != new for old, new in zip(before, after, strict=True))
    assert holder(host) == {}


def test_a_lock_is_taken_by_exactly_one_of_many(host: Host, settings: Parameters) -> None:
    host.sh("rm -f /var/lib/runbook/lock")
    line = threading.Barrier(CONTENDERS)
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")

    def contend(number: int) -> str:
        with Connection(settings) as connection:
            line.wait(30)
            try:
                lock.take(connection, lock.Holder(f"operator-{number}", "here", NOTEBOOK, f"run-{number}", now))
            except LockError as error:
                return error.reason
            return ""

    with concurrent.futures.ThreadPoolExecutor(CONTENDERS) as pool:
        told = list(pool.map(contend, range(CONTENDERS)))
    winner = told.index("")
    assert told.count("") == 1
    assert all(f"operator-{winner} on here" in reason for reason in told if reason)
    assert holder(host)["run"] == f"run-{winner}"
    assert host.sh("ls /var/lib/runbook").split() == ["lock"] or "lock." not in host.sh("ls /var/lib/runbook")
    host.sh("rm /var/lib/runbook/lock")


def crash(desk: Desk) -> str:
    """Have a run die in its second step; return its id."""
    running = desk.start_apply(NOTEBOOK, **VALUES)
    assert running.until_step(2), running.wait()
    running.kill()
    return running.run_id


def assert_refused(change: Change, run_id: str) -> None:
    """It was refused because of that run, which is named with the ways out."""
    assert change.code == 4, change
    assert run_id in change.text
    assert "resume" in change.text
    assert "unlock" in change.text


def test_a_crashed_holders_lock_is_taken_over_on_purpose_only(host: Host, desks: tuple[Desk, Desk]) -> None:
    ada, bruno = desks
    died = crash(ada)
    assert holder(host)["operator"] == "ada"
    assert_refused(bruno.apply(NOTEBOOK, **VALUES), died)
    unlocked = bruno.run("unlock", bruno.target)  # nobody there to say yes
    assert unlocked.code == 4, unlocked
    assert holder(host)["run"] == died
    resumed = ada.resume(died)
    assert resumed.code in {0, 1}, resumed
    assert resumed.applied["state"] == "applied"
    assert [name for _, name, _ in resumed.steps if name == "restart-api"] == [], "a finished step was repeated"
    assert holder(host) == {}
    ada.verify()


def test_a_lock_is_taken_away_on_purpose_and_not_from_a_living_run(host: Host, desks: tuple[Desk, Desk]) -> None:
    ada, bruno = desks
    running = ada.start_apply(NOTEBOOK, **VALUES)
    assert running.until_step(1), running.wait()
    living = ada.run("unlock", ada.target, "--yes")
    assert living.code == 4, living
    assert "still going on" in living.text
    running.kill()
    unlocked = bruno.run("unlock", bruno.target, "--yes")
    assert unlocked.code == 0, unlocked
    assert "ada" in unlocked.text
    assert holder(host) == {}
    done = bruno.apply(NOTEBOOK, **VALUES)
    assert done.code in {0, 1}, done
    assert done.applied["state"] == "applied"
    assert host.sh("systemctl list-units 'runbook-*' --state=running --plain --no-legend").strip() == ""
