"""A secret that was resolved is masked wherever and however it surfaces."""

from __future__ import annotations

import base64
import json
import urllib.parse
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import secrets
from runbook.errors import SecretError

if TYPE_CHECKING:
    from pathlib import Path

VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="*"), min_size=8, max_size=40)


@given(value=VALUES, before=st.text(max_size=10), after=st.text(max_size=10))
def test_every_form_is_masked(value: str, before: str, after: str) -> None:
    redactor = secrets.Redactor()
    redactor.learn(value)
    surfaces = [
        value,
        urllib.parse.quote(value, safe=""),
        json.dumps(value),
        base64.b64encode(value.encode()).decode(),
        f"postgresql://pazpaz:{value}@db:5432/pazpaz",
        f"postgresql://pazpaz:{urllib.parse.quote(value)}@db:5432/pazpaz",
    ]
    for surface in surfaces:
        assert (
            value not in redactor.text(f"{before}{surface}{after}").replace(before, "").replace(after, "")
            or value in before + after
        )


@given(value=VALUES, user=st.text(st.characters(codec="ascii", min_codepoint=33), max_size=9), tail=st.text(max_size=9))
def test_base64_of_a_longer_text_is_masked_too(value: str, user: str, tail: str) -> None:
    """A `user:password` header holds the password at any of three bit offsets; its inner part must not survive."""
    redactor = secrets.Redactor()
    redactor.learn(value)
    header = base64.b64encode(f"{user}:{value}{tail}".encode()).decode()
    masked = redactor.text(header)
    assert secrets.MASK in masked


@given(value=VALUES)
def test_nested_values_and_keys_are_masked(value: str) -> None:
    redactor = secrets.Redactor()
    redactor.learn(value)
    assert value not in json.dumps(redactor.value({"a": [value, {value: f"x{value}y"}], "n": 1}), ensure_ascii=False)


def test_short_values_are_left_alone() -> None:
    redactor = secrets.Redactor()
    redactor.learn("abc")
    assert redactor.text("abc") == "abc"


def test_file_reference(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("canary-from-file\n")
    path.chmod(0o600)
    assert secrets.resolve(f"file:{path}", what="x") == "canary-from-file"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("env:RUNBOOK_NO_SUCH_VARIABLE", "export RUNBOOK_NO_SUCH_VARIABLE"),
        ("file:/no/such/file", "does not exist"),
        ("prompt", "there is none"),
        ("hunter2", "env:NAME"),
    ],
)
def test_bad_references_say_the_remedy_and_never_the_value(reference: str, says: str) -> None:
    with pytest.raises(SecretError) as caught:
        secrets.resolve(reference, what="sudo password")
    assert says in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("canary-open-file")
    path.chmod(0o644)
    with pytest.raises(SecretError, match="chmod 600"):
        secrets.resolve(f"file:{path}", what="x")


def test_env_reference_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNBOOK_TEST_SECRET", "canary-from-env")
    secrets.resolve("env:RUNBOOK_TEST_SECRET", what="x")
    assert secrets.redactor.text("got canary-from-env") == f"got {secrets.MASK}"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (
            'failed to read /opt/.env: line 22: unterminated quoted value "P@ss"more',
            "failed to read /opt/.env: line 22: unterminated quoted value ********",
        ),
        (
            'failed to read /opt/.env: Invalid template: "P@ss${word"',
            "failed to read /opt/.env: Invalid template: ********",
        ),
        (
            'line 21: unexpected character "\'" in variable name "P@ss\'"\nnext line',
            'line 21: unexpected character "\'" in variable name ********\nnext line',
        ),
        (
            'msg="The \\"P@ss\\" variable is not set. Defaulting"',
            'msg="The \\"********\\" variable is not set. Defaulting"',
        ),
        ("P@ss is told by something else", "P@ss is told by something else"),
    ],
)
def test_what_compose_quotes_of_an_environment_file_is_masked(said: str, kept: str) -> None:
    assert secrets.mask_env_values(said) == kept
