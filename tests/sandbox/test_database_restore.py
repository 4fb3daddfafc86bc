"""Restores: what cannot be restored from is refused before anything is stopped; what can is proven before it is swapped in.

CI takes the bad dumps, a good one under load and back, and the plan as text; the rest is marked `matrix`.
"""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

import dumps
import pytest
import snapshot
from changes import Desk, Warm
from cli import runbook
from users import Users

from conftest import Host
from sandbox import lifecycle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from changes import Change


pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(900)]
RESTORE, BACKUP, MAINTAIN = "06-database/restore", "06-database/backup", "06-database/maintain"
KEPT = ("file /opt/pazpaz/backups", "database database pazpaz_undone")
LATE = "later than the backup"
USED = ("public.audit_log", "public.clients")  # the walk of the look after it leaves rows there
MOST_MIB = 150  # a runner, a kernel with pandas and matplotlib; a dump of 5,000,000 rows has 199


@pytest.fixture
def desk(tmp_path: Path, host: Host, warm: Warm) -> Iterator[Desk]:
    """A desk; afterwards the server is as it was made."""
    yield Desk(tmp_path, f"sandbox@{host.name}", warm=warm)
    host.sh("umount -l /opt/pazpaz/backups 2>/dev/null || true")
    host.reset()


def nightly(host: Host) -> str:
    """Return the newest dump that the server's own script has made."""
    return host.sh(f"cd {dumps.FOLDER}; ls pazpaz-*.dump | tail -n 1").strip()


def stamp(change: Change) -> str:
    """Return the run's time as it stands in the names of databases."""
    return change.run_id.partition("--")[0].lower()


def write_late(host: Host) -> None:
    """Write a row that no backup has."""
    dumps.sql(host, f"insert into clients (name, created_by) select '{LATE}', id from users limit 1")  # noqa: S608 (a fixed text)


def late_rows(host: Host, database: str = "pazpaz") -> int:
    """Return how many of these rows a database has."""
    return int(dumps.sql(host, f"select count(*) from clients where name = '{LATE}'", database=database))  # noqa: S608 (a fixed text)


def test_bad_dumps_and_too_little_room_are_refused_before_anything_is_stopped(host: Host, desk: Desk) -> None:
    good = nightly(host)
    dumps.truncated(host, good, "pazpaz-truncated.dump")
    dumps.flipped(host, good, "pazpaz-flipped.dump")
    dumps.empty(host, "pazpaz-empty.dump")
    dumps.sql(host, "create database other", database="postgres")
    dumps.sql(host, "create table clients (name text)", database="other")
    dumps.dumped(host, "other", "pazpaz-foreign.dump")
    dumps.sql(host, "drop database other", database="postgres")
    before = snapshot.take(host)
    for name, reason in (
        ("pazpaz-truncated.dump", "it cannot be read to its end: could not read from input file: end of file"),
        ("pazpaz-flipped.dump", "it differs from the checksum beside it"),
        ("pazpaz-empty.dump", "it is empty"),
        ("pazpaz-foreign.dump", "it is a dump of the database other, not of pazpaz"),
        ("pazpaz-absent.dump", "there is no backup pazpaz-absent.dump"),
        ("../etc/passwd", "is not the name of a file in the folder of backups"),
    ):
        refused = desk.run("run", RESTORE, "--target", desk.target, "--no-html", "--apply", "--confirm", "anything", "-p", "backup", name)  # fmt: skip
        assert refused.code == 4, (name, refused)
        assert reason in " ".join(refused.text.split()), (name, refused)
        assert [event.kind for event in refused.events if event.kind == "step.start"] == []
    # the lock had been taken and let go
    assert before.differences(snapshot.take(host), ignore=("file /var/lib/runbook",)) == []
    host.sh(f"""cp -a {dumps.FOLDER} /var/tmp/kept; mount -t tmpfs -o size=8m,uid=pazpaz,gid=pazpaz,mode=0755 none {dumps.FOLDER}
    cp -a /var/tmp/kept/{good}* {dumps.FOLDER}""")
    refused = desk.dry_run(RESTORE, backup=good)
    assert refused.code == 4, refused
    assert "there is no room: the folder of backups has" in refused.text
    host.sh("rm -rf /var/tmp/kept")


def test_from_a_good_dump_under_load_with_open_sessions_and_back_again(host: Host, desk: Desk) -> None:
    made = desk.apply(BACKUP)
    name = f"pazpaz-{made.run_id[:8]}-{made.run_id[9:15]}.dump"
    told = dumps.manifest(host, name)["content"]["tables"]
    write_late(host)
    dumps.sql(host, "alter database pazpaz set work_mem = '5MB'", database="postgres")
    before = snapshot.take(host)
    dry = desk.dry_run(RESTORE)
    assert dry.applied["state"] == "dry run", dry
    assert before.differences(snapshot.take(host)) == [], "a dry run changes nothing"
    host.sh("docker exec -d pazpaz-db psql -U pazpaz -d pazpaz -c 'begin; select * from clients for update; select pg_sleep(900)'")  # fmt: skip
    time.sleep(1)
    with Users(host) as users:
        users.wait_for_writes(1)
        done = desk.apply(RESTORE, backup=name)
        users.wait_for_writes(1)
    assert done.applied["state"] == "applied", done
    print(f"downtime: {users.downtime_seconds} s; {done.applied['downtime']}; all in {done.applied['seconds']} s")
    old = f"pazpaz_before_{stamp(done)}"
    assert dumps.databases(host) == {"pazpaz", old}
    assert (late_rows(host), late_rows(host, old)) == (0, 1)
    assert users.lost() == [], "what was acknowledged is in the restored database or in the kept one"
    assert dumps.sql(host, "show work_mem") == "5MB", "settings of the database were carried over"
    users.clear()
    restored = dumps.content(host)
    for table in ("clients", "users", "appointments", "attachments", "alembic_version"):
        assert restored[f"public.{table}"] == told[f"public.{table}"], table
    events = "".join(str(e.data.get("output", "")) for e in done.events if e.kind == "step.end")
    assert f"rows in {old}" in events, "rows that came late are told"
    undone = desk.undo(done)
    assert undone.applied["state"] == "applied", undone
    assert late_rows(host) == 1
    assert before.differences(snapshot.take(host), ignore=(*snapshot.UNDONE, *KEPT)) == []


@pytest.mark.matrix
def test_an_older_revision_is_migrated_in_the_new_database_and_a_killed_run_goes_on(host: Host, desk: Desk) -> None:
    host.sh("docker exec pazpaz-api alembic downgrade 0002")
    dumps.dumped(host, "pazpaz", "pazpaz-older.dump")
    host.sh("docker exec pazpaz-api alembic upgrade head")
    write_late(host)
    running = desk.start_apply(RESTORE, backup="pazpaz-older.dump")
    assert running.until_step(2)
    killed = running.run_id
    running.kill()
    done = desk.resume(killed)
    assert done.applied["state"] == "applied", done
    assert dumps.sql(host, "select version_num from alembic_version") == "0003"
    assert late_rows(host) == 0
    assert "migrate-new" in {name for _, name, _ in done.steps}
    old = f"pazpaz_before_{killed.partition('--')[0].lower()}"
    assert dumps.databases(host) == {"pazpaz", old}
    assert desk.dry_run("04-health/quick").code <= 1, "users are served"
    refused = desk.apply(MAINTAIN, drop="pazpaz")
    assert refused.code == 4
    assert "is not a database that a restore has kept" in refused.text
    dry = desk.dry_run(MAINTAIN, drop=old)
    dropped = desk.run("run", MAINTAIN, "--target", desk.target, "--no-html", "--apply", "--confirm", dry.plan["phrase"], "-p", "drop", old)  # fmt: skip
    assert dropped.applied["state"] == "applied", dropped
    assert dumps.databases(host) == {"pazpaz"}


@pytest.mark.matrix
def test_a_failure_after_the_swap_brings_the_old_database_back_by_itself(host: Host, desk: Desk) -> None:
    write_late(host)
    host.sh(
        "docker exec -u root pazpaz-api true; nohup sh -c 'until docker exec pazpaz-db psql -qtAX -U pazpaz -d postgres -c \"select datname from pg_database\" | grep -q before; do sleep 0.2; done; docker pause pazpaz-redis; sleep 100; docker unpause pazpaz-redis' >/dev/null 2>&1 &"
    )
    done = desk.apply(RESTORE)
    host.sh("docker unpause pazpaz-redis || true")
    assert done.applied["state"] == "rolled back", done
    assert late_rows(host) == 1, "the old database serves again"
    assert "pazpaz_before" not in " ".join(dumps.databases(host))


def test_the_plan_as_shell_text_does_the_same(host: Host, desk: Desk) -> None:
    write_late(host)
    printed = runbook("run", RESTORE, "--target", desk.target, "-p", "backup", nightly(host), "--instructions")
    assert printed.returncode == 0, printed.stderr
    assert dumps.databases(host) == {"pazpaz"}, "printing changes nothing"
    text = host.paste(printed.stdout)
    assert "steps are done" in text, text
    assert len(dumps.databases(host)) == 2
    assert late_rows(host) == 0
    assert host.sh("docker inspect -f '{{.State.Running}}' pazpaz-api pazpaz-arq-worker").split() == ["true", "true"]


@pytest.mark.matrix
def test_where_the_database_is_gone_it_is_brought_back(host: Host, desk: Desk) -> None:
    host.sh("docker stop pazpaz-api pazpaz-arq-worker")
    dumps.sql(host, "drop database pazpaz with (force)", database="postgres")
    done = desk.apply(RESTORE)
    assert done.applied["state"] == "applied", done
    assert dumps.databases(host) == {"pazpaz"}
    assert "safety-backup" not in {name for _, name, _ in done.steps}
    assert int(dumps.sql(host, "select count(*) from clients")) > 2000
    assert host.sh("docker inspect -f '{{.State.Running}}' pazpaz-api pazpaz-arq-worker").split() == ["true", "true"]


PEAK = """nohup sh -c 'most=0; while sleep 0.2; do for kib in $(ps -C pg_dump,pg_restore,psql -o rss=); do
[ "$kib" -le "$most" ] || { most=$kib; echo "$most" > /run/peak; }; done; done' >/dev/null 2>&1 &"""


@pytest.fixture(params=[100_000, 5_000_000], ids="{:,} rows".format)
def filled(host: Host, request: pytest.FixtureRequest) -> Iterator[Host]:
    """A server of its own with so many rows."""
    assert host, "the shared one is made first, so that images are built once"
    name = f"rows-{request.param}"
    lifecycle.up(name, rows=request.param)
    yield Host(name)
    lifecycle.down(name)


@pytest.mark.matrix
@pytest.mark.timeout(3600)
def test_memory_does_not_grow_with_the_rows(filled: Host, tmp_path: Path) -> None:
    """Time of each step, peak memory of the operator's side and of the tools on the server are printed."""
    # a runner and a kernel of their own, whose memory is seen from here
    desk = Desk(tmp_path, f"sandbox@{filled.name}")
    filled.sh(PEAK)
    made = desk.apply(BACKUP)
    assert made.applied["state"] == "applied", made
    name = f"pazpaz-{made.run_id[:8]}-{made.run_id[9:15]}.dump"
    done = desk.apply(RESTORE, backup=name)
    assert done.applied["state"] == "applied", done
    told = dumps.manifest(filled, name)
    tables = {table: found["rows"] for table, found in told["content"]["tables"].items() if table not in USED}
    assert {table: int(dumps.sql(filled, f"select count(*) from {table}")) for table in tables} == tables  # noqa: S608 (tables' own names)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # the most of any child so far
    server = int(filled.sh("cat /run/peak")) / 1024
    steps = {e.data["name"]: e.data["seconds"] for change in (made, done) for e in change.events if e.kind == "step.end"}  # fmt: skip
    rows = sum(found["rows"] for found in told["content"]["tables"].values())
    print(f"\n{rows:,} rows: dump {told['bytes'] / 2**20:.0f} MiB; peak {peak:.0f} MiB at the operator's, {server:.0f} MiB of a tool on the server; {done.applied['downtime']}")  # fmt: skip
    print("  " + ", ".join(f"{step} {seconds:.0f} s" for step, seconds in steps.items()))
    assert peak < MOST_MIB
    assert server < MOST_MIB
