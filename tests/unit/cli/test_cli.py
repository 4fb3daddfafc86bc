"""The command line: quick to answer, and every error is one screen with reason and remedy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from runbook import cli
from runbook.errors import CommandError, ParametersError, RunbookError
from runbook.screen import LINES_OF_AN_ERROR, columns, tell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SLOW = {
    "pydantic",
    "paramiko",
    "papermill",
    "nbformat",
    "pandas",
    "matplotlib",
    "jupyter_client",
    "rich",
    "httpx",
    "IPython",
}


@dataclass(frozen=True)
class Done:
    """How a call of the command line ended."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Call the command line in this process, with outputs of its own."""
    monkeypatch.setenv("RUNBOOK_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def calling(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            cli.main(list(arguments))
        told = capsys.readouterr()
        return Done(int(ended.value.code or 0), told.out, told.err)

    return calling


def test_help_imports_nothing_slow() -> None:
    script = "import sys\nfrom runbook.cli import _call\n_call(['--help'])\nprint(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "Commands" in done.stdout
    assert SLOW & {name.split(".")[0] for name in done.stderr.split("'")} == set()


@pytest.mark.parametrize("name", [name for name in cli.COMMANDS if name != "sandbox"])
def test_every_command_has_help(name: str) -> None:
    done = CliRunner().invoke(cli.cli, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert "Usage" in done.output


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["rnu"], 4, "Did you mean 'run'?"),
        (["run", "04-health/quik"], 4, "did you mean '04-health/quick'?"),
        (["run", "04-health/quick", "-p", "dept", "full"], 4, "did you mean 'depth'?"),
        (["run", "04-health/quick", "-p", "apply", "perhaps"], 4, "apply"),
        (["run", "04-health/quick", "--target", "sandbok"], 4, "did you mean 'sandbox'?"),
        (["run", "04-health/quick", "--target", "$(reboot); rm -rf /"], 4, "not a target's name"),
        (["run", "04-health/quick", "--cell-timeout", "soon"], 4, "--cell-timeout"),
        (["run"], 4, "NOTEBOOK"),
        (["params", "check", "nowhere"], 4, "no params file"),
        (["records", "--outputs", "/nowhere/at/all", "list"], 5, "no folder"),
    ],
)
def test_bad_input_is_told_on_one_screen(
    call: Callable[..., Done], arguments: list[str], code: int, told: str, tmp_path: Path
) -> None:
    done = call(*arguments)
    assert done.returncode == code, done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= LINES_OF_AN_ERROR + 4
    assert list(tmp_path.rglob("*.ipynb")) == list(tmp_path.rglob("*.jsonl")) == []


def test_problems_of_parameters_and_of_the_params_file_are_told_together(call: Callable[..., Done]) -> None:
    done = call("run", "04-health/quick", "--target", "nowhere", "-p", "dept", "x")
    assert done.returncode == 4
    assert "'dept'" in done.stderr
    assert "nowhere.yaml" in done.stderr


def test_a_long_error_is_cut_to_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    tell(ParametersError("params/x.yaml", [f"line {number}: wrong" for number in range(200)], remedy="mend these"))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= LINES_OF_AN_ERROR + 1
    assert "more" in lines[-2]
    assert "mend these" in lines[-1]


def test_control_characters_of_an_error_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    tell(RunbookError("the server said \x1b]0;owned\x07 and \x9b31m"))
    assert "\x1b" not in (told := capsys.readouterr().err)
    assert "\x9b" not in told


def test_exit_codes_of_the_tree() -> None:
    assert (ParametersError("x", ["y"]).exit_code, RunbookError("x").exit_code, CommandError.exit_code) == (4, 5, 5)


def test_columns_are_aligned_and_the_last_may_be_long() -> None:
    text = columns(("a", "bb"), [("xxx", "y" * 200), (1, "two\nlines")])
    first, second, third = text.splitlines()
    assert first == "a    bb"
    assert second == f"xxx  {'y' * 200}"
    assert third == "1    two lines"


def test_a_closed_pipe_is_no_error() -> None:
    listing = subprocess.Popen(
        [sys.executable, "-P", "-m", "runbook", "notebooks"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert listing.stdout is not None
    assert listing.stderr is not None
    listing.stdout.close()  # as head(1) does when it has seen enough
    assert "Traceback" not in listing.stderr.read()
    listing.stderr.close()
    listing.wait()


def test_records_of_an_empty_folder(call: Callable[..., Done], tmp_path: Path) -> None:
    for arguments in (["list"], ["verify"], ["search", "x"], ["trend"]):
        done = call("records", "--outputs", str(tmp_path), *arguments)
        assert done.returncode == 0, done
    for arguments in (["show"], ["diff"]):
        done = call("records", "--outputs", str(tmp_path), *arguments)
        assert done.returncode == 5
        assert "Traceback" not in done.stderr


def test_notebooks_are_found_by_symptom(call: Callable[..., Done]) -> None:
    found = json.loads(call("notebooks", "--json", "certificate", "has", "expired").stdout)
    assert found[0]["name"].startswith("05-certificates/")


def test_the_shell_completes_commands() -> None:
    """As the README tells it: the script is printed, and asked for "rec" it answers `records`."""
    run = [sys.executable, "-P", "-m", "runbook"]
    script = subprocess.run(
        run, env=os.environ | {"_RUNBOOK_COMPLETE": "bash_source"}, capture_output=True, text=True, check=True
    )
    assert "complete -o nosort -F _runbook_completion ./runbook" in script.stdout
    asked = {"_RUNBOOK_COMPLETE": "bash_complete", "COMP_WORDS": "./runbook rec", "COMP_CWORD": "1"}
    answer = subprocess.run(run, env=os.environ | asked, capture_output=True, text=True, check=True)
    assert answer.stdout.split(",")[-1].strip() == "records"
