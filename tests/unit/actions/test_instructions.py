"""A plan as shell text: read by bash, it runs exactly the commands of the plan."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.actions.instructions import shell_text, text_of
from runbook.actions.plan import Plan, Step
from runbook.commands import Command

if TYPE_CHECKING:
    from pathlib import Path

# a carriage return is kept, too, but reading text here would turn it into a new line
WORDS = st.lists(st.text(st.characters(exclude_characters="\0\r", codec="utf-8"), max_size=12), max_size=8)
SHOW = "import json, sys; print(json.dumps(sys.argv[1:]))"


def bash(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash"], input=text, capture_output=True, text=True, check=False)


def plan(*steps: Step) -> Plan:
    return Plan("Do it", "sandbox", "20261124T110500Z", steps=steps, losses=("nothing",))


def change(name: str, *argv: str, **options: object) -> Step:
    return Step(name, Command(argv, changes=True), no_undo="none", **options)  # type: ignore[arg-type]  # the dataclass checks the names


@settings(max_examples=8, deadline=None)
@given(WORDS)
def test_bash_reads_back_every_argument(words: list[str]):
    done = bash(text_of(Command(("python3", "-S", "-c", SHOW, *words))))
    assert json.loads(done.stdout) == words


@settings(max_examples=8, deadline=None)
@given(WORDS)
def test_a_script_of_several_lines_gets_its_arguments_and_an_empty_input(words: list[str]):
    script = 'set -eu\nwhile [ $# -gt 0 ]; do printf "%s\\0" "$1"; shift; done\ncat'
    done = bash(text_of(Command(("bash", "-c", script, "name", *words))) + "\necho after")
    assert done.stdout == "".join(f"{word}\0" for word in words) + "after\n"


def test_quotes_and_dollars_of_a_script_are_kept():
    script = 'set -eu\nx=\'a "b"\'\nprintf \'%s|%s|%s\' "$x" "$1" "$(echo `echo deep`)"\n# it\'s'
    assert bash(text_of(Command(("bash", "-c", script, "name", "$HOME")))).stdout == 'a "b"|$HOME|deep'


def test_all_steps_run_in_order_and_the_first_failure_ends_it(tmp_path: Path):
    marks = [tmp_path / name for name in ("one", "two", "three")]
    steps = [change("a", "touch", str(marks[0])), change("b", "false"), change("c", "touch", str(marks[2]))]
    done = bash(shell_text(plan(*steps)) + "\necho still here")
    assert [mark.exists() for mark in marks] == [True, False, False]
    assert "all 3 steps are done" not in done.stdout
    assert done.stdout.endswith("still here\n"), "the operator's shell goes on"


def test_a_step_that_is_done_is_left_out_and_other_exit_codes_are_accepted(tmp_path: Path):
    mark = tmp_path / "one"
    skipped = change("a", "touch", str(mark), done=Command(("true",)))
    accepted = Step("b", Command(("bash", "-c", "exit 3"), changes=True, expect={0: "ok", 3: "fine"}), no_undo="none")
    done = bash(shell_text(plan(skipped, accepted)))
    assert not mark.exists()
    assert "all 2 steps are done" in done.stdout


def test_a_wait_asks_again_until_it_is_so(tmp_path: Path):
    log = tmp_path / "log"
    probe = Command(("bash", "-c", 'echo x >> "$0"; [ "$(wc -l < "$0")" -ge 2 ]', str(log)))
    done = bash(shell_text(plan(Step("wait", probe, within_seconds=5))))
    assert log.read_text() == "x\nx\n"
    assert "all 1 steps are done" in done.stdout


def test_the_undo_stands_there_as_comments(tmp_path: Path):
    mark = tmp_path / "mark"
    undo = Step("remove", Command(("rm", str(mark)), changes=True, why="take it away"))
    step = Step("make", Command(("touch", str(mark)), changes=True), undo=(undo,))
    text = shell_text(plan(step))
    bash(text)
    assert mark.exists()
    bash("\n".join(line.removeprefix("#| ") for line in text.splitlines() if line.startswith("#| ")))
    assert not mark.exists()
