"""The longer proofs of deploys: taken back after the swap, a disk too full, the frontend, and the plan as shell text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import snapshot
from changes import Desk
from test_deploy import BACKEND, STAYS, alembic, containers, digest, history, revision, served
from users import Users

from conftest import Host
from runbook.parameters import project_root
from sandbox import lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.sandbox, pytest.mark.matrix, pytest.mark.timeout(1200)]
FRONTEND = "03-deploy/frontend"
LONGEST_OUTAGE_SECONDS = 60


@pytest.fixture(autouse=True)
def known_state(host: Host) -> None:
    """Every test begins with the server as it was made."""
    host.reset()


@pytest.fixture
def desk(tmp_path: Path, host: Host) -> Desk:
    return Desk(tmp_path / "outputs", f"sandbox@{host.name}")


@pytest.fixture
def untried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Params that let a new version take the place of the old one without being tried out before."""
    root = tmp_path / "root"
    (root / "params").mkdir(parents=True)
    (root / "notebooks").symlink_to(project_root() / "notebooks")
    text = (project_root() / "params" / "sandbox.yaml").read_text()
    assert "try_out: api" in text
    (root / "params" / "sandbox.yaml").write_text(text.replace("try_out: api", "try_out: null"))
    monkeypatch.setenv("RUNBOOK_ROOT", str(root))


@pytest.mark.usefixtures("untried")
@pytest.mark.parametrize(("version", "step"), [("1.2.0-crash", "wait-healthy"), ("1.3.0-broken", "prove-answer-3")])
def test_a_version_that_fails_after_the_swap_is_taken_back_within_a_minute(
    host: Host, desk: Desk, version: str, step: str
) -> None:
    before = snapshot.take(host)
    with Users(host) as users:
        users.wait_for_writes()
        done = desk.apply(BACKEND, version=version)
        users.wait_for_writes()
    assert done.applied["state"] == "rolled back", done
    assert f"step {step}" in done.applied["sentence"]
    assert served(host) == "1.0.0"
    print(f"{version}: {done.applied['downtime']}; users saw {users.outages}")
    assert 0 < users.downtime_seconds < LONGEST_OUTAGE_SECONDS
    assert done.applied["downtime"].startswith("downtime ")
    assert users.lost() == []
    users.clear()
    assert before.differences(snapshot.take(host), ignore=STAYS) == []


def test_the_plan_as_shell_text_deploys_the_same(host: Host, desk: Desk) -> None:
    alembic(host, "upgrade", "0004")
    before = containers(host)
    done = desk.run("run", BACKEND, "--target", desk.target, "--instructions")
    assert containers(host) == before, "printing changes nothing"
    text = host.paste(done.text)
    assert "steps are done" in text, text
    assert served(host) == "1.1.0"
    assert (
        host.sh("grep ^BACKEND_VERSION= /opt/pazpaz/.env.production").strip()
        == f"BACKEND_VERSION=1.1.0@{digest(host, '1.1.0')}"
    )
    assert host.sh("stat -c '%a %U' /opt/pazpaz/.env.production").strip() == "600 pazpaz"
    assert history(host)[-1] == ("deployed", "1.1.0")


def test_a_frontend_is_served_with_new_assets_and_taken_back(host: Host, desk: Desk) -> None:
    before, page = snapshot.take(host), front_page(host)
    done = desk.apply(FRONTEND, version="1.1.0")
    assert done.applied["state"] == "applied", done
    assert front_page(host) != page
    assert "assets/app." in front_page(host)
    assert revision(host) == "0003"
    undone = desk.undo(done)
    assert undone.applied["state"] == "applied", undone
    assert front_page(host) == page
    assert before.differences(snapshot.take(host), ignore=STAYS) == []


def front_page(host: Host) -> str:
    return host.sh(
        "curl -sfk -m 20 --retry 3 --retry-all-errors --resolve pazpaz.test:443:127.0.0.1 https://pazpaz.test/"
    )


@pytest.fixture
def small(host: Host) -> Iterator[Host]:
    """A server whose disk can be filled."""
    assert host, "the shared one is made first, so that images are built once"
    lifecycle.up("small-disk", disk="2G")
    yield Host("small-disk")
    lifecycle.down("small-disk")


def test_a_disk_too_full_for_the_pull_is_said_before_anything_is_pulled(small: Host, tmp_path: Path) -> None:
    desk = Desk(tmp_path, f"sandbox@{small.name}")
    before = containers(small)
    small.sh(
        "free=$(df --output=avail -B1 /var/lib/docker | tail -n 1); fallocate -l $((free - 150000)) /var/lib/docker/filler"
    )
    try:
        done = desk.apply(BACKEND, version="1.1.0")
    finally:
        small.sh("rm -f /var/lib/docker/filler")
    assert done.code == 4, done
    assert "the disk is too full for the pull" in done.text
    assert containers(small) == before
    assert small.sh("docker images -q localhost:5000/pazpaz-backend:1.1.0") == ""
