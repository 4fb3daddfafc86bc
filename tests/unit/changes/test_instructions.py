"""A plan as shell text: read by bash, it runs exactly the commands of the plan."""

from __future__ import annotations

import datetime as dt
import getpass
import json
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.changes import lock
from runbook.changes.instructions import shell_text, text_of
from runbook.changes.plan import Plan, Step
from runbook.commands import Command
from runbook.facts import STATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# a carriage return is kept, too, but reading text here would turn it into a new line
WORDS = st.lists(st.text(st.characters(exclude_characters="\0\r", codec="utf-8"), max_size=12), max_size=8)
SHOW = "import json, sys; print(json.dumps(sys.argv[1:]))"


def bash(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash"], input=text, capture_output=True, text=True, check=False)


def here(folder: Path, text: str) -> str:
    """Return a plan's text for this machine: its lock lies in a folder, and nobody else's rights are needed for that."""
    return f'sudo() {{ "$@"; }}\n{text.replace(STATE_FOLDER, str(folder / "state"))}'


def paste(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Paste a plan's text into a shell of this machine."""
    return bash(here(folder, text))


def plan(*steps: Step) -> Plan:
    return Plan("Do it", "sandbox", "20261124T110500Z", steps=steps, losses=("nothing",))


def change(name: str, *argv: str, **options: object) -> Step:
    return Step(name, Command(argv, changes=True), no_undo="none", **options)  # type: ignore[arg-type]  # the dataclass checks the names


@settings(max_examples=8)
@given(WORDS)
def test_bash_reads_back_every_argument(words: list[str]) -> None:
    done = bash(text_of(Command(("python3", "-S", "-c", SHOW, *words))))
    assert json.loads(done.stdout) == words


@settings(max_examples=8)
@given(WORDS)
def test_a_script_of_several_lines_gets_its_arguments_and_an_empty_input(words: list[str]) -> None:
    script = 'set -eu\nwhile [ $# -gt 0 ]; do printf "%s\\0" "$1"; shift; done\ncat'
    done = bash(text_of(Command(("bash", "-c", script, "name", *words))) + "\necho after")
    assert done.stdout == "".join(f"{word}\0" for word in words) + "after\n"


def test_quotes_and_dollars_of_a_script_are_kept() -> None:
    script = 'set -eu\nx=\'a "b"\'\nprintf \'%s|%s|%s\' "$x" "$1" "$(echo `echo deep`)"\n# it\'s'
    assert bash(text_of(Command(("bash", "-c", script, "name", "$HOME")))).stdout == 'a "b"|$HOME|deep'


def test_all_steps_run_in_order_and_the_first_failure_ends_it(tmp_path: Path) -> None:
    marks = [tmp_path / name for name in ("one", "two", "three")]
    steps = [change("a", "touch", str(marks[0])), change("b", "false"), change("c", "touch", str(marks[2]))]
    done = paste(tmp_path, shell_text(plan(*steps)) + "\necho still here")
    assert [mark.exists() for mark in marks] == [True, False, False]
    assert "all 3 steps are done" not in done.stdout
    assert done.stdout.endswith("still here\n"), "the operator's shell goes on"


def test_a_step_that_is_done_is_left_out_and_other_exit_codes_are_accepted(tmp_path: Path) -> None:
    mark = tmp_path / "one"
    skipped = change("a", "touch", str(mark), done=Command(("true",)))
    accepted = Step("b", Command(("bash", "-c", "exit 3"), changes=True, expect={0: "ok", 3: "fine"}), no_undo="none")
    done = paste(tmp_path, shell_text(plan(skipped, accepted)))
    assert not mark.exists()
    assert "all 2 steps are done" in done.stdout


def test_a_wait_asks_again_until_it_is_so(tmp_path: Path) -> None:
    log = tmp_path / "log"
    probe = Command(("bash", "-c", 'echo x >> "$0"; [ "$(wc -l < "$0")" -ge 2 ]', str(log)))
    done = bash(shell_text(plan(Step("wait", probe, within_seconds=5))))
    assert log.read_text() == "x\nx\n"
    assert "all 1 steps are done" in done.stdout


def test_the_undo_stands_there_as_comments(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    undo = Step("remove", Command(("rm", str(mark)), changes=True, why="take it away"))
    step = Step("make", Command(("touch", str(mark)), changes=True), undo=(undo,))
    text = shell_text(plan(step))
    paste(tmp_path, text)
    assert mark.exists()
    back = paste(tmp_path, "\n".join(line[3:] for line in text.splitlines() if line.startswith("#| ")))
    assert not mark.exists()
    assert back.stdout == "it is taken back\n"
    assert not (tmp_path / "state" / "lock").exists()


def test_it_holds_the_lock_as_a_run_does_and_gives_it_back(tmp_path: Path) -> None:
    place = tmp_path / "state" / "lock"
    done = paste(tmp_path, shell_text(plan(change("look", "cat", str(place)), change("fail", "false"))))
    held = lock.parse(done.stdout)
    assert held is not None, done
    assert (held.operator, held.notebook) == (getpass.getuser(), lock.BY_HAND)
    assert held.run.startswith("20261124T110500Z--by-hand-")
    assert abs(dt.datetime.fromisoformat(held.since) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)
    assert list(place.parent.iterdir()) == [], "also where a step fails"


def test_while_another_holds_the_lock_nothing_is_done_and_the_holder_is_named(tmp_path: Path) -> None:
    place, mark = tmp_path / "state" / "lock", tmp_path / "mark"
    place.parent.mkdir()
    place.write_text('{"operator": "ada"}\n')
    done = paste(tmp_path, shell_text(plan(change("a", "touch", str(mark)))))
    assert not mark.exists()
    assert '"operator": "ada"' in done.stderr
    assert "sandbox is being changed by another, so nothing was done" in done.stderr
    assert place.read_text() == '{"operator": "ada"}\n'


@pytest.fixture
def _hangup_heard() -> Iterator[None]:
    """Tests that are run under nohup ignore the hang-up, and so would the shell that they start."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("_hangup_heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_it_gives_the_lock_back(tmp_path: Path, number: signal.Signals) -> None:
    place = tmp_path / "state" / "lock"
    text = shell_text(plan(change("wait", "bash", "-c", "echo begun; exec sleep 30")))
    with subprocess.Popen(
        ["bash", "-c", here(tmp_path, text)], start_new_session=True, stderr=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    ) as shell:  # fmt: skip
        assert shell.stdout is not None
        assert shell.stdout.readline() == "1. wait\n"
        assert shell.stdout.readline() == "begun\n"  # a signal between bash's fork and exec would reach nobody
        assert place.exists()
        os.killpg(shell.pid, number)  # as a terminal does: the shell and what it runs
        shell.stdout.read()  # up to the end of both
    assert not place.exists()


def test_what_changes_nothing_takes_no_lock() -> None:
    assert lock.PLACE not in shell_text(plan(Step("look", Command(("true",)))))
