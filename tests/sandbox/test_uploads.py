"""Uploads restored: one object and all of them; what the store serves afterwards is asked through the application's own client."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from changes import Desk, Warm
from repository import snapshots

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]
RESTORE, FULL = "07-backup/restore-uploads", "07-backup/full-backup"
VOLUME = "/var/lib/docker/volumes/pazpaz_minio_data"
REFUSED = 4
CLIENT = """import os, sys, urllib3, hashlib, io
from minio import Minio
e = os.environ
pool = urllib3.PoolManager(ca_certs=e['S3_CA_FILE'])
store = Minio(e['S3_ENDPOINT'], e['S3_ACCESS_KEY'], e['S3_SECRET_KEY'], secure=True, http_client=pool)
bucket = e['S3_BUCKET']
"""


def store(host: Host, code: str) -> str:
    """Run a line of Python in the api container with a client of the store."""
    return host.sh(f"docker exec -i pazpaz-api python - <<'END'\n{CLIENT}{code}\nEND").strip()


def objects(host: Host) -> dict[str, str]:
    """Return key -> SHA-256 of everything that the store serves."""
    told = store(
        host,
        "for one in store.list_objects(bucket, recursive=True):\n"
        "    print(one.object_name, hashlib.sha256(store.get_object(bucket, one.object_name).read()).hexdigest())",
    )
    return dict(line.rsplit(" ", 1) for line in told.splitlines())


def of_people(served: dict[str, str]) -> dict[str, str]:
    """Leave out what the walk of a run stores and removes again: an upload cut off while the store restarts stays behind."""
    return {key: value for key, value in served.items() if "/runbook-walk-" not in key}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, host: Host, warm: Warm) -> Desk:
    found = Desk(tmp_path_factory.mktemp("desk"), f"sandbox@{host.name}", warm=warm)
    done = found.apply(FULL, classes="uploads", off_server=False)
    assert done.applied["state"] == "applied", done
    return found


@pytest.mark.matrix
def test_one_object_comes_back_and_the_others_stay(host: Host, desk: Desk) -> None:
    before = objects(host)
    gone, changed = sorted(before)[:2]
    store(
        host, f"store.remove_object(bucket, {gone!r}); store.put_object(bucket, {changed!r}, io.BytesIO(b'changed'), 7)"
    )
    done = desk.apply(RESTORE, upload=gone)
    assert done.applied["state"] == "applied", done
    now = objects(host)
    assert now[gone] == before[gone]
    assert now[changed] == hashlib.sha256(b"changed").hexdigest()
    undone = desk.undo(done)
    assert undone.applied["state"] == "applied", undone
    assert gone not in objects(host)
    assert host.sh(f"ls {VOLUME}; docker ps -a --format '{{{{.Names}}}}' | grep -c runbook-store || true").split() == [
        "_data",
        "0",
    ]
    refused = desk.apply(RESTORE, upload="no/such/key")
    assert refused.applied["state"] == "rolled back", refused
    assert "no object of the key" in refused.text


def test_all_come_back_into_an_empty_volume_and_undo_swaps_back(host: Host, desk: Desk) -> None:
    store(host, "store.put_object(bucket, 'since/then', io.BytesIO(b'new'), 3)")
    before = objects(host)
    owners = host.sh(
        f"cd {VOLUME}/_data; find . -maxdepth 2 ! -name '.cache*' ! -name '*-wal' ! -name '*-shm' -printf '%P %u %g %m\\n' | sort"
    )
    done = desk.apply(RESTORE)
    assert done.applied["state"] == "applied", done
    now = objects(host)
    assert of_people(now) == {key: value for key, value in of_people(before).items() if key != "since/then"}
    known = host.sh("docker exec pazpaz-db psql -qtAX -U pazpaz -c 'select object_key from attachments'").split()
    assert set(known) <= set(now)
    assert [
        row
        for row in owners.splitlines()
        if row not in host.sh(f"cd {VOLUME}/_data; find . -maxdepth 2 -printf '%P %u %g %m\\n'")
    ] == []
    undone = desk.undo(done)
    assert undone.applied["state"] == "applied", undone
    assert of_people(objects(host)) == of_people(before)
    assert any("uploads" in row["tags"] for row in snapshots(host))


def test_a_run_that_is_not_there_is_refused(desk: Desk, tmp_path: Path) -> None:
    for value in ("yesterday", "20200101T000000Z"):
        refused = desk.dry_run(RESTORE, backup=value)
        assert refused.code == REFUSED, refused
    assert tmp_path.is_dir()
