"""The sandbox commands where a person gets something wrong: one screen, a remedy, nothing made."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from sandbox import cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder that does not exist yet, and no engine."""
    monkeypatch.setenv("RUNBOOK_SANDBOX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    return tmp_path / "home"


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.main, list(words))


@pytest.mark.parametrize(
    "words", [("up", "Not A Name"), ("reset", "../x"), ("status", "a/b"), ("ssh", "--name", "$(id)")]
)
def test_a_bad_name_is_told_in_one_line(home: Path, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.exit_code == 5
    assert "cannot name a sandbox" in done.output
    assert "Traceback" not in done.output
    assert not home.exists()


@pytest.mark.parametrize("words", [("ssh",), ("open",), ("ssh", "--name", "blue", "--", "ls", "-l")])
def test_what_needs_a_sandbox_says_how_to_start_one(home: Path, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.exit_code == 5
    assert "sandbox up" in done.output
    assert not home.exists()


@pytest.mark.parametrize("words", [("up",), ("reset",), ("down", "--all")])
def test_without_an_engine_the_remedy_is_named(home: Path, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.exit_code == 5
    assert os.environ["DOCKER_HOST"] in done.output
    assert "docker info" in done.output
    assert not home.exists()


def test_down_where_there_is_nothing_needs_no_engine() -> None:
    done = run("down", "blue")
    assert (done.exit_code, done.output) == (0, "There was no sandbox blue.\n")


def test_status_where_there_is_nothing_says_so() -> None:
    done = run("status")
    assert done.exit_code == 0
    assert "No sandbox is up" in done.output


@pytest.mark.parametrize("rows", ["0", "-1", "many"])
def test_rows_must_be_a_number_above_zero(rows: str) -> None:
    assert run("up", "--rows", rows).exit_code == 2


def test_a_bare_server_has_no_rows_to_choose(home: Path) -> None:
    done = run("up", "blue", "--bare", "--rows", "5")
    assert done.exit_code == 5
    assert "no database" in done.output
    assert not home.exists()


def test_only_a_bare_server_can_lack_the_packages(home: Path) -> None:
    done = run("up", "blue", "--no-packages")
    assert done.exit_code == 2
    assert "--bare" in done.output
    assert not home.exists()


@pytest.mark.parametrize("words", [("client", "blue"), ("client", "blue", "--", "curl", "-s", "x"), ("bucket", "up")])
def test_client_and_bucket_need_an_engine_too(home: Path, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.exit_code == 5
    assert "Traceback" not in done.output
    assert not home.exists()


def test_a_bucket_that_is_not_there_is_nothing_to_take_down() -> None:
    assert run("bucket", "down").output == "There was no bucket.\n"


def test_a_client_s_sandbox_must_have_a_possible_name(home: Path) -> None:
    done = run("client", "../x")
    assert done.exit_code == 5
    assert "cannot name a sandbox" in done.output
    assert not home.exists()
