"""Services restarted, stopped, recreated and taken down: what docker says afterwards, and that nothing else changed.

Also what holds for every change: a dry run changes nothing, the plan as shell text does the same, plain papermill works.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import snapshot
from cli import runbook

from runbook.changes import executor
from runbook.changes.plan import Step
from runbook.commands import Command
from runbook.parameters import project_root
from runbook.records.journal import Journal, read

if TYPE_CHECKING:
    from pathlib import Path

    from changes import Desk

    from conftest import Host
    from runbook.connection import Connection

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]
CONTROL = "02-services/control"
FINE = {0, 1}  # on a busy machine a page may be slow, which is a WARNING


def state(host: Host, container: str) -> dict[str, str]:
    shown = host.sh(f"docker inspect --format '{{{{.Id}}}} {{{{.State.Status}}}} {{{{.State.StartedAt}}}}' {container}")
    return dict(zip(("id", "status", "started"), shown.split(), strict=True))


def lock(host: Host) -> str:
    return host.sh("cat /var/lib/runbook/lock 2>/dev/null || true")


def test_a_dry_run_changes_nothing_and_shows_what_would_run(host: Host, desk: Desk) -> None:
    before = snapshot.take(host)
    for action in ("restart", "recreate", "stop", "down"):
        done = desk.dry_run(CONTROL, action=action, services="api,redis")
        assert done.code in FINE, done
        assert done.plan["steps"]
        assert done.applied["state"] == "dry run"
    assert before.differences(snapshot.take(host)) == []


def test_a_restart_is_a_new_process_in_the_same_container(host: Host, desk: Desk) -> None:
    before, others = state(host, "pazpaz-redis"), state(host, "pazpaz-db")
    done = desk.apply(CONTROL, action="restart", services="redis")
    assert done.applied["state"] == "applied", done
    after = state(host, "pazpaz-redis")
    assert (after["id"], after["status"]) == (before["id"], "running")
    assert after["started"] > before["started"]
    assert state(host, "pazpaz-db") == others
    assert lock(host) == ""
    desk.verify()


def test_what_was_stopped_is_started_again_by_undo(host: Host, desk: Desk) -> None:
    before = snapshot.take(host)
    done = desk.apply(CONTROL, action="stop", services="frontend")
    assert done.applied["state"] == "applied", done
    assert state(host, "pazpaz-frontend")["status"] == "exited"
    assert state(host, "pazpaz-api")["status"] == "running"
    undone = desk.undo(done)
    assert undone.applied["state"] == "applied", undone
    assert before.differences(snapshot.take(host), ignore=snapshot.UNDONE) == []
    again = desk.run("undo", done.run_id, "--no-html")
    assert "Nothing to do" in again.plan["sentence"], again


def test_down_saves_the_logs_first_and_is_taken_back(host: Host, desk: Desk) -> None:
    before = snapshot.take(host)
    said = host.sh("docker logs pazpaz-api 2>&1 | head -1").strip()
    done = desk.apply(CONTROL, action="down")
    assert done.applied["state"] == "applied", done
    assert host.sh("docker ps -aq --filter label=com.docker.compose.project=pazpaz") == ""
    assert said in host.sh(f"cat /var/lib/runbook/{done.plan['stamp']}/logs/pazpaz-api.log")
    undone = desk.undo(done)
    assert undone.code in FINE, undone
    assert before.differences(snapshot.take(host), ignore=(*snapshot.UNDONE, "network")) == []


@pytest.mark.matrix
def test_what_was_stopped_on_purpose_is_not_started_by_taking_down_back(host: Host, desk: Desk) -> None:
    host.compose("stop", "arq-worker")
    try:
        undone = desk.undo(desk.apply(CONTROL, action="down"))
        assert undone.applied["state"] == "applied", undone
        assert state(host, "pazpaz-arq-worker")["status"] == "created"
        assert (
            host.sh("docker ps --filter label=com.docker.compose.project=pazpaz --format '{{.Names}}' | wc -l").strip()
            == "7"
        )
    finally:
        host.compose("up", "-d", "--pull", "never")
    host.sh("practice-ready 120")


def test_the_plan_as_shell_text_does_the_same(host: Host, desk: Desk) -> None:
    before = state(host, "pazpaz-api")
    done = desk.run(
        "run", CONTROL, "--target", desk.target, "-p", "action", "recreate", "-p", "services", "api", "--instructions"
    )
    assert state(host, "pazpaz-api") == before, "printing changes nothing"
    text = host.paste(done.text)
    assert "all 5 steps are done" in text
    assert lock(host) == ""
    after = state(host, "pazpaz-api")
    assert after["status"] == "running"
    assert after["id"] != before["id"], "made anew"


def test_plain_papermill_carries_it_out_under_the_same_guards(host: Host, desk: Desk, tmp_path: Path) -> None:
    before = state(host, "pazpaz-clamav")
    words = ["-p", "target", desk.target, "-p", "services", "clamav", "-p", "apply", "True"]
    done = subprocess.run(
        [sys.executable, "-m", "papermill", str(project_root() / "notebooks" / f"{CONTROL}.ipynb"), str(tmp_path / "out.ipynb"), *words],
        env=os.environ | {"RUNBOOK_OUTPUTS": str(tmp_path / "outputs")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert state(host, "pazpaz-clamav")["started"] > before["started"]
    record = next((tmp_path / "outputs").glob("*.ipynb"))
    about = json.loads(record.read_text())["metadata"]["runbook"]
    assert about["applied"]["state"] == "applied"
    assert lock(host) == ""


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"services": "api,postgress"}, "postgress: no such service"),
        ({"action": "explode"}, "must be one of restart"),
        ({"services": "api; rm -rf /"}, "no such service"),
    ],
)
def test_a_wrong_parameter_is_refused_and_nothing_is_begun(
    host: Host, desk: Desk, values: dict[str, str], reason: str
) -> None:
    before = state(host, "pazpaz-api")
    done = desk.apply(CONTROL, **values)
    assert done.code == 4, done
    assert reason in done.text
    assert state(host, "pazpaz-api") == before
    assert lock(host) == ""


def test_a_service_that_does_not_come_up_is_told_with_its_logs(host: Host, desk: Desk) -> None:
    """The cache crashes again and again: Docker's own restarts are not taken for ours, nor do they change the plan."""
    host.sh("docker exec -u 0 pazpaz-redis sh -c 'mv /usr/bin/redis-server /usr/bin/redis-server.away'")
    host.sh("kill -9 $(docker inspect --format '{{.State.Pid}}' pazpaz-redis)")
    try:
        done = desk.run(
            "run",
            CONTROL,
            "--target",
            desk.target,
            "--no-html",
            "--apply",
            "-p",
            "services",
            "redis",
            "-p",
            "wait_seconds",
            "6",
        )
        assert done.code == 5, done
        assert done.applied["state"] == "failed"
        assert [e.data["name"] for e in done.events if e.kind == "step.start"] == ["restart-redis", "wait-redis"]
        assert "pazpaz-redis" in done.text
        assert lock(host) != "", "between two states: nobody else should begin something"
        refused = desk.apply(CONTROL, services="clamav")
        assert refused.code == 4
        assert desk.operator in refused.text
        assert done.run_id in refused.text
    finally:
        # those that use the cache were restarted by Docker, too, which is counted until they are made anew
        host.compose("up", "-d", "--force-recreate", "--no-deps", "redis", "api", "arq-worker")
    host.sh("practice-ready 120")  # those that use the cache notice its return a little later
    resumed = desk.resume(done)
    assert resumed.code in FINE, resumed
    assert lock(host) == ""


def test_a_long_step_tells_how_far_it_is(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "TELL_SECONDS", 2.0)
    script = "for number in 1 2 3 4 5 6; do echo table $number; sleep 1; done"
    step = Step("slow", Command(("bash", "-c", script), sudo=True, changes=True), no_undo="it changes nothing")
    told: list[str] = []
    journal = Journal.begin(tmp_path, {"target": "sandbox", "notebook": "test"})
    executor.Executor(connection, journal, f"test-{tmp_path.name.replace('_', '-')}", told.append).carry_out([step])
    assert told[0] == "1/1 slow ..."
    assert told[-1].startswith("1/1 slow: done in ")
    seen = [re.fullmatch(r"   (\d+) s: table (\d)", line) for line in told[1:-1]]
    assert 1 <= len(seen) <= 3
    assert all(found is not None and abs(int(found[1]) - int(found[2])) <= 2 for found in seen), told
    assert [event.kind for event in read(journal.place).events].count("step.end") == 1


def test_the_plan_as_shell_text_is_refused_while_another_is_at_work(host: Host, desk: Desk) -> None:
    before = state(host, "pazpaz-clamav")
    done = desk.run("run", CONTROL, "--target", desk.target, "-p", "services", "clamav", "--instructions")
    host.sh('mkdir -p /var/lib/runbook; echo \'{"operator": "ada"}\' > /var/lib/runbook/lock')
    try:
        text = host.paste(done.text)
        assert '"operator": "ada"' in text
        assert "is being changed by another, so nothing was done" in text
        assert "ada" in lock(host)
    finally:
        host.sh("rm -f /var/lib/runbook/lock")
    assert state(host, "pazpaz-clamav") == before


def test_a_lock_is_taken_away_only_on_purpose(host: Host, desk: Desk) -> None:
    host.sh(
        'mkdir -p /var/lib/runbook; echo \'{"operator": "ada", "machine": "m", "notebook": "n", "run": "r", "since": "2026-01-01T00:00:00+00:00"}\' > /var/lib/runbook/lock'
    )
    refused = desk.apply(CONTROL, services="clamav")
    assert refused.code == 4
    assert "ada" in refused.text
    asked = runbook("unlock", desk.target, outputs=desk.outputs)
    assert asked.returncode == 4
    assert "ada" in asked.stdout
    assert "ada" in lock(host)
    assert runbook("unlock", desk.target, "--yes", outputs=desk.outputs).returncode == 0
    assert lock(host) == ""
