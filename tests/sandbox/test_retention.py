"""Retention on a server with old, broken, lying and empty copies: what ls, sha256sum and restic find afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import snapshot
from repository import Elsewhere, forge, restic, snapshots

if TYPE_CHECKING:
    from changes import Desk

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]
RETENTION, FULL = "07-backup/retention", "07-backup/full-backup"
CRITICAL = 2
KEPT = ("file /opt/pazpaz/backups", "file /var/lib/runbook")
START = """set -eu; cd /opt/pazpaz/backups; rm -rf pazpaz-* set-aside-*; systemctl start pazpaz-backup.service
good=$(ls pazpaz-*.dump | head -n 1); made() { date -u -d "$1 days ago" +pazpaz-%Y%m%d-%H%M%S.dump; }
old() { n=$(made $1); cp -p "$good" "$n"; sha256sum "$n" > "$n.sha256"; touch -d "$1 days ago" "$n" "$n.sha256"; }
"""
BROKEN = f"""{START}
for days in 40 50 60; do old $days; done
# newer, and none of them good: cut, one byte wrong, empty, of another database
n=$(made 3); head -c 1000000 "$good" > "$n"; touch -d '3 days ago' "$n"
n=$(made 4); cp "$good" "$n"; sha256sum "$n" > "$n.sha256"; printf XYZ | dd of="$n" bs=1 seek=900000 conv=notrunc status=none; touch -d '4 days ago' "$n"
n=$(made 5); : > "$n"; touch -d '5 days ago' "$n"
n=$(made 6); docker exec pazpaz-db createdb -U pazpaz foreign_one; docker exec pazpaz-db pg_dump -U pazpaz -F c foreign_one > "$n"
docker exec pazpaz-db dropdb -U pazpaz foreign_one; touch -d '6 days ago' "$n"
# one says that it is from the future, one is as old as it is broken
cp "$good" pazpaz-20990101-000000.dump; touch -d 2099-01-01 pazpaz-20990101-000000.dump
n=$(made 70); head -c 500000 "$good" > "$n"; touch -d '70 days ago' "$n"
rm -f "$good" "$good".sha256
chown pazpaz: pazpaz-*
"""
AGED = f"""{START}
for days in 1 2 50 60; do old $days; done
chown pazpaz: pazpaz-*
"""
STAT = "cd /opt/pazpaz/backups; stat -c '%n %s %Y %a %U' pazpaz-*; sha256sum pazpaz-*"


def dumps(host: Host) -> set[str]:
    return set(host.sh("cd /opt/pazpaz/backups; ls -d pazpaz-* set-aside-* 2>/dev/null || true").split())


def day(host: Host, days: int) -> str:
    return host.sh(f"date -u -d '{days} days ago' +%Y%m%d").strip()


def held(away: Elsewhere, folder: str = "") -> set[str]:
    """Return the repository's files off the server, as restic names them."""
    found = (path for path in (away.place / folder).rglob("*") if path.is_file() and path.suffix != ".json")
    return {path.relative_to(away.place).as_posix() for path in found}


def test_the_newest_good_ones_stay_whatever_is_newer(host: Host, desk: Desk) -> None:
    host.sh(BROKEN)
    before, there = snapshot.take(host), dumps(host)
    dry = desk.dry_run(RETENTION)
    assert dry.code <= CRITICAL, dry  # that the newest copies are broken is said
    assert before.differences(snapshot.take(host)) == []
    assert [row["name"] for row in dry.plan["steps"]][:2] == ["set-aside", "delete"]
    done = desk.apply(RETENTION)
    assert done.applied["state"] == "applied", done
    # the three that are 40, 50 and 60 days old are all that is good: only the broken one behind them goes
    assert {name[:15] for name in there - dumps(host)} == {f"pazpaz-{day(host, 70)}"}
    assert before.differences(snapshot.take(host), ignore=KEPT) == []


@pytest.mark.matrix
def test_cut_off_before_it_deletes_it_is_taken_back(host: Host, desk: Desk) -> None:
    host.sh(AGED)
    before = host.sh(STAT)
    running = desk.start_apply(RETENTION)
    assert running.until_step(1)
    running.kill()
    host.sh(
        "while systemctl list-units 'runbook-*' --state=running,activating --no-legend | grep -q .; do sleep 0.2; done"
    )
    undone = desk.undo(running.run_id)
    assert undone.applied.get("state") in {"applied", "nothing to do"}, undone
    assert host.sh(STAT) == before
    assert not [name for name in dumps(host) if name.startswith("set-aside-")]


@pytest.mark.matrix
def test_old_copies_go_with_what_lies_beside_them(host: Host, desk: Desk) -> None:
    host.sh(AGED)
    there = dumps(host)
    done = desk.apply(RETENTION)
    assert done.applied["state"] == "applied", done
    gone = there - dumps(host)
    assert {name[:15] for name in gone} == {f"pazpaz-{day(host, 50)}", f"pazpaz-{day(host, 60)}"}
    assert sorted(name.endswith(".sha256") for name in gone) == [False, False, True, True]
    assert host.sh("cd /opt/pazpaz/backups; sha256sum --check --quiet pazpaz-*.sha256") == ""
    again = desk.dry_run(RETENTION)
    assert again.plan["steps"] == [], again


def test_old_runs_leave_the_repository_and_then_the_place_off_the_server(host: Host, desk: Desk) -> None:
    host.reset()  # with a repository of its own: while a young copy is left only off the server, nothing is deleted there
    assert desk.apply(FULL).applied["state"] == "applied"
    young, old = [forge(host, days) for days in (5, 10)], [forge(host, days) for days in (35, 45)]
    unfinished = forge(host, 50, classes="database")
    assert desk.apply(FULL, classes="configuration").applied["state"] == "applied"
    away = Elsewhere.of(host)
    assert held(away, "snapshots") == {f"snapshots/{row['id']}" for row in snapshots(host)}
    done = desk.apply(RETENTION)
    assert done.applied["state"] == "applied", done
    tags = {tag for row in snapshots(host) for tag in row["tags"]}
    assert tags.isdisjoint({*old, unfinished})
    assert set(young) <= tags
    assert "no errors were found" in restic(host, "check --read-data")
    files = host.sh("cd /opt/pazpaz/backups/restic; find data index keys snapshots config -type f").split()
    assert held(away) == set(files)
    assert away.sh("restic check --read-data").returncode == 0


@pytest.mark.matrix
def test_what_the_server_s_repository_has_lost_is_not_deleted_off_it(host: Host, desk: Desk) -> None:
    host.reset()
    assert desk.apply(FULL, classes="configuration").applied["state"] == "applied"
    old = [forge(host, days) for days in (1, 2, 3, 60)][-1]
    assert desk.apply(FULL, classes="configuration").applied["state"] == "applied"
    ids = [row["id"] for row in snapshots(host) if old in row["tags"]]
    restic(host, f"forget --quiet {' '.join(ids)}")  # it is only left off the server now, and too old
    assert desk.apply(FULL, classes="configuration", off_server=False).applied["state"] == "applied"
    away, store = Elsewhere.of(host), "/opt/pazpaz/backups/restic"
    there = held(away)
    assert {f"snapshots/{one}" for one in ids} <= there
    pack = host.sh(f"cd {store}; find data -type f -printf '%s %p\\n' | sort -n | tail -n 1 | cut -d ' ' -f 2").strip()
    host.sh(f"mv {store}/{pack} /var/tmp/pack")
    try:
        damaged = desk.apply(RETENTION)
        assert "prune-off-host" not in [name for _, name, _ in damaged.steps], damaged
        assert held(away) >= there
    finally:
        host.sh(f"mv /var/tmp/pack {store}/{pack}")
    done = desk.apply(RETENTION)
    assert done.applied["state"] == "applied", done
    assert [name for _, name, _ in done.steps][-2:] == ["check-repository", "prune-off-host"]
    assert held(away, "snapshots") == {f"snapshots/{row['id']}" for row in snapshots(host)}
    assert pack in held(away)
    assert away.sh("restic check --read-data").returncode == 0


@pytest.mark.matrix
def test_a_retention_that_was_cut_off_before_its_catalogue_goes_on(host: Host, desk: Desk) -> None:
    assert desk.apply(FULL, classes="configuration", off_server=False).applied["state"] == "applied"
    old = [forge(host, days) for days in (1, 2, 3, 60)][-1]
    assert desk.apply(FULL, classes="configuration", off_server=False).applied["state"] == "applied"
    catalogue = "/opt/pazpaz/backups/catalogue.json"
    assert old in host.sh(f"cat {catalogue}")
    running = desk.start_apply(RETENTION, off_server=False)
    assert running.until(lambda found: any(e.kind == "step.start" and e.data["name"] == "prune" for e in found))
    running.kill()
    resumed = desk.resume(running.run_id)
    assert resumed.applied["state"] == "applied", resumed
    assert resumed.steps[-1][1] == "catalogue"
    assert old not in host.sh(f"cat {catalogue}")
    assert "no errors were found" in restic(host, "check")


@pytest.mark.matrix
def test_copies_off_the_server_stay_when_the_server_has_lost_its_own(host: Host, desk: Desk) -> None:
    assert desk.apply(FULL, classes="configuration").applied["state"] == "applied"
    away = Elsewhere.of(host)
    kept = {path.name for path in away.place.rglob("*")}
    newest = max(snapshots(host), key=lambda row: str(row["time"]))["id"]
    store = "/opt/pazpaz/backups/restic/snapshots"
    host.sh(f"mkdir -p /var/tmp/lost; mv {store}/{newest} /var/tmp/lost/")
    forge(host, 60)
    try:
        done = desk.apply(RETENTION)
        assert done.applied["state"] in {"applied", "nothing to do"}, done
        assert kept <= {path.name for path in away.place.rglob("*")}
    finally:
        host.sh(f"mv /var/tmp/lost/{newest} {store}/")
