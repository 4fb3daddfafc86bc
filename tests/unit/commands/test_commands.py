"""Commands as data: quoting that a real shell reads back, and masking."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.commands import MASK, Command, Result, quote

WORDS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30), min_size=1, max_size=5)


@settings(max_examples=60)
@given(words=WORDS)
def test_a_real_shell_reads_back_what_was_quoted(words: list[str]) -> None:
    done = subprocess.run(["sh", "-c", f"printf '%s\\0' {quote(words)}"], capture_output=True, check=True)
    assert done.stdout.decode().split("\0")[:-1] == words


def test_an_empty_command_and_a_nul_byte_are_refused() -> None:
    with pytest.raises(ValueError, match="needs a program"):
        Command(())
    with pytest.raises(ValueError, match="NUL"):
        Command(("echo", "a\0b"))


def test_secrets_are_masked_where_a_command_is_shown() -> None:
    shown = Command(("psql", "--password=it's secret"), sudo=True, secret=("it's secret",)).shown
    assert "secret" not in shown
    assert MASK in shown
    assert shown.startswith("sudo psql")


@pytest.mark.parametrize(
    ("code", "options", "ok", "meaning"),
    [
        (0, {}, True, "ok"),
        (3, {}, False, "not expected"),
        (127, {}, False, "program not found"),
        (-9, {}, False, "killed by signal 9"),
        (0, {"timed_out": True}, False, "stopped after 30 s"),
        (0, {"sudo_refused": True}, False, "sudo refused"),
    ],
)
def test_how_an_exit_code_reads(code: int, options: dict[str, bool], ok: bool, meaning: str) -> None:
    result = Result(Command(("x",)), code, "", "", 0.1, **options)
    assert (result.ok, result.meaning) == (ok, meaning)


def test_a_declared_exit_code_is_an_answer() -> None:
    result = Result(Command(("systemctl",), expect={0: "active", 3: "inactive"}), 3, "", "", 0.1)
    assert (result.ok, result.meaning) == (True, "inactive")
