"""Each of the four secrets: a new value everywhere, proven from outside, taken back, confirmed; and no value surfaces anywhere.

What is asserted is asked of PostgreSQL, Redis, Docker and the application directly.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import canaries
import pytest
import snapshot

from conftest import https
from runbook.facts.rotation import SECRETS
from sandbox.inside import execute
from sandbox.state import Sandbox

if TYPE_CHECKING:
    from changes import Change, Desk

    from conftest import Host
    from runbook.parameters import Parameters

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(1200)]
ROTATE = "10-maintenance/rotate-secrets"
VARIABLE = dict(
    zip(SECRETS, ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "SECRET_KEY", "ENCRYPTION_MASTER_KEY"), strict=True)
)
NOTE = "This note was written when the practice server was made."
KEYS = "select count(*), count(distinct split_part(medical_notes, '.', 2)) from clients where medical_notes is not null"
LOGIN = {
    "POSTGRES_PASSWORD": ("pazpaz-db", "PGPASSWORD", "psql -w -q -A -t -c 'select 1' 'host=db user=pazpaz dbname=pazpaz sslmode=require'"),
    "REDIS_PASSWORD": ("pazpaz-redis", "REDISCLI_AUTH", "redis-cli ping"),
}  # fmt: skip


def let_in(host: Host, variable: str, value: str) -> bool:
    """Log in to the service itself, over the network, with a password that only goes to standard input."""
    container, name, program = LOGIN[variable]
    script = f"IFS= read -r {name}; export {name}; exec {program}"
    done = execute(host.name, ["docker", "exec", "-i", container, "sh", "-c", script], stdin=f"{value}\n")
    said = done.stdout + done.stderr
    return done.stdout.strip() in {"1", "PONG"} and "AUTH failed" not in said and "authentication failed" not in said


def token(settings: Parameters) -> str:
    """Log in to the application as a user, with curl."""
    password = (Sandbox.named(settings.target.partition("@")[2]).folder / "synthetic_password").read_text().strip()
    body = json.dumps({"email": "synthetic@pazpaz.test", "password": password})
    done = https(settings, "/api/v1/auth/login", "-H", "Content-Type: application/json", "-d", body)
    return str(json.loads(done.stdout)["access_token"])


def status(settings: Parameters, bearer: str) -> str:
    """Return what the application answers to somebody with this token."""
    return https(
        settings, "/api/v1/me", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Bearer {bearer}"
    ).stdout


def old_note(settings: Parameters, bearer: str) -> str:
    """Return the note that was sealed when the server was made."""
    done = https(settings, "/api/v1/clients?limit=100", "-H", f"Authorization: Bearer {bearer}")
    found = json.loads(done.stdout)
    clients = found["items"] if isinstance(found, dict) else found
    canary = next(item for item in clients if item["name"] == "Synthetic Canary")
    one = https(settings, f"/api/v1/clients/{canary['id']}", "-H", f"Authorization: Bearer {bearer}")
    return str(json.loads(one.stdout)["medical_notes"])


def containers_with(host: Host, value: str) -> set[str]:
    """Return the containers whose environment holds a value, in any variable."""
    every = json.loads(host.sh("docker inspect $(docker ps --all --quiet)"))
    return {item["Name"].strip("/") for item in every if any(value in line for line in item["Config"]["Env"])}


def lines_changed(before: str, after: str) -> set[str]:
    return {line.partition("=")[0] for line in set(after.splitlines()) - set(before.splitlines())}


def check(host: Host, settings: Parameters, secret: str, values: dict[str, str], gone: dict[str, str]) -> None:
    """Assert that `values` are in use everywhere, those in `gone` nowhere, and that users are served."""
    variable = VARIABLE[secret]
    value, old = values[variable], gone[variable]
    assert value != old
    assert containers_with(host, value) >= {"pazpaz-api", "pazpaz-arq-worker"}
    assert containers_with(host, old) == set()
    if variable in LOGIN:
        assert let_in(host, variable, value)
        assert not let_in(host, variable, old)
    bearer = token(settings)
    assert status(settings, bearer) == "200"
    assert old_note(settings, bearer) == NOTE
    ready = json.loads(https(settings, "/api/v1/ready").stdout)
    assert set(ready["checks"].values()) == {"ok"}, ready


def applied(done: Change) -> None:
    assert (done.applied.get("state"), done.code in {0, 1}) == ("applied", True), done


def there_and_back(host: Host, desk: Desk, settings: Parameters, secret: str) -> None:
    """Dry run, rotate, look, take back, look."""
    before, values = snapshot.take(host), canaries.secrets_of(host)
    env = host.sh("cat /opt/pazpaz/.env.production")
    session = token(settings)
    dry = desk.dry_run(ROTATE, secret=secret)
    assert dry.applied["state"] == "dry run", dry
    assert before.differences(snapshot.take(host)) == [], "a dry run changes nothing"

    rows = host.sh(f'docker exec pazpaz-db psql -U pazpaz -A -t -c "{KEYS}"').strip()
    with canaries.Watch(host) as watch:
        confirmed = ("--apply", "--confirm", dry.plan["phrase"])
        done = desk.run("run", ROTATE, "--target", desk.target, "--no-html", "-p", "secret", secret, *confirmed)
        applied(done)
        changed = canaries.secrets_of(host)
        check(host, settings, secret, changed, values)
        assert status(settings, session) == ("401" if secret == "jwt-secret" else "200")
        if secret == "jwt-secret":
            rows_after = [
                row for e in done.events if e.kind == "verdict" and e.data["when"] == "after" for row in e.data["rows"]
            ]
            assert [row["value"] for row in rows_after if row["check"] == "rotation.session"] == ["refused"], (
                "seen by the run itself, too"
            )
        assert host.sh(f'docker exec pazpaz-db psql -U pazpaz -A -t -c "{KEYS}"').strip() == rows, (
            "all rows under one key"
        )
        lines = {VARIABLE[secret]} | {"database-password": {"DATABASE_URL"}, "redis-password": {"REDIS_URL"}}.get(
            secret, set()
        )
        assert lines_changed(env, host.sh("cat /opt/pazpaz/.env.production")) == lines

        undone = desk.undo(done)
        applied(undone)
    check(host, settings, secret, values, changed)
    assert status(settings, session) == "200"
    assert host.sh("cat /opt/pazpaz/.env.production") == env, "the same bytes"
    sealed = ("table clients",) if secret == "encryption-key" else ()  # sealed anew, with other nonces
    assert before.differences(snapshot.take(host), ignore=(*snapshot.UNDONE, *sealed)) == []
    kept = host.sh("find /var/lib/runbook -path '*/rotation/*' -printf '%f\\n'").split()
    assert set(kept) == {"rotation.py", "settings.json"}, "neither value stays"
    found = watch.hits(values | {f"new {name}": changed[name] for name in (VARIABLE[secret],)}, desk.outputs)
    assert found == [], "a value surfaced"
    desk.verify()


IN_CI = {"database-password", "encryption-key"}  # the other two are among the long proofs


@pytest.mark.parametrize(
    "secret", [name if name in IN_CI else pytest.param(name, marks=pytest.mark.matrix) for name in SECRETS]
)
def test_rotated_and_taken_back(host: Host, desk: Desk, settings: Parameters, secret: str) -> None:
    there_and_back(host, desk, settings, secret)


def test_confirmed_and_then_no_way_back(host: Host, desk: Desk, settings: Parameters) -> None:
    before = canaries.secrets_of(host)
    done = desk.apply(ROTATE, secret="redis-password")
    applied(done)
    refused = desk.dry_run(ROTATE, secret="redis-password")
    assert refused.code == 4, refused
    assert "has not been confirmed yet" in refused.text
    finished = desk.apply(ROTATE, secret="redis-password", action="finish")
    applied(finished)
    kept = host.sh("find /var/lib/runbook -path '*/rotation/*' -type f -exec cat {} +")
    assert before["REDIS_PASSWORD"] not in kept
    values = canaries.secrets_of(host)
    check(host, settings, "redis-password", values, before)
    desk.undo(done)  # fails at its first step: the value is gone
    assert desk.run("unlock", desk.target, "--yes").code == 0
    assert canaries.secrets_of(host) == values
    check(host, settings, "redis-password", values, before)
    told = [json.loads(line) for line in host.sh("cat /var/lib/runbook/rotations.jsonl").splitlines()]
    assert [row["state"] for row in told if row["run"] == done.run_id.partition("--")[0]] == [
        "begun",
        "rotated",
        "finished",
    ]
    assert {key for row in told for key in row} == {"secret", "state", "at", "run"}


def test_what_cannot_work_is_refused_before_anything_is_done(host: Host, desk: Desk) -> None:
    before = snapshot.take(host)
    for values in ({"secret": "root-password"}, {"secret": "jwt-secret", "action": "confirm"}):
        done = desk.dry_run(ROTATE, **values)
        assert (done.code, "must be one of" in done.text) == (4, True), done
    assert before.differences(snapshot.take(host)) == []
    try:
        host.sh("cp -a /opt/pazpaz/.env.production /run/kept; echo SECRET_KEY=another >> /opt/pazpaz/.env.production")
        done = desk.dry_run(ROTATE, secret="jwt-secret")
        assert (done.code, "SECRET_KEY is set 2 times" in done.text) == (4, True), done
    finally:
        host.sh("mv /run/kept /opt/pazpaz/.env.production")
    try:
        host.sh("mkdir -p /run/away; mv /opt/pazpaz/backups/*.dump* /run/away/")
        done = desk.dry_run(ROTATE, secret="encryption-key")
        assert (done.code, "there is no copy of the database younger than 26 hours" in " ".join(done.text.split())) == (
            4,
            True,
        ), done
    finally:
        host.sh("mv /run/away/* /opt/pazpaz/backups/")
    assert before.differences(snapshot.take(host)) == []


@pytest.mark.matrix
def test_a_queued_job_outlives_the_redis_password(host: Host, desk: Desk, settings: Parameters) -> None:
    bearer = ("-H", f"Authorization: Bearer {token(settings)}")
    host.sh("docker stop pazpaz-arq-worker")
    body = json.dumps({"kind": "echo", "payload": "queued before"})
    job = json.loads(
        https(settings, "/api/v1/jobs", *bearer, "-H", "Content-Type: application/json", "-d", body).stdout
    )["job_id"]
    assert json.loads(https(settings, f"/api/v1/jobs/{job}", *bearer).stdout)["status"] == "queued"
    applied(desk.apply(ROTATE, secret="redis-password"))
    host.sh("practice-ready 60")
    found = json.loads(https(settings, f"/api/v1/jobs/{job}", *bearer).stdout)
    assert (found["status"], found["result"]) == ("complete", "queued before")
    applied(desk.apply(ROTATE, secret="redis-password", action="finish"))


@pytest.mark.matrix
def test_the_old_key_stays_until_a_backup_under_the_new_one(host: Host, desk: Desk, settings: Parameters) -> None:
    before = canaries.secrets_of(host)
    applied(desk.apply(ROTATE, secret="encryption-key"))
    early = desk.dry_run(ROTATE, secret="encryption-key", action="finish")
    assert (early.code, "made since the rotation" in " ".join(early.text.split())) == (4, True), early
    host.sh("sleep 1.1; systemctl start pazpaz-backup.service")
    applied(desk.apply(ROTATE, secret="encryption-key", action="finish"))
    check(host, settings, "encryption-key", canaries.secrets_of(host), before)
    assert before["ENCRYPTION_MASTER_KEY"] not in host.sh("find /var/lib/runbook -type f -exec cat {} +")


@pytest.mark.matrix
@pytest.mark.parametrize("secret", SECRETS)
def test_the_plan_as_shell_text_does_the_same(host: Host, desk: Desk, settings: Parameters, secret: str) -> None:
    before = canaries.secrets_of(host)
    text = desk.run("run", ROTATE, "--target", desk.target, "--instructions", "-p", "secret", secret)
    assert text.code == 0, text
    script = text.text[text.text.index("# Give ") :]
    with canaries.Watch(host) as watch:
        done = execute(host.name, ["bash", "-s"], stdin=script)
        assert "steps are done" in done.stdout, done
    after = canaries.secrets_of(host)
    check(host, settings, secret, after, before)
    assert not [value for value in (*before.values(), *after.values()) if value in script + done.stdout + done.stderr]
    assert watch.hits(before | {"new": after[VARIABLE[secret]]}, desk.outputs) == []
    if secret == "encryption-key":
        host.sh("sleep 1.1; systemctl start pazpaz-backup.service")
    applied(desk.apply(ROTATE, secret=secret, action="finish"))


@pytest.mark.matrix
def test_rows_half_under_the_new_key_are_brought_to_one_key(host: Host, desk: Desk, settings: Parameters) -> None:
    """The re-encryption fails in the middle: the run takes itself back, and every row opens again."""
    before = canaries.secrets_of(host)
    slow = "create function public.slow() returns trigger language plpgsql as 'begin if random() < 0.002 then raise exception ''no''; end if; return new; end'"
    host.sh(
        f'docker exec pazpaz-db psql -U pazpaz -q -c "{slow}" -c "create trigger slow before update on clients for each row execute function public.slow()"'
    )
    try:
        running = desk.start_apply(ROTATE, secret="encryption-key")
        assert running.until(lambda found: any(e.kind == "step.end" and e.data["name"] == "reencrypt" for e in found))
    finally:
        host.sh(
            'docker exec pazpaz-db psql -U pazpaz -q -c "drop trigger slow on clients" -c "drop function public.slow()"'
        )
    done = running.wait()
    assert done.applied["state"] == "rolled back", done
    assert canaries.secrets_of(host) == before
    assert host.sh(f'docker exec pazpaz-db psql -U pazpaz -A -t -c "{KEYS}"').strip().endswith("|1")
    assert old_note(settings, token(settings)) == NOTE


@pytest.mark.matrix
def test_a_resumed_run_that_goes_wrong_takes_its_forerunner_back_too(
    host: Host, desk: Desk, settings: Parameters
) -> None:
    """Killed when every row is under the new key; then something else breaks while it is gone on with."""
    before = canaries.secrets_of(host)
    running = desk.start_apply(ROTATE, secret="encryption-key")
    assert running.until_step(5)
    running.kill()
    phrase = desk.run("resume", running.run_id, "--no-html").plan["phrase"]
    again = desk.start("resume", running.run_id, "--no-html", "--apply", "--confirm", phrase)
    assert again.until_step(2)
    host.sh("docker stop pazpaz-frontend")
    done = again.wait()
    assert done.applied["state"] == "rolled back", done
    assert "undo-reencrypt-back" in {name for _, name, _ in done.steps}
    host.sh("docker start pazpaz-frontend; practice-ready 120")
    values = canaries.secrets_of(host)
    assert values == before
    check(host, settings, "encryption-key", values, {VARIABLE["encryption-key"]: "a value that nobody has"})
