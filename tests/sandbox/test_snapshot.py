"""The snapshot of a server: the same while nothing is changed, however often it is looked at; and every change is seen."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

import pytest
import snapshot
from cli import run_notebook

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]


def sql(*queries: str) -> str:
    """Return the shell command for queries."""
    asked = " ".join(f"-c {shlex.quote(query)}" for query in queries)
    return f"docker exec pazpaz-db psql -qX -v ON_ERROR_STOP=1 -U pazpaz -d pazpaz {asked}"


ONE = "where id = (select min(id::text)::uuid from clients)"
CHANGES = {  # what is done, what takes it back, the line that tells of it
    "a file's contents": (
        "sed -i '1i # one line more' /opt/pazpaz/nginx/nginx-ssl.conf",
        "sed -i 1d /opt/pazpaz/nginx/nginx-ssl.conf",
        "file /opt/pazpaz/nginx/nginx-ssl.conf: ",
    ),
    "a file's rights": (
        "chmod 0644 /opt/pazpaz/.env.production",
        "chmod 0600 /opt/pazpaz/.env.production",
        "file /opt/pazpaz/.env.production: 100600 became 100644",
    ),
    "a backup": (
        "dump=$(ls backups/*.dump | head -1); mv $dump $dump.kept",
        "kept=$(ls backups/*.kept); mv $kept ${kept%.kept}",
        "file /opt/pazpaz/backups/pazpaz-",
    ),
    "a container stopped": (
        "docker stop -t 1 pazpaz-arq-worker",
        "docker start pazpaz-arq-worker",
        "container pazpaz-arq-worker: running became exited",
    ),
    "a container restarted": ("docker restart -t 1 pazpaz-frontend", "true", "started pazpaz-frontend: "),
    "an image": (
        "docker tag localhost:5000/redis:8 localhost:5000/redis:other",
        "docker rmi localhost:5000/redis:other",
        "image localhost:5000/redis:other: is new",
    ),
    "a volume": ("docker volume create left-over", "docker volume rm left-over", "volume left-over: is new (is there)"),
    "a row": (
        sql(f"update clients set phone = '0' || phone {ONE}"),  # noqa: S608  # fixed texts
        sql(f"update clients set phone = substr(phone, 2) {ONE}"),  # noqa: S608  # as above
        "table clients: ",
    ),
    "the role's password": (
        sql(
            "create table kept as select rolpassword from pg_authid where rolname = 'pazpaz'",
            "alter role pazpaz password 'another'",
        ),
        sql(
            "do $$ begin execute format('alter role pazpaz password %L', (table kept)); end $$",
            "drop table kept",
        ),
        "database role pazpaz: ",
    ),
    "a database": (
        "docker exec pazpaz-db createdb -U pazpaz scratch",
        "docker exec pazpaz-db dropdb -U pazpaz scratch",
        "database database scratch: is new (true)",
    ),
    "a table's structure": (
        sql("create index passing on clients (email)"),
        sql("drop index passing"),
        "database structure: ",
    ),
    "a rule of the firewall": (
        "iptables -I INPUT -p tcp --dport 4711 -j ACCEPT",
        "iptables -D INPUT -p tcp --dport 4711 -j ACCEPT",
        "firewall ipv4 filter -A INPUT -p tcp -m tcp --dport 4711 -j ACCEPT: is new (1 times)",
    ),
    "the order of rules": (
        "iptables -D INPUT -j ufw-track-input; iptables -I INPUT -j ufw-track-input",
        "iptables -D INPUT -j ufw-track-input; iptables -A INPUT -j ufw-track-input",
        "firewall ipv4 order: ",
    ),
    "a key in the cache": (
        "docker exec pazpaz-redis sh -c 'REDISCLI_AUTH=$REDIS_PASSWORD redis-cli set left over'",
        "docker exec pazpaz-redis sh -c 'REDISCLI_AUTH=$REDIS_PASSWORD redis-cli del left'",
        "cache left: is new (is there)",
    ),
    "a timer": ("systemctl stop certbot.timer", "systemctl start certbot.timer", "system unit certbot.timer: is gone"),
}


def test_it_is_the_same_while_nothing_is_changed(host: Host, tmp_path: Path) -> None:
    """Not even a walk through the application and its jobs (log in, write, upload, remove) moves it."""
    before = snapshot.take(host)
    begun = time.monotonic()
    again = snapshot.take(host)
    seconds = time.monotonic() - begun
    assert before.differences(again) == []
    assert before.topic("unknown") == {}
    code, _ = run_notebook("04-health/detailed", tmp_path)
    assert code in {0, 1}
    after = snapshot.take(host)
    assert before.differences(after) == []
    assert before.hash == after.hash
    assert len(before.topic("file")) > 500
    assert len(before.topic("object")) > 40
    assert int(before.topic("table")["appointments"].split()[0]) > 1000
    assert seconds < 4, f"a snapshot took {seconds:.1f} s"


def test_every_change_is_seen_and_so_is_its_end(host: Host) -> None:
    before = snapshot.take(host)
    host.sh("set -e; cd /opt/pazpaz;" + ";".join(do for do, _, _ in CHANGES.values()))
    seen = before.differences(snapshot.take(host))
    for what, (_, _, told) in CHANGES.items():
        assert [line for line in seen if line.startswith(told)], f"{what} is not among {seen}"
    host.sh("set -e; cd /opt/pazpaz;" + ";".join(undo for _, undo, _ in CHANGES.values()))
    assert before.differences(snapshot.take(host), ignore=("started",)) == []
