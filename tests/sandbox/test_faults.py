"""Faults are really in after `break`, seen by docker, psql, openssl and curl directly, and really out after `mend`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sandbox.cli import main
from sandbox.faults import injection
from sandbox.faults.catalogue import FAULTS
from sandbox.lifecycle import execute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Host
    from sandbox.faults.fault import Fault

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]

STATE = Path(__file__).with_name("server_state.sh").read_text()
CURL = "curl -s -m 4 -o /dev/null -w '%{http_code}' "
TABLES = "docker exec pazpaz-db psql -qtAX -U pazpaz -d pazpaz -c "
EICAR = "printf '%s%s' 'X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR' '-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*'"
LOCKED_READ = "set statement_timeout = 500; select 1 from clients limit 1"

# fault -> a look at the server by other means, and what it shows with and without the fault
SEEN: dict[str, tuple[str, str, str]] = {
    "api-stopped": ("docker inspect -f '{{.State.Status}}' pazpaz-api", "exited", "running"),
    "db-paused": ("docker inspect -f '{{.State.Status}}' pazpaz-db", "paused", "running"),
    "unknown-container": ("docker ps -q | wc -l", "9", "8"),
    "table-dropped": (TABLES + "\"select to_regclass('clients') is null\"", "t", "f"),
    "table-locked": (TABLES + f"'{LOCKED_READ}' 2>&1 | tail -n 1", r".*(statement|lock) timeout.*", "1"),
    "database-read-only": (
        TABLES + "'create temp table t (); begin; create table practice (); rollback; select 1' 2>&1 | tail -n 1",
        ".*read-only transaction.*",
        "1",
    ),
    "certificate-expired": (CURL + 'https://pazpaz.test/; echo " $?"', r"000 \S+", "200 0"),
    "backup-disk-full": (
        "dd if=/dev/zero of=/opt/pazpaz/backups/probe bs=64k count=1 2>&1 | tail -n 1; rm -f /opt/pazpaz/backups/probe",
        "0 bytes.*",
        "65536 bytes.*",
    ),
    "backup-empty": ('cd /opt/pazpaz/backups && stat -c %s "$(ls -t *.dump | head -n 1)"', "0", r"[1-9]\d+"),
    "env-readable": (
        "su nobody -s /bin/sh -c 'head -c 1 /opt/pazpaz/.env.production' >/dev/null 2>&1; echo $?",
        "0",
        "1",
    ),
    "firewall-off": ("iptables -S | grep -c ufw-user-input", "0", r"[1-9]\d*"),
    "scanner-blind": (
        EICAR + " | docker exec -i pazpaz-clamav clamdscan --no-summary -",
        "stream: OK",
        "stream: .* FOUND",
    ),
}
SAMPLE = [name for name, fault in FAULTS.items() if fault.sample]


@pytest.fixture
def whole(host: Host) -> Iterator[Host]:
    """The server without faults, and without faults again afterwards."""
    injection.mend_all(host.name)
    yield host
    injection.mend_all(host.name)


def look(host: Host, script: str) -> str:
    """Return what a look at the server shows; it may fail, that is what it is for."""
    return host.sh(script, check=False).strip()


def state(host: Host) -> list[str]:
    """Return what the server is like, as lines that can be compared."""
    done = execute(host.name, ["bash", "-s"], stdin=STATE, timeout_s=60)
    assert done.ok, done.stderr
    return done.stdout.splitlines()


def differences(before: list[str], after: list[str]) -> list[str]:
    """Return what only one of them has: `-` was there before, `+` is there now."""
    return sorted(f"- {line}" for line in set(before) - set(after)) + sorted(
        f"+ {line}" for line in set(after) - set(before)
    )


def test_the_sample_is_what_can_be_seen_directly() -> None:
    assert set(SAMPLE) == set(SEEN)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_fault_is_seen_while_it_is_in_and_nothing_is_left_of_it_afterwards(whole: Host, name: str) -> None:
    script, broken, well = SEEN[name]
    before = state(whole)
    assert re.fullmatch(well, look(whole, script)), "the look does not show a whole server"
    injection.inject(whole.name, FAULTS[name])
    assert re.fullmatch(broken, look(whole, script))
    injection.mend(whole.name, FAULTS[name])
    assert re.fullmatch(well, look(whole, script))
    assert differences(before, state(whole)) == []


@pytest.mark.faults_full
@pytest.mark.parametrize("fault", [f for f in FAULTS.values() if not f.sample], ids=lambda fault: fault.name)
def test_every_other_fault_leaves_its_mark_and_nothing_after_mending(whole: Host, fault: Fault) -> None:
    before = state(whole)
    assert not injection.is_there(whole.name, fault)
    injection.inject(whole.name, fault)
    assert state(whole) != before or injection.is_there(whole.name, fault)
    injection.mend(whole.name, fault)
    assert not injection.is_there(whole.name, fault)
    assert differences(before, state(whole)) == []


def test_break_and_mend_from_the_command_line(whole: Host, run: Callable[..., tuple[int, str]]) -> None:
    assert run("break", "env-readable", "--name", whole.name)[0] == 0
    assert "* env-readable" in run("break", "--list", "--name", whole.name)[1]
    code, said = run("break", "env-readable", "--name", whole.name)
    assert code == 5
    assert "already" in said
    assert "env-readable out" in run("mend", "--name", whole.name)[1]
    assert "no fault was in" in run("mend", "--name", whole.name)[1]
    assert look(whole, "stat -c %a /opt/pazpaz/.env.production") == "600"


def test_a_blind_fault_is_not_told_until_it_is_out(whole: Host, run: Callable[..., tuple[int, str]]) -> None:
    code, said = run("break", "--blind", "--seed", "11", "--name", whole.name)
    assert code == 0, said
    (fault,) = injection.injected(whole.name)
    assert fault not in said
    assert FAULTS[fault].title not in said
    assert FAULTS[fault].symptom in said
    assert f"{fault} out" in run("mend", "--name", whole.name)[1]


def test_a_fault_that_cannot_be_put_in_is_undone(whole: Host) -> None:
    """A dump cannot be made of a database that is stopped, so the table cannot be dropped either."""
    injection.inject(whole.name, FAULTS["db-stopped"])
    with pytest.raises(injection.InjectionError, match="table-dropped could not be put into"):
        injection.inject(whole.name, FAULTS["table-dropped"])
    assert injection.injected(whole.name) == ["db-stopped"]
    injection.mend(whole.name, FAULTS["db-stopped"])


def test_faults_are_mended_newest_first(whole: Host) -> None:
    before = state(whole)
    for name in ("env-edited", "env-readable", "redis-read-only"):
        injection.inject(whole.name, FAULTS[name])
    assert injection.mend_all(whole.name) == ["redis-read-only", "env-readable", "env-edited"]
    assert differences(before, state(whole)) == []


def test_an_unknown_fault_is_refused_with_what_was_meant(run: Callable[..., tuple[int, str]]) -> None:
    code, said = run("break", "tabel-droped")
    assert code == 5
    assert "Did you mean table-dropped" in said
    assert "Traceback" not in said


def test_traffic_fills_the_logs_and_leaves_no_rows(whole: Host, run: Callable[..., tuple[int, str]]) -> None:
    before = [line for line in state(whole) if line.startswith(("rows", "object"))]
    since = look(whole, "date +%s")
    assert "traffic since" in run("traffic", "on", "--name", whole.name, "--rate", "15", "--minutes", "1")[1]
    served = (
        f"docker logs --since {since} pazpaz-nginx 2>&1 | grep invented-user | grep -c '/api/v1/clients[^\"]*\" 200'"
    )
    subprocess.run(["sleep", "6"], check=True)
    assert "no traffic" in run("traffic", "off", "--name", whole.name)[1]
    assert int(look(whole, served)) > 5
    assert [line for line in state(whole) if line.startswith(("rows", "object"))] == before


@pytest.fixture
def run() -> Callable[..., tuple[int, str]]:
    """Call the sandbox's commands as the launcher does; returns exit code and output."""

    def call(*argv: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, argv)
        return result.exit_code, result.output

    return call
