"""Backups of the database: whole or absent, counted in their own snapshot, proven on demand, taken away by undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dumps
import pytest
import snapshot
from changes import Desk, Warm
from users import Users

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]
BACKUP = "06-database/backup"


@pytest.fixture
def desk(tmp_path: Path, host: Host, warm: Warm) -> Iterator[Desk]:
    """A desk; the dumps that a test adds are removed afterwards."""
    before = dumps.files(host)
    yield Desk(tmp_path, f"sandbox@{host.name}", warm=warm)
    for name in dumps.files(host) - before:
        host.sh(f"rm -f {dumps.FOLDER}/{name}")


def new_dump(host: Host, before: set[str]) -> str:
    """Return the one dump that was added; it came with its checksum and its manifest, and with nothing else."""
    added = dumps.files(host) - before
    name = min(added, key=len)
    assert added == {name, f"{name}.sha256", f"{name}.manifest.json"}
    return name


def test_a_backup_is_whole_told_by_its_manifest_and_taken_away_by_undo(host: Host, desk: Desk) -> None:
    files, before = dumps.files(host), snapshot.take(host)
    dry = desk.dry_run(BACKUP)
    assert dry.applied["state"] == "dry run", dry
    assert before.differences(snapshot.take(host)) == []
    content = dumps.content(host)
    done = desk.apply(BACKUP)
    assert done.applied["state"] == "applied", done
    name = new_dump(host, files)
    assert host.sh(f"cd {dumps.FOLDER}; sha256sum --check --status {name}.sha256; stat -c '%a %U:%G' {name}").split() == ["640", "pazpaz:pazpaz"]  # fmt: skip
    told = dumps.manifest(host, name)
    looked = "public.audit_log"  # the look of the synthetic user itself is written there
    assert {**told["content"]["tables"], looked: None} == {**content, looked: None}
    assert told["content"]["revision"] == dumps.sql(host, "select version_num from alembic_version")
    assert (told["bytes"], told["sha256"]) == (
        int(host.sh(f"stat -c %s {dumps.FOLDER}/{name}")),
        host.sh(f"sha256sum < {dumps.FOLDER}/{name}").split()[0],
    )
    assert told["content"]["server_version"] == dumps.sql(host, "show server_version").split()[0]
    assert (told["content"]["database"], told["method"], told["verified"]["by"]) == ("pazpaz", "zstd:3", "pg_restore read it to its end")  # fmt: skip
    host.sh(f"docker exec -i pazpaz-db pg_restore -f /dev/null < {dumps.FOLDER}/{name}")
    undone = desk.undo(done)
    assert undone.applied["state"] == "applied", undone
    assert dumps.files(host) == files
    assert before.differences(snapshot.take(host), ignore=snapshot.UNDONE) == []


def test_what_users_write_meanwhile_is_counted_as_the_dump_has_it_which_a_restore_proves(
    host: Host, desk: Desk
) -> None:
    files = dumps.files(host)
    with Users(host) as users:
        users.wait_for_writes(2)
        done = desk.apply(BACKUP, prove="true", compression="gzip:1", parallel="2")
        users.wait_for_writes(1)
    try:
        assert done.applied["state"] == "applied", done
        name = new_dump(host, files)
        assert name.endswith(".tar.dump")
        told = dumps.manifest(host, name)
        assert told["proven"]["by"] == "restored into a scratch database; every table equal"
        assert (told["format"], told["method"], told["processes"]) == ("directory", "gzip:1", 2)
        clients = told["content"]["tables"]["public.clients"]["rows"]
        assert clients < int(dumps.sql(host, "select count(*) from clients")), "users wrote on"
        assert dumps.databases(host) == {"pazpaz"}, "the scratch database is gone"
        assert host.sh("docker exec pazpaz-db ls /var/tmp").strip() == ""
        assert done.applied["downtime"].startswith("no downtime"), "a backup stops nobody"
    finally:
        users.clear()


def test_without_room_or_with_a_bad_parameter_nothing_is_begun(host: Host, desk: Desk) -> None:
    for values, reason in (
        ({"compression": "brotli"}, "'brotli' is none of"),
        ({"parallel": "99"}, "not between 1 and 16"),
    ):
        refused = desk.apply(BACKUP, **values)
        assert refused.code == 4, refused
        assert reason in refused.text
    host.sh(f"mount -t tmpfs -o size=1m,uid=pazpaz,gid=pazpaz,mode=0755 none {dumps.FOLDER}")
    try:
        refused = desk.apply(BACKUP)
        assert refused.code == 4, refused
        assert "there is no room for a backup" in refused.text
        assert dumps.files(host) == set()
    finally:
        host.sh(f"umount -l {dumps.FOLDER}")


def test_a_dump_that_fails_leaves_nothing_that_looks_like_one(host: Host, desk: Desk) -> None:
    files = dumps.files(host)
    program = host.sh("docker exec pazpaz-db sh -c 'readlink -f $(command -v pg_restore)'").strip()
    host.sh(f"docker exec pazpaz-db mv {program} /tmp/kept")  # the dump cannot be read through
    try:
        done = desk.apply(BACKUP)
    finally:
        host.sh(f"docker exec pazpaz-db mv /tmp/kept {program}")
    assert done.code == 5, done
    assert done.applied["state"] == "failed"
    assert dumps.files(host) == files
    resumed = desk.resume(done)
    assert resumed.applied["state"] == "applied", resumed
    new_dump(host, files)
