"""One confirmation, bound to target and plan, however a notebook is run: typed in a notebook, typed in a terminal, or given.

The danger is a new JWT secret: quick, and seen from outside by the secret's hash on the server.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pexpect
import pytest
from changes import Desk
from jupyter_client.manager import KernelManager

from runbook import notebook
from runbook.parameters import project_root

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]
ROTATE = "10-maintenance/rotate-secrets"
RESTORE = "06-database/restore"
VALUES = {"secret": "jwt-secret"}
WORDS = ["-p", "secret", "jwt-secret"]


@pytest.fixture
def desk(tmp_path: Path, host: Host) -> Desk:
    return Desk(tmp_path, f"sandbox@{host.name}")


def secret(host: Host) -> str:
    return host.sh("grep ^SECRET_KEY= /opt/pazpaz/.env.production | sha256sum")


def locked(host: Host) -> bool:
    return bool(host.sh("cat /var/lib/runbook/lock 2>/dev/null || true"))


def test_without_the_phrase_nothing_happens(host: Host, desk: Desk) -> None:
    before = secret(host)
    done = desk.run("run", ROTATE, "-t", desk.target, "--no-html", "--apply", *WORDS)
    assert done.code == 4, done
    assert done.plan["phrase"] in done.text, "the refusal says how to confirm"
    assert secret(host) == before
    assert not locked(host)


@pytest.mark.parametrize(
    "phrase",
    [
        lambda plan: plan["phrase"].replace("sandbox@", "other@"),
        lambda plan: f"{plan['target']} 00000000",
    ],
    ids=["another target", "another plan"],
)
def test_another_phrase_is_refused(host: Host, desk: Desk, phrase: Callable[[dict[str, str]], str]) -> None:
    before = secret(host)
    plan = desk.dry_run(ROTATE, **VALUES).plan
    done = desk.run("run", ROTATE, "-t", desk.target, "--no-html", "--apply", "--confirm", phrase(plan), *WORDS)
    assert done.code == 4, done
    assert secret(host) == before
    assert not locked(host)


def test_a_phrase_is_worth_nothing_when_the_server_has_changed_since(host: Host, desk: Desk) -> None:
    """A restore of the newest backup was confirmed; meanwhile there is a newer one."""
    plan = desk.dry_run(RESTORE).plan
    host.sh("systemctl start pazpaz-backup.service")
    before = host.sh("docker exec pazpaz-db psql -U pazpaz -Atc 'select oid, datname from pg_database order by 1'")
    done = desk.run("run", RESTORE, "-t", desk.target, "--no-html", "--apply", "--confirm", plan["phrase"])
    assert done.code == 4, done
    assert "confirms another plan" in done.text
    assert (
        host.sh("docker exec pazpaz-db psql -U pazpaz -Atc 'select oid, datname from pg_database order by 1'") == before
    )
    assert not locked(host)


def test_typed_in_a_notebook(host: Host, desk: Desk) -> None:
    """A kernel of its own with a person at it, as JupyterLab has: each cell is sent, and the question is answered."""
    before = secret(host)
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=os.environ | {"RUNBOOK_OUTPUTS": str(desk.outputs)})
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    asked: list[str] = []

    def answer(message: dict[str, dict[str, str]]) -> None:
        question = message["content"]["prompt"]
        asked.append(question)
        client.input(question.split("Type '")[1].split("'")[0])

    try:
        for cell in notebook.find(ROTATE).content["cells"]:
            if cell["cell_type"] != "code":
                continue
            source = notebook.source_of(cell)
            if cell["id"] == "parameters":
                source += f'\ntarget, secret, apply = "{desk.target}", "jwt-secret", True'
            reply = client.execute_interactive(
                source, allow_stdin=True, stdin_hook=answer, output_hook=lambda _m: None, timeout=300
            )
            assert reply["content"]["status"] == "ok", (cell["id"], reply["content"])
    finally:
        client.stop_channels()
        manager.shutdown_kernel()
    assert len(asked) == 1
    assert desk.target in asked[0]
    assert secret(host) != before
    assert not locked(host)
    record = max(desk.outputs.glob("*.ipynb")).stem
    undone = desk.undo(record)
    assert undone.applied["state"] == "applied", undone
    assert secret(host) == before


@pytest.mark.parametrize(("typed", "code"), [("phrase", 0), ("no", 4)])
def test_typed_in_a_terminal(host: Host, desk: Desk, typed: str, code: int) -> None:
    before = secret(host)
    words = ["run", ROTATE, "-t", desk.target, "--no-html", "--apply", *WORDS]
    terminal = pexpect.spawn(str(project_root() / "runbook"), words, env=os.environ | {"RUNBOOK_OUTPUTS": str(desk.outputs)}, timeout=300, encoding="utf-8", dimensions=(50, 200))  # fmt: skip
    terminal.expect(r"Type '([^']+)' to carry it out")
    assert isinstance(terminal.match, re.Match)
    phrase = terminal.match.group(1)
    terminal.sendline(phrase if typed == "phrase" else "no")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus in ({0, 1} if code == 0 else {code})
    assert (secret(host) != before) == (code == 0)
    if code == 0:
        desk.undo(max(desk.outputs.glob("*.ipynb")).stem)
        assert secret(host) == before


def test_given_to_plain_papermill(host: Host, desk: Desk, tmp_path: Path) -> None:
    before = secret(host)
    phrase = desk.dry_run(ROTATE, **VALUES).plan["phrase"]
    source = project_root() / "notebooks" / f"{ROTATE}.ipynb"
    (tmp_path / "papermill").mkdir()

    def papermill(confirm: str) -> int:
        words = ["-p", "target", desk.target, *WORDS, "-p", "apply", "True", "-p", "confirm", confirm]
        argv = [sys.executable, "-m", "papermill", str(source), str(tmp_path / "papermill" / "out.ipynb"), *words]
        return subprocess.run(
            argv, env=os.environ | {"RUNBOOK_OUTPUTS": str(desk.outputs)}, capture_output=True, check=False
        ).returncode

    assert papermill("sandbox 12345678") != 0
    assert secret(host) == before
    assert papermill(phrase) == 0
    assert secret(host) != before
    desk.undo(max(desk.outputs.glob("*.ipynb")).stem)
    assert secret(host) == before
