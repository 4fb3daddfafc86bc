"""What the operator is told while steps are carried out: here with proofs and waits, which need no systemd."""

from __future__ import annotations

import contextlib
import subprocess
import time
from typing import TYPE_CHECKING, cast

from runbook.changes import executor
from runbook.changes.executor import Executor, StepFailed, Ticker
from runbook.changes.plan import Step
from runbook.commands import Command, Result
from runbook.records.journal import Journal, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pytest

    from runbook.connection import Connection

HOURS = 12 * 3600
SLOW = 'echo x >> "$0"; echo "$(wc -l < "$0") of 4 are there"; [ "$(wc -l < "$0")" -ge 4 ]'


class Here:
    """Runs commands on this machine."""

    @contextlib.contextmanager
    def unrecorded(self) -> Iterator[None]:
        yield

    def run_all(self, commands: Mapping[str, Command]) -> dict[str, Result]:
        found = {}
        for name, command in commands.items():
            done = subprocess.run(command.argv, capture_output=True, text=True, check=False)
            found[name] = Result(command, done.returncode, done.stdout, done.stderr, 0.0)
        return found


def carry_out(tmp_path: Path, *steps: Step) -> tuple[list[str], Path]:
    """Return what was said, and where the journal is."""
    told: list[str] = []
    journal = Journal.begin(tmp_path, {"target": "here", "notebook": "test"})
    with contextlib.suppress(StepFailed):
        Executor(cast("Connection", Here()), journal, "test", told.append).carry_out(steps)
    journal.release()
    return told, journal.place


def test_each_step_is_told_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    steps = (Step("a", Command(("true",), why="look")), Step("b", Command(("false",))), Step("c", Command(("true",))))
    told, _ = carry_out(tmp_path, *steps)
    assert told[:3] == ["1/3 a: look ...", told[1], "2/3 b ..."]
    assert told[1].startswith("1/3 a: done in ")
    assert told[3].startswith("2/3 b: FAILED after ")
    assert len(told) == 4


def test_a_wait_says_now_and_then_what_it_waits_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "TELL_SECONDS", 0.0)
    monkeypatch.setattr(executor, "WAIT_SECONDS", 0.02)
    step = Step("wait", Command(("sh", "-c", SLOW, str(tmp_path / "log"))), within_seconds=5)
    told, journal = carry_out(tmp_path, step)
    assert told[1:4] == [f"   0 s: {number} of 4 are there" for number in (1, 2, 3)]
    assert [event.kind for event in read(journal).events] == ["run.start", "step.start", "step.end"]


def test_twelve_hours_are_not_told_in_thousands_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    ticker = Ticker(told.append)
    while now[0] < HOURS:
        now[0] += 1
        ticker.tell(lambda: "a line\n" * 100)
    monkeypatch.undo()
    assert told[:3] == [f"   {seconds} s: {('a line ' * 100)[:160]}" for seconds in (10, 20, 30)]
    assert 100 < len(told) < 250
    assert sum(map(len, told)) < 50_000
