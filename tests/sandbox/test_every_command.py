"""Every command and sub-command that the help offers is started here as an operator starts it: none is broken unnoticed."""

from __future__ import annotations

import os
import re
import subprocess
import time
import urllib.request
from typing import TYPE_CHECKING

import click
import pytest
from cli import LAUNCHER, runbook

from runbook.cli import cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Host

pytestmark = pytest.mark.sandbox

QUICK = "04-health/quick"
# a command, the words behind it, and what it says where it works; R is a record of the quick check
STARTED: dict[str, tuple[tuple[str, ...], str]] = {
    "run": ((QUICK, "--target", "sandbox", "--json", "--no-html"), '"exit_code": '),
    "undo": (("R",), "changed nothing"),
    "resume": (("R",), "changed nothing"),
    "unlock": (("sandbox",), "no lock|free|not locked|nobody"),
    "notebooks": (("bad gateway",), QUICK),
    "records list": ((), QUICK),
    "records search": (("quick",), QUICK),
    "records show": (("R",), "exit code"),
    "records open": (("R",), r"\.html"),
    "records verify": ((), "are as they were written"),
    "records diff": ((), "."),
    "records note": (("R", "seen"), "."),
    "records trend": ((), "filesystems"),
    "records finalise": ((), ""),
    "params list": ((), "sandbox"),
    "params check": (("sandbox",), "sandbox"),
    "doctor": ((), "environment"),
    "demo": ((), "Done in"),
    "test": (("--help",), "--unit"),  # this test is a part of it
    "bench": (("-k", "help", "--turns", "1"), "runbook --help"),
    "sandbox up": ((), "running"),
    "sandbox down": (("nobody-made-this",), "There was no sandbox"),
    "sandbox reset": ((), "running"),
    "sandbox status": ((), "running"),
    "sandbox ssh": (("--", "uname", "-n"), "pazpaz"),
    "sandbox client": (("sandbox",), r"^\d+\.\d+\.\d+\.\d+"),
    "sandbox bucket": (("status",), "bucket"),
    "sandbox break": (("api-stopped",), "api"),
    "sandbox mend": (("api-stopped",), "."),
    "sandbox open": ((), "https://"),
    "sandbox traffic": (("status",), "."),
}
# why these end with another code than 0
CODES = {"undo": 4, "resume": 4}


def offered(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Return the names of all commands that the help offers."""
    if not isinstance(command, click.Group):
        yield " ".join(path)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from offered(found, (*path, name))


def test_no_command_is_left_out() -> None:
    assert set(offered(cli)) == {*STARTED, "lab"}


@pytest.fixture(scope="module")
def outputs(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two records of the quick check."""
    assert host.name
    folder = tmp_path_factory.mktemp("outputs")
    for _ in range(2):
        done = runbook("run", QUICK, "--target", "sandbox", "--wait-html", outputs=folder)
        assert done.returncode in {0, 1}, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("command", STARTED)
def test_it_starts_and_does_its_work(command: str, outputs: Path) -> None:
    words, says = STARTED[command]
    record = min(outputs.glob("*.ipynb")).stem
    given = [record if word == "R" else word for word in words]
    done = runbook(*command.split(), *given, outputs=outputs, BROWSER="true")
    said = done.stdout + done.stderr
    assert done.returncode in {CODES.get(command, 0), *([1] if command in {"demo", "run"} else [])}, said
    assert re.search(says, said, re.MULTILINE), said
    assert "Traceback" not in said


def test_the_lab_answers(outputs: Path) -> None:
    """It is ended as Ctrl-C would end it."""
    process = subprocess.Popen(
        [LAUNCHER, "lab", "--no-browser", "--port", "8899"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=os.environ | {"RUNBOOK_OUTPUTS": str(outputs)},
    )  # fmt: skip
    try:
        assert process.stderr is not None
        address = next(found[0] for line in process.stderr if (found := re.search(r"http://127\S+token=\S+", line)))
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 (an address of our own)
                    assert answer.status == 200
                    return
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.5)
    finally:
        process.terminate()
        process.communicate(timeout=30)
