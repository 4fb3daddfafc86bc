"""Deploys of the backend, good ones and bad ones, and the migrations between them, seen with docker, psql and curl.

One server for the whole file, brought back to the known state once: each test brings image and revision to where it begins.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
import snapshot
from users import Users

if TYPE_CHECKING:
    from collections.abc import Iterator

    from changes import Desk

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(900)]
BACKEND, BACK, MIGRATE, DOWN = (
    "03-deploy/backend",
    "03-deploy/backend-rollback",
    "03-deploy/migrate",
    "03-deploy/migrate-rollback",
)
ENV = "/opt/pazpaz/.env.production"
STAYS = (*snapshot.UNDONE, "image", "file /opt/pazpaz/backups")
LONGEST_OUTAGE_SECONDS = 60


@pytest.fixture(scope="module", autouse=True)
def known_state(host: Host) -> Iterator[None]:
    """Begin and end with the server as it was made."""
    host.reset()
    yield
    host.reset()


def sql(host: Host, query: str) -> str:
    return host.sh(f'docker exec pazpaz-db psql -qtAX -U pazpaz -d pazpaz -c "{query}"').strip()


def revision(host: Host) -> str:
    return sql(host, "select version_num from alembic_version")


def alembic(host: Host, *words: str) -> None:
    """Migrate by hand, with the newest image."""
    host.sh(
        f"cd /opt/pazpaz && BACKEND_VERSION=1.1.0 docker compose -f docker-compose.prod.yml --env-file {ENV} run --rm -T --no-deps --quiet-pull api alembic {' '.join(words)}"
    )


def served(host: Host) -> str:
    """The version that users are served by."""
    told = host.sh(
        "curl -sfk -m 20 --retry 3 --retry-all-errors --resolve pazpaz.test:443:127.0.0.1 https://pazpaz.test/api/v1/version"
    )
    return str(json.loads(told)["version"])


def containers(host: Host) -> str:
    return host.sh("docker inspect --format '{{.Id}} {{.Image}} {{.State.StartedAt}}' pazpaz-api pazpaz-arq-worker")


def digest(host: Host, version: str) -> str:
    """The digest that the registry gives a tag, asked over plain HTTP."""
    told = host.sh(
        f"curl -sI -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' localhost:5000/v2/pazpaz-backend/manifests/{version}"
    )
    found = re.search(r"(?i)docker-content-digest: (\S+)", told)
    assert found is not None, told
    return found[1]


def history(host: Host) -> list[tuple[str, str]]:
    lines = host.sh("cat /var/lib/runbook/deploys.jsonl 2>/dev/null || true").splitlines()
    return [(line["event"], line["version"]) for line in map(json.loads, lines)]


def test_a_dry_run_changes_nothing(host: Host, desk: Desk) -> None:
    before = snapshot.take(host)
    done = desk.dry_run(BACKEND, version="1.1.0")
    assert (done.applied["state"], done.plan["steps"][1]["name"]) == ("dry run", "pull"), done
    assert digest(host, "1.1.0") in str(done.plan["steps"][1]["command"]), "the plan names the image by its digest"
    assert before.differences(snapshot.take(host)) == []


def test_a_tag_that_the_registry_lacks_is_refused(host: Host, desk: Desk) -> None:
    before = containers(host)
    done = desk.apply(BACKEND, version="9.9.9")
    assert (done.code, "there is no 9.9.9 in the registry" in done.text) == (4, True), done
    assert containers(host) == before
    assert history(host) == []


def test_a_revision_that_no_image_knows_is_refused(host: Host, desk: Desk) -> None:
    sql(host, "update alembic_version set version_num = '0009_invoices'")
    before = snapshot.take(host)
    try:
        for name, values in ((MIGRATE, {"version": ""}), (MIGRATE, {}), (DOWN, {}), (BACKEND, {"version": "1.1.0"})):
            done = desk.dry_run(name, **values)
            assert (
                done.code,
                "the database is at 0009_invoices, which 1.0.0 (running) does not know" in done.text,
            ) == (4, True), done
        assert before.differences(snapshot.take(host)) == []
    finally:
        sql(host, "update alembic_version set version_num = '0003'")


def test_a_registry_that_is_down_is_said_and_changes_nothing(host: Host, desk: Desk) -> None:
    before = containers(host)
    host.sh("systemctl stop docker-registry")
    try:
        done = desk.apply(BACKEND, version="1.1.0")
    finally:
        host.sh("systemctl start docker-registry")
    assert (done.code, "the registry cannot be asked" in done.text) == (4, True), done
    assert containers(host) == before


def test_an_image_that_needs_a_migration_is_pulled_but_not_started(host: Host, desk: Desk) -> None:
    before = containers(host)
    with Users(host, writes=False) as users:
        done = desk.apply(BACKEND, version="1.1.0")
    assert done.applied["state"] == "rolled back", done
    assert "run 03-deploy/migrate with version=1.1.0 first (pending: 0004 (head), When" in done.applied["sentence"]
    assert (containers(host), revision(host), users.outages) == (before, "0003", [])
    again = desk.dry_run(BACKEND, version="1.1.0")
    assert again.code == 4, "now that the image is here, the dry run knows it as well"
    assert "pending: 0004" in again.text


@pytest.mark.parametrize(
    ("version", "reason"), [("1.2.0-crash", "ended by itself at start"), ("1.3.0-broken", "answers 500 instead of 401")]
)
def test_a_bad_image_never_takes_the_place_of_the_old_one(host: Host, desk: Desk, version: str, reason: str) -> None:
    before = snapshot.take(host)
    with Users(host, writes=False) as users:
        done = desk.apply(BACKEND, version=version)
    assert done.applied["state"] == "rolled back", done
    assert reason in done.applied["sentence"]
    assert users.outages == []
    assert done.applied["downtime"].startswith("no downtime")
    assert before.differences(snapshot.take(host), ignore=("file /var/lib/runbook", "image")) == [], (
        "not even a restart"
    )


def test_a_migration_shows_its_sql_runs_and_is_taken_back(host: Host, desk: Desk) -> None:
    host.sh(
        "docker image inspect localhost:5000/pazpaz-backend:1.1.0 >/dev/null 2>&1 || docker pull -q localhost:5000/pazpaz-backend:1.1.0"
    )
    before = snapshot.take(host)
    dry = desk.dry_run(MIGRATE, version="1.1.0")
    assert "ALTER TABLE appointments ADD COLUMN reminder_sent_at" in str(dry.plan["basis"]["sql"]["0004"]), dry
    assert before.differences(snapshot.take(host)) == []
    done = desk.apply(MIGRATE, version="1.1.0")
    assert done.applied["state"] == "applied", done
    assert revision(host) == "0004"
    assert sql(host, "select count(*) from pg_indexes where indexname = 'appointments_reminder_due_idx'") == "1"
    said = next(
        event.data["output"]
        for event in done.events
        if event.kind == "step.end" and event.data["name"] == "upgrade-0004"
    )
    assert re.search(r"took \d+\.\d+ s; locks seen: ", said), said
    undone = desk.undo(done)
    assert undone.applied["state"] == "applied", undone
    assert revision(host) == "0003"
    assert before.differences(snapshot.take(host), ignore=STAYS) == []


def test_a_good_version_is_swapped_in_rolled_back_on_a_decision_and_taken_back(host: Host, desk: Desk) -> None:
    alembic(host, "upgrade", "0004")
    before, lines = snapshot.take(host), host.sh(f"cat {ENV}").splitlines()
    with Users(host) as users:
        users.wait_for_writes()
        done = desk.apply(BACKEND, version="1.1.0")
        users.wait_for_writes()
    assert done.applied["state"] == "applied", done
    assert served(host) == "1.1.0"
    assert users.lost() == []
    assert users.downtime_seconds < LONGEST_OUTAGE_SECONDS
    users.clear()
    pinned = f"BACKEND_VERSION=1.1.0@{digest(host, '1.1.0')}"
    now = host.sh(f"cat {ENV}").splitlines()
    assert [line for line in now if line not in lines] == [pinned]
    assert len(now) == len(lines)
    assert host.sh(f"stat -c '%a %U' {ENV}").strip() == "600 pazpaz"
    running = host.sh("docker inspect --format '{{.Image}}' pazpaz-api pazpaz-arq-worker").split()
    wanted = host.sh(
        f"docker image inspect --format '{{{{.Id}}}}' localhost:5000/pazpaz-backend@{digest(host, '1.1.0')}"
    ).strip()
    assert running == [wanted, wanted]
    assert history(host)[-1] == ("deployed", "1.1.0")

    refused = desk.dry_run(BACK)
    assert (refused.code, "accept_schema=0004" in refused.text) == (4, True), refused
    assert served(host) == "1.1.0"
    back = desk.apply(BACK, accept_schema="0004")
    assert back.applied["state"] == "applied", back
    assert served(host) == "1.0.0"

    undone = desk.undo(back)
    assert (undone.applied["state"], served(host)) == ("applied", "1.1.0"), undone
    undone = desk.undo(done)
    assert (undone.applied["state"], served(host)) == ("applied", "1.0.0"), undone
    assert before.differences(snapshot.take(host), ignore=STAYS) == []
    assert ("taken back", "1.1.0") in history(host)
    desk.verify()


@pytest.mark.matrix
def test_a_way_down_counts_what_it_drops_and_keeps_a_backup(host: Host, desk: Desk) -> None:
    alembic(host, "upgrade", "0004")
    host.sh("docker image inspect localhost:5000/pazpaz-backend:1.1.0 >/dev/null")
    filled = sql(host, "select count(reminder_sent_at) from appointments")
    done = desk.apply(DOWN, version="1.1.0")
    assert done.applied["state"] == "applied", done
    assert revision(host) == "0003"
    assert f"column appointments.reminder_sent_at with {int(filled):,} values" in done.plan["losses"]
    kept = re.search(r"(/opt/pazpaz/backups/\S+\.dump)", str(done.plan["notes"]))
    assert kept is not None
    listed = host.sh(f"docker exec -i pazpaz-db pg_restore --list < {kept[1]}")
    assert "TABLE DATA public appointments" in listed
    assert "appointments_reminder_due_idx" in listed, "it was taken before"
