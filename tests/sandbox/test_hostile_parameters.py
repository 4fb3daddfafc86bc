"""Parameters of notebooks that try to be code: they stay values, on the way to the server and on it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from changes import Desk
from cli import runbook

from runbook.errors import EXIT_FAILED, EXIT_REFUSED
from runbook.verdict import State

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

    from changes import Warm

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]
MARK = "/var/tmp/pwned-by-parameter"  # noqa: S108 (a place that anybody could write to is the point)
# each run costs seconds, so the values are put together; tests/unit tries each by itself and many more
HOSTILE = [
    f"api ; touch {MARK} ; $(touch {MARK}) `touch {MARK}` ' ; touch {MARK} ; ' \" ; touch {MARK} ; \" | touch {MARK}",
    f"--help\ntouch {MARK}\n☃ ünï  code",
    f"$(touch {MARK})",
]

NO_ANSWER = {State.UNKNOWN.value, EXIT_REFUSED, EXIT_FAILED}
WRITING = (
    "select 1; delete from clients",
    "set transaction read write; delete from clients",
    "begin; set session characteristics as transaction read write; commit; delete from clients",
    r"\! touch " + MARK,
    "select 1 \\; drop table clients",
    f"copy (select 1) to program 'touch {MARK}'",
    "select pg_terminate_backend(pid) from pg_stat_activity",
    "select lo_import('/etc/passwd')",
)


@pytest.mark.parametrize(
    ("name", "parameter"),
    [("02-services/logs", "service"), ("02-services/logs", "since"), ("06-database/query", "query")],
)
def test_hostile_values_never_become_code(host: Host, tmp_path: Path, name: str, parameter: str) -> None:
    def run(value: str) -> CompletedProcess[str]:
        return runbook("run", name, "--target", "sandbox", "--no-html", "-p", parameter, value, outputs=tmp_path)

    with ThreadPoolExecutor(len(HOSTILE)) as all_at_once:
        for done in all_at_once.map(run, HOSTILE):
            assert "Traceback" not in done.stdout + done.stderr
            assert done.returncode in {0, 1, 2, 3, 4, 5}
    assert host.sh(f"ls {MARK} 2>/dev/null || echo absent").strip() == "absent"
    assert host.sh(f"docker exec pazpaz-db ls {MARK} 2>/dev/null || echo absent").strip() == "absent"


def test_a_parameter_of_100_kb_is_refused_at_once(host: Host, tmp_path: Path) -> None:
    assert host
    done = runbook("run", "02-services/logs", "--target", "sandbox", "-p", "service", "x" * 100_000, outputs=tmp_path)
    assert done.returncode == 4
    assert "characters long" in done.stdout + done.stderr
    assert len(done.stdout + done.stderr) < 2000


def test_sql_cannot_write_and_cannot_leave_its_session(host: Host, tmp_path: Path, warm: Warm) -> None:
    before = host.sh("docker exec pazpaz-db psql -U pazpaz -d pazpaz -tAc 'select count(*) from clients'").strip()
    for group in (WRITING[::2], WRITING[1::2]):
        running = []
        for sql in group:
            desk = Desk(tmp_path / str(WRITING.index(sql)), f"sandbox@{host.name}", warm=warm)
            desk.outputs.mkdir()
            words = ("run", "06-database/query", "--target", desk.target, "--no-html", "-p", "query", sql)
            running.append(desk.start(*words))
        for sql, run in zip(group, running, strict=True):
            done = run.wait()
            assert "Traceback" not in done.text, done
            assert done.code in NO_ANSWER, f"{sql} was answered: {done}"
    after = host.sh("docker exec pazpaz-db psql -U pazpaz -d pazpaz -tAc 'select count(*) from clients'").strip()
    assert after == before
    assert host.sh(f"docker exec pazpaz-db ls {MARK} 2>/dev/null || echo absent").strip() == "absent"
