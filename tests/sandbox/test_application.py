"""The practice application keeps its contract: what the notebooks rely on, asked from outside over TLS."""

from __future__ import annotations

import shlex
import ssl
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from sandbox.state import Sandbox, read_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(180)]

EICAR = (
    rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
)  # in two, for scanners of this tree
SYNTHETIC = "synthetic@pazpaz.test"


class User:
    """Someone who asks the application; nobody until logged in."""

    def __init__(self, host: Host) -> None:
        sandbox = Sandbox.named(host.name)
        ports = read_ports(sandbox)
        assert ports is not None
        self.password = (sandbox.folder / "synthetic_password").read_text().strip()
        self.client = httpx.Client(
            base_url=f"https://127.0.0.1:{ports['https']}/api/v1",
            verify=ssl.create_default_context(cafile=sandbox.folder / "ca.crt"),
            headers={"Host": "pazpaz.test"},
            timeout=20,
        )

    def ask(self, method: str, path: str, **options: object) -> httpx.Response:
        return self.client.request(method, path, extensions={"sni_hostname": "pazpaz.test"}, **options)  # type: ignore[arg-type]  # httpx's own keywords

    def log_in(self, email: str, password: str) -> httpx.Response:
        answer = self.ask("POST", "/auth/login", json={"email": email, "password": password})
        if answer.status_code == httpx.codes.OK:
            self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return answer


@pytest.fixture
def stranger(host: Host) -> Iterator[User]:
    user = User(host)
    yield user
    user.client.close()


@pytest.fixture
def synthetic(host: Host) -> Iterator[User]:
    user = User(host)
    assert user.log_in(SYNTHETIC, user.password).json()["token_type"] == "bearer"
    yield user
    user.client.close()


def sql(host: Host, query: str, **values: str) -> str:
    """Ask the database itself; `:'name'` in the query stands for a value."""
    named = " ".join(f"-v {name}={shlex.quote(value)}" for name, value in values.items())
    return str(
        host.sh(f"docker exec -i pazpaz-db psql -qtAX -U pazpaz -d pazpaz {named} <<< {shlex.quote(query)}")
    ).strip()


def test_health_readiness_and_version_need_no_login(stranger: User) -> None:
    assert stranger.ask("GET", "/health").json() == {"status": "ok", "version": "v1"}
    ready = stranger.ask("GET", "/ready").json()
    assert ready["status"] == "ok"
    assert set(ready["checks"]) == {"database", "redis", "storage", "clamav", "worker"}
    version = stranger.ask("GET", "/version").json()
    assert (version["version"], version["revision"]) == ("1.0.0", "0003")


@pytest.mark.parametrize("path", ["/me", "/clients", "/appointments", "/attachments", "/jobs/x"])
def test_nothing_is_told_to_strangers(stranger: User, path: str) -> None:
    assert stranger.ask("GET", path).status_code == 401
    stranger.client.headers["Authorization"] = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0."
    assert stranger.ask("GET", path).status_code == 401


def test_a_wrong_password_is_refused_and_ten_are_enough(host: Host, stranger: User) -> None:
    codes = [stranger.log_in("nobody@pazpaz.test", "wrong").status_code for _ in range(11)]
    host.sh(
        "docker exec pazpaz-redis sh -c 'REDISCLI_AUTH=$REDIS_PASSWORD redis-cli del login-failures:nobody@pazpaz.test'"
    )
    assert codes == [401] * 10 + [429]


def test_a_note_is_sealed_in_the_database_and_opens_for_its_owner(host: Host, synthetic: User) -> None:
    made = synthetic.ask("POST", "/clients", json={"name": "Test", "medical_notes": "a very private note"}).json()
    stored = sql(host, "select medical_notes from clients where id = :'id'", id=made["id"])
    assert stored.startswith("v1.")
    assert "private" not in stored
    changed = synthetic.ask("PATCH", f"/clients/{made['id']}", json={"medical_notes": "another"}).json()
    assert changed["medical_notes"] == "another"
    assert synthetic.ask("GET", f"/clients/{made['id']}").json()["medical_notes"] == "another"
    assert synthetic.ask("DELETE", f"/clients/{made['id']}").status_code == 204
    assert sql(host, "select count(*) from clients where id = :'id'", id=made["id"]) == "0"


def test_the_synthetic_user_sees_and_removes_only_its_own(host: Host, synthetic: User) -> None:
    other = sql(host, "select id from clients where name like 'Noa%' limit 1")
    for method in ("GET", "PATCH", "DELETE"):
        assert (
            synthetic.ask(method, f"/clients/{other}", **({"json": {}} if method == "PATCH" else {})).status_code == 404
        )
    assert [client["name"] for client in synthetic.ask("GET", "/clients").json()] == ["Synthetic Canary"]
    foreign = sql(host, "select id from attachments where object_key = 'seed/0001.txt'")
    assert synthetic.ask("GET", f"/attachments/{foreign}").status_code == 404
    assert synthetic.ask("DELETE", f"/attachments/{foreign}").status_code == 404


def test_what_was_there_from_the_start_can_still_be_read(synthetic: User) -> None:
    (client,) = synthetic.ask("GET", "/clients").json()
    assert "practice server was made" in synthetic.ask("GET", f"/clients/{client['id']}").json()["medical_notes"]
    (file,) = synthetic.ask("GET", "/attachments").json()
    assert synthetic.ask("GET", f"/attachments/{file['id']}").text.startswith("Invented document 0040\n")


def test_a_clean_file_is_kept_and_the_test_virus_is_not(host: Host, synthetic: User) -> None:
    content = b"harmless " * 1000
    answer = synthetic.ask("POST", "/attachments", files={"file": ("../odd name;.txt", content)})
    assert answer.status_code == 201
    made = answer.json()
    assert made["size"] == len(content)
    assert ".." not in made["object_key"]
    assert synthetic.ask("GET", f"/attachments/{made['id']}").content == content
    assert synthetic.ask("DELETE", f"/attachments/{made['id']}").status_code == 204
    refused = synthetic.ask("POST", "/attachments", files={"file": ("virus.txt", EICAR)})
    assert refused.status_code == 422
    assert refused.json()["detail"]["scan"].endswith("FOUND")
    assert sql(host, "select count(*) from attachments where file_name = 'virus.txt'") == "0"


def test_a_job_is_done_by_the_worker(synthetic: User) -> None:
    job = synthetic.ask("POST", "/jobs", json={"kind": "echo", "payload": {"a": [1]}}).json()["job_id"]
    answer: dict[str, object] = {"status": "queued"}
    deadline = time.monotonic() + 15
    while answer["status"] != "complete" and time.monotonic() < deadline:
        time.sleep(0.2)
        answer = synthetic.ask("GET", f"/jobs/{job}").json()
    assert (answer["status"], answer["result"]) == ("complete", {"a": [1]})
    assert synthetic.ask("GET", "/jobs/nothing").json()["status"] == "not_found"


def test_the_big_table_is_big(host: Host) -> None:
    assert int(sql(host, "select count(*) from appointments")) >= 100_000


def test_notes_move_to_another_key_even_when_killed_in_the_middle(host: Host) -> None:
    """A lock on the last row holds the first run up until it is killed; the second one meets rows under both keys."""
    run = (
        "docker exec -e ENCRYPTION_MASTER_KEY_OLD={old} -e ENCRYPTION_MASTER_KEY={new} pazpaz-api"
        " timeout -s KILL {seconds} python -m pazpaz.reencrypt"
    )
    lock = "begin; select id from clients order by id desc limit 1 for update; select pg_sleep(9)"
    count = "select count(*) from clients where split_part(medical_notes, '.', 2) = :'key'"
    now = host.sh("sed -n 's/^ENCRYPTION_MASTER_KEY=//p' /opt/pazpaz/.env.production").strip()
    new = "another-key-for-this-test"
    key_id = sql(host, "select distinct split_part(medical_notes, '.', 2) from clients where medical_notes is not null")
    total = int(sql(host, count, key=key_id))
    try:
        held = f"docker exec pazpaz-db psql -q -U pazpaz -d pazpaz -c {shlex.quote(lock)} >/dev/null & sleep 1; "
        host.sh(held + run.format(old=now, new=new, seconds=6) + "; wait; true")
        assert 0 < int(sql(host, count, key=key_id)) < total
        host.sh(run.format(old=now, new=new, seconds=60))
        assert sql(host, count, key=key_id) == "0"
    finally:
        host.sh(run.format(old=new, new=now, seconds=60))
    assert int(sql(host, count, key=key_id)) == total


def test_internal_certificates_can_be_made_anew(host: Host, stranger: User) -> None:
    """The server's own scripts and the restarts that go with them; the files from before are put back afterwards."""
    keep = "cp -a /opt/pazpaz/backend/certs /root/certs-before"
    back = "cp -a /root/certs-before/. /opt/pazpaz/backend/certs/ && rm -rf /root/certs-before /opt/pazpaz/backend/certs/{,minio/}*.old"
    host.sh(keep)
    try:
        for script, services in (("regenerate-ssl-certs-v2.sh", "db"), ("generate-minio-certs.sh", "minio")):
            assert "notAfter=" in host.sh(f"/opt/pazpaz/scripts/production/{script}")
            host.sh(f"docker restart -t 10 pazpaz-{services} && docker restart -t 5 pazpaz-api pazpaz-arq-worker")
            wait_until_ready(stranger)
        modes = host.sh("cd /opt/pazpaz/backend/certs && stat -c '%a %U %n' *.key minio/*.key").split("\n")
        assert all(line.startswith("600 root ") for line in modes if line)
    finally:
        host.sh(back)
        host.sh("docker restart -t 10 pazpaz-db pazpaz-minio && docker restart -t 5 pazpaz-api pazpaz-arq-worker")
    wait_until_ready(stranger)


def wait_until_ready(user: User) -> None:
    """Wait until everything behind the application answers, at most a minute."""
    deadline = time.monotonic() + 60
    while (answer := user.ask("GET", "/ready")).status_code != httpx.codes.OK:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.5)
