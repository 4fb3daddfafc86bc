"""A full backup, and what is left of it when the server is gone: asked by restic, sha256sum, psql and ls, not by the library."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dumps
import pytest
import snapshot
from changes import Change, Desk, Warm
from repository import Elsewhere, restic, snapshots

from runbook import parameters
from runbook.connection import Connection
from runbook.offhost import mirror, place
from sandbox import bucket
from sandbox.state import Sandbox

if TYPE_CHECKING:
    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]
FULL, COVERAGE = "07-backup/full-backup", "07-backup/coverage"
REFUSED = 4
FINE = {0, 1}  # on a busy machine a page may be slow, which is a WARNING
LOOK = r"""for path in "$@"; do cd "$path" && find . -printf '%P %y %m %U %G %l\n' | sort && find . -type f -exec sha256sum {} + | sort -k 2; done"""
KEPT = ("started", "file /var/lib/runbook", "file /etc/runbook", "file /opt/pazpaz/backups", "unknown")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, host: Host, warm: Warm) -> Desk:
    return Desk(tmp_path_factory.mktemp("desk"), f"sandbox@{host.name}", warm=warm)


@pytest.fixture(scope="module")
def done(desk: Desk, host: Host) -> Change:
    """A full backup of an untouched server, carried out after a dry run that changed nothing."""
    host.sh(
        "rm -rf /opt/pazpaz/backups/restic /opt/pazpaz/backups/manifests /opt/pazpaz/backups/catalogue.json /etc/runbook"
    )
    before = snapshot.take(host)
    dry = desk.dry_run(FULL)
    assert dry.code in FINE, dry
    assert before.differences(snapshot.take(host)) == []
    change = desk.apply(FULL)
    assert change.applied["state"] == "applied", change
    assert before.differences(snapshot.take(host), ignore=KEPT) == []
    return change


@pytest.fixture(scope="module")
def stamp(done: Change) -> str:
    return str(done.plan["stamp"])


def test_each_class_is_in_the_repository_and_the_manifest_last(host: Host, stamp: str) -> None:
    found = [row for row in snapshots(host) if stamp in row["tags"]]
    assert {tag for row in found for tag in row["tags"]} - {stamp} == {
        "database",
        "configuration",
        "certificates",
        "uploads",
        "manifest",
    }
    assert max(found, key=lambda row: str(row["time"]))["tags"] in (["manifest", stamp], [stamp, "manifest"])
    assert "no errors were found" in restic(host, "check --read-data")
    assert host.sh("stat -c '%a %U' /etc/runbook/restic-password").split() == ["600", "root"]


def test_the_object_store_serves_again(host: Host, done: Change) -> None:
    assert host.sh("docker inspect -f '{{.State.Paused}} {{.State.Health.Status}}' pazpaz-minio").split() == [
        "false",
        "healthy",
    ]
    assert done.applied["state"] == "applied"


def test_what_is_off_the_server_is_enough(host: Host, stamp: str, done: Change) -> None:
    away = Elsewhere.of(host)
    checked = away.sh("restic check --read-data")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    script = f"""mkdir /tmp/back; for class in database configuration certificates uploads manifest; do
        restic restore --quiet --tag {stamp},$class --target /tmp/back latest >&2; done
    set -- /tmp/back/opt/pazpaz/backend/certs /tmp/back/etc/letsencrypt
    {LOOK}
    stat -c '%a %u %g' /tmp/back/opt/pazpaz/.env.production; sha256sum < /tmp/back/opt/pazpaz/.env.production
    sha256sum < /tmp/back/opt/pazpaz/docker-compose.prod.yml; sha256sum < /tmp/back/opt/pazpaz/nginx/nginx-ssl.conf"""
    back = away.sh(script)
    assert back.returncode == 0, back.stderr
    here = host.sh(f"""set -- /opt/pazpaz/backend/certs /etc/letsencrypt
    {LOOK}
    stat -c '%a %u %g' /opt/pazpaz/.env.production; sha256sum < /opt/pazpaz/.env.production
    sha256sum < /opt/pazpaz/docker-compose.prod.yml; sha256sum < /opt/pazpaz/nginx/nginx-ssl.conf""")
    assert back.stdout == here
    dump = away.sh(
        f"restic restore --quiet --tag {stamp},database --target /tmp/back latest >&2; cd /tmp/back/opt/pazpaz/backups; sha256sum --check --quiet *.sha256; sha256sum < *.dump"
    )
    assert dump.returncode == 0, dump.stderr
    assert dump.stdout == host.sh(f"sha256sum < /opt/pazpaz/backups/pazpaz-{stamp[:8]}-{stamp[9:15]}.dump")
    assert done.code in FINE


def test_the_manifest_says_what_the_server_held(host: Host, stamp: str) -> None:
    about = json.loads(host.sh(f"cat /opt/pazpaz/backups/manifests/{stamp}.json"))
    for table in ("clients", "attachments", "users"):
        rows = host.sh(f"docker exec pazpaz-db psql -qtAX -U pazpaz -c 'table {table}' | wc -l")
        assert about["database"]["tables"][f"public.{table}"]["rows"] == int(rows)
    assert about["objects"]["count"] == int(
        host.sh("docker exec pazpaz-db psql -qtAX -U pazpaz -c 'select count(*) from attachments'")
    )
    ids = host.sh("docker inspect -f '{{.Image}}' pazpaz-api pazpaz-db").split()
    assert [about["services"][name]["id"] for name in ("api", "db")] == ids
    assert 0 < about["frozen"]["uploads"]["seconds"] < 60
    objects = [
        json.loads(line) for line in host.sh(f"cat /opt/pazpaz/backups/manifests/{stamp}.objects.jsonl").splitlines()
    ]
    assert len({one["sha256"] for one in objects}) > 1
    assert len(objects) == about["objects"]["count"]


CONSISTENT = """import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute('pragma integrity_check').fetchone()[0])
"""


def test_the_store_of_the_copy_is_consistent(host: Host, stamp: str) -> None:
    """The copy of the frozen volume is one instant: its database is whole, and each of its objects' parts is there."""
    where = "/var/lib/docker/volumes/pazpaz_minio_data/_data"
    restic(host, f"restore --quiet --tag {stamp},uploads --target /var/tmp/store latest")
    told = host.sh(f"""python3 -c "{CONSISTENT}" /var/tmp/store{where}/meta.db
    find /var/tmp/store{where}/objects -type f | wc -l; find {where}/objects -type f | wc -l; rm -rf /var/tmp/store""")
    whole, there, here = told.split()
    assert whole == "ok"
    assert int(there) > 0
    assert there == here


def test_coverage_has_nothing_to_say(desk: Desk, done: Change) -> None:
    seen = desk.dry_run(COVERAGE)
    assert done.code in FINE
    assert seen.code == 0, seen
    assert "known exception" not in seen.text


def test_a_mirror_that_was_cut_off_goes_on_and_damage_is_noticed(host: Host, done: Change) -> None:
    assert done.applied["state"] == "applied"
    settings = parameters.load(f"sandbox@{host.name}")
    away = Elsewhere.of(host)
    files = sorted(path for path in away.place.rglob("*") if path.is_file() and len(path.name) == 64)
    lost, damaged, cut = random.Random(1).sample(files, 3)  # noqa: S311 (which files is no secret)
    lost.unlink()
    lost.with_name(f"{lost.name}.part").write_bytes(b"half")
    flip(damaged)
    cut.write_bytes(cut.read_bytes()[:-1])
    at = place.at(str(settings.backup.off_host))
    assert "missing or cut" in mirror.problems(at, away.place.name, seconds=60)
    arguments: dict[str, Any] = {
        "repository": settings.backup.repository, "catalogue": "/opt/pazpaz/backups/catalogue.json", "place": settings.backup.off_host,
        "options": {}, "target": settings.target,
    }  # fmt: skip
    with Connection(settings) as connection:
        said = mirror.mirror(connection, arguments, lambda _line: None)
    assert "; 3 of them" in said
    assert "2 that were damaged there were replaced" in said
    assert mirror.problems(at, away.place.name, seconds=60) == ""
    assert away.sh("restic check --read-data").returncode == 0
    flip(damaged)
    assert "is damaged" in mirror.problems(at, away.place.name, seconds=60)
    flip(damaged)


def test_an_s3_bucket_is_a_place_too(host: Host, done: Change) -> None:
    assert done.applied["state"] == "applied"
    offsite = bucket.up()
    try:
        settings = parameters.load(f"sandbox@{host.name}")
        keys = {"key": f"file:{offsite.access_key_file}", "secret": f"file:{offsite.secret_key_file}"}
        arguments: dict[str, Any] = {
            "repository": settings.backup.repository, "catalogue": "/opt/pazpaz/backups/catalogue.json", "place": f"s3://{offsite.name}/copies",
            "options": {"endpoint_url": offsite.endpoint, "region_name": offsite.region, **keys}, "target": settings.target,
        }  # fmt: skip
        with Connection(settings) as connection:
            first = mirror.mirror(connection, arguments, lambda _line: None)
            again = mirror.mirror(connection, arguments, lambda _line: None)
        assert "; 0 of them" not in first
        assert "; 0 of them" in again
        access, secret = (Path(file).read_text().strip() for file in (offsite.access_key_file, offsite.secret_key_file))
        checked = host.sh(f"""export AWS_ACCESS_KEY_ID={access} AWS_SECRET_ACCESS_KEY={secret} RESTIC_PASSWORD_FILE=/etc/runbook/restic-password HOME=/root
        restic --no-cache --no-lock -o s3.bucket-lookup=path -r s3:{offsite.endpoint_of_servers}/{offsite.name}/copies/{Elsewhere.of(host).place.name} check --read-data""")
        assert "no errors were found" in checked
    finally:
        bucket.down()


def flip(path: Path) -> None:
    """Change one bit of a file, or change it back."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_without_what_it_needs_it_is_refused_before_anything_is_done(host: Host, desk: Desk, done: Change) -> None:
    assert done.applied["state"] == "applied"
    before = snapshot.take(host)
    host.sh("mv /usr/bin/restic /usr/bin/restic.away; mv /opt/pazpaz/nginx/nginx-ssl.conf /opt/pazpaz/nginx/away")
    try:
        refused = desk.dry_run(FULL)
    finally:
        host.sh("mv /usr/bin/restic.away /usr/bin/restic; mv /opt/pazpaz/nginx/away /opt/pazpaz/nginx/nginx-ssl.conf")
    assert refused.code == REFUSED, refused
    assert "apt-get install restic" in refused.text
    assert "/opt/pazpaz/nginx/nginx-ssl.conf" in refused.text
    unknown = desk.dry_run(FULL, classes="uploads, everything")
    assert unknown.code == REFUSED, unknown
    assert "everything: no such class" in unknown.text
    assert before.differences(snapshot.take(host)) == []


def test_without_room_for_the_dump_nothing_is_begun(host: Host, desk: Desk, done: Change) -> None:
    assert done.applied["state"] == "applied"
    before = snapshot.take(host)
    host.sh(f"mount -t tmpfs -o size=1m,uid=pazpaz,gid=pazpaz,mode=0755 none {dumps.FOLDER}")
    try:
        refused = desk.apply(FULL, classes="database", off_server=False)
        left = dumps.files(host)
    finally:
        host.sh(f"umount -l {dumps.FOLDER}")
    assert refused.code == REFUSED, refused
    assert "MB are free where the repository lies" in refused.text
    assert left == set()
    assert before.differences(snapshot.take(host)) == []


def test_a_wrong_password_replaces_nothing(host: Host, desk: Desk, done: Change) -> None:
    assert done.applied["state"] == "applied"
    secret = Sandbox.named(host.name).folder / "restic_password"
    right, laid = secret.read_text(), host.sh("sha256sum /etc/runbook/restic-password")
    secret.write_text("not-the-password")
    try:
        failed = desk.apply(FULL, classes="configuration", off_server=False)
    finally:
        secret.write_text(right)
    assert failed.applied["state"] == "failed", failed
    assert "does not open the repository" in failed.text
    assert host.sh("sha256sum /etc/runbook/restic-password; ls -A /etc/runbook | wc -l") == f"{laid}1\n"
    assert "no errors were found" in restic(host, "check")
    assert desk.undo(failed).applied["state"] in {"applied", "nothing to do"}


def test_undo_takes_the_copies_out_again(host: Host, desk: Desk, done: Change, stamp: str) -> None:
    before = snapshot.take(host)
    undone = desk.undo(done)
    assert undone.applied["state"] == "applied", undone
    assert [row for row in snapshots(host) if stamp in row["tags"]] == []
    assert host.sh(f"ls /opt/pazpaz/backups | grep -c '{stamp[:8]}-{stamp[9:15]}' || true").strip() == "0"
    assert host.sh("ls -A /opt/pazpaz/backups/manifests").strip() == ""
    assert before.differences(snapshot.take(host), ignore=KEPT) == []
