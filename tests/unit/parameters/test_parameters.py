"""A params file: read, filled in, and every problem told at once with its line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import parameters
from runbook.errors import ParametersError

GOOD = """\
purpose: test
environment: sandbox
connection:
  host: alias
web:
  url: https://example.test
stack:
  services:
    - { name: api, container: x-api }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    return tmp_path


def test_a_good_file_is_read(folder: Path) -> None:
    read = parameters.load("good", folder)
    assert (read.target, read.connection.host, read.stack.container("api")) == ("good", "alias", "x-api")


def test_all_problems_come_at_once_with_their_lines(folder: Path) -> None:
    (folder / "bad.yaml").write_text(
        GOOD.replace("purpose: test", "purpos: test").replace("host: alias", "hots: alias\n  port: many")
    )
    with pytest.raises(ParametersError) as caught:
        parameters.load("bad", folder)
    text = str(caught.value)
    assert "line 1: purpos: unknown setting; did you mean 'purpose'?" in text
    assert "line 4: connection.hots: unknown setting; did you mean 'host'?" in text
    assert "line 5: connection.port" in text
    assert "connection.host: is required" in text
    assert len(caught.value.problems) == 5  # and `purpose` itself is missing


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a: [1, 2", "not valid YAML"),
        ("just text", "must hold settings"),
        ("", "must hold settings"),
        ("a: 1\na: 2\n", "duplicate"),
        ("\tx: 1", "line 1"),
    ],
)
def test_malformed_files_are_one_clear_error(folder: Path, content: str, says: str) -> None:
    (folder / "bad.yaml").write_text(content)
    with pytest.raises(ParametersError) as caught:
        parameters.load("bad", folder)
    assert says in str(caught.value)
    assert caught.value.exit_code == 4


def test_an_unknown_target_gets_the_nearest_name(folder: Path) -> None:
    with pytest.raises(ParametersError, match="did you mean 'good'"):
        parameters.load("godo", folder)


@given(name=st.text(max_size=80))
def test_no_target_name_reaches_outside_the_folder(name: str) -> None:
    if not parameters.TARGET_NAME.fullmatch(name):
        with pytest.raises(ParametersError):
            parameters.load(name, Path("/nonexistent"))


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b", "; rm -rf /", "$(x)", "--flag", "a\nb", "", "ü", "x" * 100_000]
)
def test_hostile_target_names_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(ParametersError) as caught:
        parameters.load(name, folder)
    assert len(str(caught.value)) < 2000


def test_a_secret_by_value_is_refused_and_not_shown(folder: Path) -> None:
    (folder / "bad.yaml").write_text(GOOD.replace("host: alias", "host: alias\n  sudo_password: hunter2canary"))
    with pytest.raises(ParametersError) as caught:
        parameters.load("bad", folder)
    assert "sudo_password" in str(caught.value)
    assert "hunter2canary" not in str(caught.value)


def test_placeholders_are_filled_from_the_values_file(folder: Path) -> None:
    (folder / "ports.json").write_text(json.dumps({"https": 8443}))
    text = (
        GOOD.replace("https://example.test", "https://example.test\n  connect_to: '127.0.0.1:{https}'")
        + 'values: "{params}/ports.json"\n'
    )
    (folder / "box.yaml").write_text(text.replace("host: alias", 'host: "{instance}"'))
    read = parameters.load("box@blue", folder)
    assert (read.web.connect_to, read.connection.host, read.target) == ("127.0.0.1:8443", "blue", "box@blue")


def test_a_practice_server_that_is_not_up_is_said_so(folder: Path) -> None:
    (folder / "box.yaml").write_text(GOOD + 'values: "{params}/absent.json"\n')
    with pytest.raises(ParametersError, match="sandbox up"):
        parameters.load("box", folder)


def test_the_shipped_sandbox_file_has_no_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "sandbox"
    home.mkdir()
    (home / "ports.json").write_text(json.dumps({"ssh": 1, "http": 2, "https": 3, "test": 4, "hostname": "pazpaz"}))
    monkeypatch.setenv("RUNBOOK_SANDBOX_HOME", str(tmp_path))
    read = parameters.load("sandbox")
    assert read.environment == "sandbox"
    assert len(read.stack.services) == 8
