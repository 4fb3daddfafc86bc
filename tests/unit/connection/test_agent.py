"""The agent, run for real as a process of this machine: what it is given reaches execve and no shell."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runbook.connection.channel import AGENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Talk:
    """A conversation with an agent over its pipes."""

    def __init__(self, *, banner: str = "") -> None:
        script = AGENT.read_bytes()
        start = f"import sys; exec(sys.stdin.buffer.read({len(script)})); main()"
        argv = [sys.executable, "-I", "-S", "-u", "-c", f"print({banner!r}); {start}" if banner else start]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
        assert self.process.stdin
        self.process.stdin.write(script + json.dumps({"nonce": "n0nce", "password": None}).encode() + b"\n")
        self.hello = self.frame()
        self.number = 0

    def frame(self) -> dict[str, Any]:
        assert self.process.stdout
        while True:
            line = self.process.stdout.readline()
            assert line, "the agent ended"
            if line.startswith(b"{"):
                frame: dict[str, Any] = json.loads(line)
                return frame

    def send(self, **request: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request).encode("ascii") + b"\n")

    def ask(self, *argv: str, **options: Any) -> dict[str, Any]:
        self.number += 1
        self.send(id=self.number, argv=list(argv), **options)
        answer = self.frame()
        assert answer["id"] == self.number
        return answer | {"out": base64.b64decode(answer["out"]), "err": base64.b64decode(answer["err"])}


@pytest.fixture(scope="module")
def talk() -> Iterator[Talk]:
    conversation = Talk()
    yield conversation
    assert conversation.process.stdin
    conversation.process.stdin.close()
    assert conversation.process.wait(5) == 0
    assert conversation.process.stdout
    conversation.process.stdout.close()


def test_greets_with_the_nonce_it_was_given(talk: Talk) -> None:
    assert talk.hello["hello"] == "n0nce"


def test_keeps_streams_and_exit_code_apart(talk: Talk) -> None:
    answer = talk.ask("sh", "-c", "echo out; echo err >&2; exit 3")
    assert (answer["code"], answer["out"], answer["err"]) == (3, b"out\n", b"err\n")


def test_a_missing_program_is_127_and_says_its_name(talk: Talk) -> None:
    answer = talk.ask("no-such-program", "x")
    assert answer["code"] == 127
    assert b"no-such-program" in answer["err"]


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40), max_size=5))
def test_any_argument_arrives_as_it_is(talk: Talk, words: list[str]) -> None:
    """printenv-like echo through execve: what comes out NUL-separated is what went in, whatever it holds."""
    answer = talk.ask("printf", "%s\\0", "begin", *words)
    assert answer["out"].decode().split("\0")[1:-1] == (words or [])


@pytest.mark.parametrize(
    "hostile",
    [
        "; rm -rf /",
        "$(touch {mark})",
        "`touch {mark}`",
        "a\nb\ntouch {mark}",
        "--flag",
        "'\"",
        "|| touch {mark}",
        "ünïcødé ☃",
        "x" * 100_000,
        "* ? ~",
        "&& reboot",
    ],
)
def test_hostile_arguments_do_nothing(talk: Talk, tmp_path: Path, hostile: str) -> None:
    mark = tmp_path / "touched"
    word = hostile.replace("{mark}", str(mark))
    answer = talk.ask("printf", "%s", word)
    assert answer["out"].decode() == word
    assert not mark.exists()


def test_a_late_command_is_stopped_with_its_children(talk: Talk, tmp_path: Path) -> None:
    mark = tmp_path / "late"
    begun = time.monotonic()
    answer = talk.ask("sh", "-c", f"(sleep 1; touch {mark}) & sleep 30", timeout=0.3)
    assert answer["timed_out"]
    assert time.monotonic() - begun < 2
    time.sleep(1.0)
    assert not mark.exists()


def test_commands_run_side_by_side(talk: Talk) -> None:
    begun = time.monotonic()
    for number in range(6):
        talk.send(id=100 + number, argv=["sleep", "0.4"])
    assert {talk.frame()["id"] for _ in range(6)} == {100 + number for number in range(6)}
    assert time.monotonic() - begun < 1.5


def test_output_beyond_the_limit_is_dropped_and_told(talk: Talk) -> None:
    answer = talk.ask("head", "-c", "300000", "/dev/zero", limit=1000)
    assert answer["truncated"]
    assert len(answer["out"]) == 1000


def test_a_program_that_leaves_a_child_behind_does_not_hang(talk: Talk) -> None:
    begun = time.monotonic()
    answer = talk.ask("sh", "-c", "sleep 20 & echo done", timeout=10)
    assert answer["out"] == b"done\n"
    assert time.monotonic() - begun < 5


def test_cancel_stops_a_command(talk: Talk) -> None:
    begun = time.monotonic()
    talk.send(id=900, argv=["sleep", "30"])
    talk.send(cancel=900)
    assert talk.frame()["code"] != 0
    assert time.monotonic() - begun < 3


def test_stream_sends_output_as_it_comes(talk: Talk) -> None:
    talk.send(id=901, argv=["sh", "-c", "echo one; sleep 0.3; echo two"], stream=True)
    frames = [talk.frame() for _ in range(3)]
    assert [base64.b64decode(frame["chunk"]) for frame in frames[:2]] == [b"one\n", b"two\n"]
    assert frames[2]["code"] == 0


def test_a_banner_of_the_login_shell_does_not_disturb() -> None:
    talk = Talk(banner="Welcome! { not json")
    assert talk.ask("echo", "hi")["out"] == b"hi\n"
    talk.process.kill()
    talk.process.wait(5)
    assert talk.process.stdin
    assert talk.process.stdout
    talk.process.stdin.close()
    talk.process.stdout.close()


@pytest.mark.parametrize(("changes", "left"), [(False, False), (True, True)])
def test_when_the_operator_is_gone_reads_stop_and_changes_end(tmp_path: Path, changes: bool, left: bool) -> None:
    mark, talk = tmp_path / "finished", Talk()
    talk.send(id=1, argv=["sh", "-c", f"sleep 0.5; touch {mark}"], changes=changes)
    time.sleep(0.2)
    assert talk.process.stdin
    assert talk.process.stdout
    talk.process.stdin.close()
    talk.process.wait(10)
    talk.process.stdout.close()
    time.sleep(0.5)
    assert mark.exists() is left


def test_the_servers_locale_does_not_matter(talk: Talk) -> None:
    assert talk.ask("sh", "-c", 'printf %s "$LC_ALL"')["out"] == b"C.UTF-8"
    assert os.fspath(AGENT)
