"""Disaster recovery: the server is gone; from its copies on this side and a bare host to the same data, row by row.

The second recovery is killed half-way and resumed; it is part of the long proofs, since CI makes one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import snapshot
from changes import Desk
from test_uploads import store

from conftest import Host, https
from runbook import parameters
from sandbox import docker, lifecycle
from sandbox.lifecycle import Kind
from sandbox.state import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECOVERY = "07-backup/disaster-recovery"
LOST, NEW = "lost", "found"
EXPECTED_TO_DIFFER = (
    "started", "file /var/lib/runbook", "file /opt/pazpaz/backups", "file /etc/",  # another machine: its own keys, accounts, packages
    "file /home", "file /var/lib/dpkg", "file /usr/local/sbin/practice", "image", "unit", "timer", "firewall", "database role",  # the same password, another salt
)  # fmt: skip

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[snapshot.Snapshot]:
    """A server with a full backup off the server, as it was; then it is gone, with everything on it."""
    lifecycle.up(LOST)
    desk = Desk(tmp_path_factory.mktemp("lost"), f"sandbox@{LOST}")
    done = desk.apply("07-backup/full-backup")
    assert done.code in {0, 1}, done
    before = snapshot.take(Host(LOST))
    sandbox = Sandbox.named(LOST)
    docker.remove("container", [sandbox.container])
    docker.remove("volume", [sandbox.volume])
    yield before
    lifecycle.down(LOST)


def handed_over(kind: Kind) -> Iterator[Host]:
    lifecycle.up(NEW, kind=kind, like=None)
    yield Host(NEW)
    lifecycle.down(NEW)


@pytest.fixture
def new(lost: snapshot.Snapshot) -> Iterator[Host]:
    assert lost.lines
    yield from handed_over(Kind.EQUIPPED)


@pytest.fixture
def unequipped(lost: snapshot.Snapshot) -> Iterator[Host]:
    """As a provider hands it over: no engine, no restic, no certbot."""
    assert lost.lines
    yield from handed_over(Kind.BARE)


def same_data(lost: snapshot.Snapshot, new: Host) -> None:
    now = snapshot.take(new)
    for topic in ("table", "object"):
        assert lost.topic(topic), topic
        assert now.topic(topic) == lost.topic(topic)
    assert lost.differences(now, ignore=EXPECTED_TO_DIFFER) == []


def serves(new: Host) -> None:
    settings = parameters.load(f"sandbox@{new.name}")
    page = https(settings, "/api/v1/ready")
    assert json.loads(page.stdout)["status"] == "ok", page.stdout + page.stderr
    assert json.loads(https(settings, "/api/v1/version").stdout)["version"] == "1.0.0"


def test_a_bare_host_becomes_the_lost_one(lost: snapshot.Snapshot, new: Host, tmp_path: Path) -> None:
    desk = Desk(tmp_path, f"sandbox@{new.name}")
    done = desk.apply(RECOVERY, lost=f"sandbox@{LOST}")
    assert done.applied["state"] == "applied", done
    assert done.code in {0, 1}, done
    serves(new)
    same_data(lost, new)
    measured = json.loads(new.sh("cat /var/lib/runbook/recovered.json"))
    assert 10 < measured["recovery_seconds"] < 1500
    assert measured["data_as_of"] in done.plan["title"]
    print(f"\nrecovery time {measured['recovery_seconds']} s, recovery point {measured['data_as_of']}")


@pytest.mark.matrix
def test_a_host_without_packages_becomes_the_lost_one(
    lost: snapshot.Snapshot, unequipped: Host, tmp_path: Path
) -> None:
    assert unequipped.sh("command -v docker restic certbot || true") == ""
    desk = Desk(tmp_path, f"sandbox@{unequipped.name}")
    done = desk.apply(RECOVERY, lost=f"sandbox@{LOST}")
    assert done.applied["state"] == "applied", done
    assert "install-packages" in [name for _, name, _ in done.steps]
    serves(unequipped)
    same_data(lost, unequipped)


@pytest.mark.matrix
@pytest.mark.parametrize("killed_at", [4, 9, 14])
def test_a_recovery_that_was_killed_half_way_goes_on(
    lost: snapshot.Snapshot, new: Host, tmp_path: Path, killed_at: int
) -> None:
    desk = Desk(tmp_path, f"sandbox@{new.name}")
    running = desk.start_apply(RECOVERY, lost=f"sandbox@{LOST}")
    assert running.until_step(killed_at)
    running.kill()
    resumed = desk.resume(running.run_id)
    assert resumed.applied["state"] == "applied", resumed
    serves(new)
    same_data(lost, new)


@pytest.mark.matrix
def test_users_may_delete_uploads_before_a_recovery_that_was_killed_goes_on(
    lost: snapshot.Snapshot, new: Host, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, f"sandbox@{new.name}")
    running = desk.start_apply(RECOVERY, lost=f"sandbox@{LOST}")
    assert running.until(
        lambda found: any(e.kind == "step.start" and e.data["name"] == "prove-health" for e in found)
    )  # users are served from here on
    running.kill()
    gone = store(new, "print(next(iter(store.list_objects(bucket, recursive=True))).object_name)")
    store(new, f"store.remove_object(bucket, {gone!r})")
    resumed = desk.resume(running.run_id)
    assert resumed.applied["state"] == "applied", resumed
    serves(new)
    (key,) = [name for name in lost.topic("object") if name.endswith(gone)]
    assert lost.topic("object").keys() - snapshot.take(new).topic("object").keys() == {key}


def test_a_server_that_is_not_bare_is_refused(host: Host, tmp_path: Path) -> None:
    before = snapshot.take(host)
    done = Desk(tmp_path, f"sandbox@{host.name}").run(
        "run", RECOVERY, "-t", f"sandbox@{host.name}", "--no-html", "--apply", "--confirm", "x"
    )
    assert done.code == 4, done
    assert "not bare" in done.text
    assert before.differences(snapshot.take(host), ignore=("file /var/lib/runbook",)) == []
