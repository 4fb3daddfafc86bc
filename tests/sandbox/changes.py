"""Changes carried out as an operator does: dry run, apply with the phrase that the dry run showed, undo, resume.

desk = Desk(tmp_path)
dry = desk.dry_run("06-database/restore", backup="newest")
done = desk.apply("06-database/restore", backup="newest")     # for danger: dry run, phrase, apply
assert done.code == 0 and done.applied["state"] == "applied"
desk.undo(done)
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli import LAUNCHER

from runbook import notebook
from runbook.records import journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runbook.records.journal import Event

RECORD = re.compile(r"^ +record +(\S+)\.ipynb$", re.MULTILINE)
LONGEST_SECONDS = 900
LOOK_SECONDS = 0.005


@dataclass(frozen=True, repr=False)
class Change:
    """One run that has ended. Without a record (refused before it began) `run_id` is empty."""

    code: int
    text: str
    outputs: Path
    run_id: str

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the record says of the run (metadata.runbook)."""
        return about(self.outputs, self.run_id)

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The run's journal; nothing where it was refused before it began."""
        return events(self.outputs, self.run_id) if self.run_id else ()

    @property
    def plan(self) -> dict[str, Any]:
        """The plan that was shown last."""
        return last(self.events, "plan")

    @property
    def applied(self) -> dict[str, Any]:
        """What came of it: state, sentence, seconds, downtime."""
        return last(self.events, "applied")

    @property
    def steps(self) -> list[tuple[int, str, str]]:
        """Number, name and phase (apply, undo) of each step that was begun."""
        return [(e.data["number"], e.data["name"], e.data["phase"]) for e in self.events if e.kind == "step.start"]

    def __repr__(self) -> str:
        return f"exit code {self.code}: {self.text[-3000:]}"


def about(outputs: Path, run_id: str) -> dict[str, Any]:
    """Return what a record says of its run."""
    found: dict[str, Any] = json.loads((outputs / f"{run_id}.ipynb").read_text())["metadata"]["runbook"]
    return found


def events(outputs: Path, run_id: str) -> tuple[Event, ...]:
    """Return the events of a run's journal."""
    path = journal.journal_path(outputs, run_id)
    assert path is not None, f"no journal of {run_id} in {outputs}"
    reading = journal.read(path)
    assert reading.problems == (), reading.problems
    return reading.events


def last(found: Sequence[Event], kind: str) -> dict[str, Any]:
    """Return the data of the last event of this kind; empty where there is none."""
    return next((event.data for event in reversed(found) if event.kind == kind), {})


@dataclass
class Running:
    """A run under way, in a process group of its own."""

    process: subprocess.Popen[str] | WarmProcess
    outputs: Path
    earlier: frozenset[str]
    begun: float = field(default_factory=time.monotonic)
    _run_id: str = ""

    @property
    def run_id(self) -> str:
        """The first run that was not there before; empty as long as there is none."""
        if not self._run_id:
            new = {path.stem for path in (self.outputs / ".journal").glob("*.jsonl")} - self.earlier
            self._run_id = min(new, default="")
        return self._run_id

    def events(self) -> tuple[Event, ...]:
        """What the journal says so far (a line may be half written)."""
        path = journal.journal_path(self.outputs, self.run_id) if self.run_id else None
        return journal.read(path).events if path is not None else ()

    def until(self, true: Callable[[tuple[Event, ...]], bool]) -> bool:
        """Look into the journal every 5 ms until it is so; False when the run has ended before."""
        deadline, size = time.monotonic() + LONGEST_SECONDS, -1
        while time.monotonic() < deadline:
            ended = self.process.poll() is not None
            path = self.outputs / ".journal" / f"{self.run_id}.jsonl"
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_size != size:
                    size = path.stat().st_size
                    if true(self.events()):
                        return True
            if ended:
                return False
            time.sleep(LOOK_SECONDS)
        raise AssertionError(f"the run did not end within {LONGEST_SECONDS} s")

    def until_step(self, number: int, phase: str = "apply") -> bool:
        """Wait until the start of this step is on disk; False when the run ended before.

        Step 0 stands for the lock that was just taken, a number beyond the last for all steps done.
        """

        def reached(found: tuple[Event, ...]) -> bool:
            if number == 0:
                return any(e.kind == "lock" for e in found)
            steps = [e.data["number"] for e in found if e.kind == "step.start" and e.data["phase"] == phase]
            return max(steps, default=0) >= number or (bool(steps) and bool(last(found, "applied")))

        return self.until(reached)

    def kill(self) -> None:
        """SIGKILL the runner and its kernel (each has a process group of its own)."""
        pids = {self.process.pid} | {e.data["pid"] for e in self.events() if e.kind == "run.start"}
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.communicate()

    def wait(self, seconds: float = LONGEST_SECONDS) -> Change:
        """Wait for the end of the run."""
        text, _ = self.process.communicate(timeout=seconds)
        found = RECORD.findall(text)
        named = Path(found[-1]).name if found else ""
        if isinstance(self.process, WarmProcess) and (self.outputs / f"{self.run_id}.ipynb").exists():
            named = self.run_id
        return Change(self.process.returncode, text, self.outputs, named)


@dataclass
class WarmProcess:
    """A run in a forked process (see warm.py): as much of Popen as is used here."""

    pid: int
    output: Path
    returncode: int = -1

    def poll(self) -> int | None:
        """Return the exit code; None as long as it runs."""
        place = self.output.with_suffix(".code")
        if not place.exists():
            return None
        self.returncode = int(place.read_text())
        return self.returncode

    def communicate(self, timeout: float = LONGEST_SECONDS) -> tuple[str, None]:
        """Wait for its end and return what it printed."""
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a warm run", timeout)
            time.sleep(LOOK_SECONDS)
        return self.output.read_text(errors="replace"), None


class Warm:
    """The process that forks: started once, for many runs."""

    def __init__(self) -> None:
        argv = [sys.executable, str(Path(__file__).with_name("warm.py"))]
        self._server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, request: dict[str, Any]) -> WarmProcess:
        """Fork a process for a run."""
        stdin, stdout = self._server.stdin, self._server.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        return WarmProcess(int(stdout.readline()), Path(request["output"]))

    def close(self) -> None:
        """End the process; runs under way go on."""
        self._server.communicate()


@dataclass(frozen=True)
class Desk:
    """Where an operator works: a folder of records, a target, a name."""

    outputs: Path
    target: str = "sandbox"
    operator: str = "tester"
    warm: Warm | None = None

    def start(self, *words: str) -> Running:
        """Start ./runbook with these words; where the desk is warm, what they mean in a forked process."""
        environment = {"RUNBOOK_OUTPUTS": str(self.outputs), "RUNBOOK_OPERATOR": self.operator}
        earlier = frozenset(path.stem for path in (self.outputs / ".journal").glob("*.jsonl"))
        if self.warm is not None and words[0] in {"run", "undo", "resume"} and "--instructions" not in words:
            number = len(list(self.outputs.glob("*.code")))
            request = _request(words) | {"environment": environment, "output": str(self.outputs / f"run{number}.txt")}
            return Running(self.warm.start(request), self.outputs, earlier)
        process = subprocess.Popen(
            [LAUNCHER, *words],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return Running(process, self.outputs, earlier)

    def run(self, *words: str) -> Change:
        """Run ./runbook with these words to its end."""
        return self.start(*words).wait()

    def dry_run(self, name: str, **values: Any) -> Change:
        """Look and plan; change nothing."""
        return self.run("run", name, "--target", self.target, "--no-html", *_given(values))

    def start_apply(self, name: str, **values: Any) -> Running:
        """Start a run that changes; for danger with the phrase that a dry run shows. The dry run may refuse: see its text."""
        confirm: list[str] = []
        if notebook.find(name).kind == "danger":
            dry = self.dry_run(name, **values)
            assert dry.plan, f"the dry run made no plan: {dry}"
            confirm = ["--confirm", dry.plan["phrase"]]
        return self.start("run", name, "--target", self.target, "--no-html", "--apply", *confirm, *_given(values))

    def apply(self, name: str, **values: Any) -> Change:
        """Carry out a change, confirmed where it is a danger."""
        return self.start_apply(name, **values).wait()

    def undo(self, change: Change | str) -> Change:
        """Take back what a run changed."""
        return self._refer("undo", change)

    def resume(self, change: Change | str) -> Change:
        """Go on where a run stopped."""
        return self._refer("resume", change)

    def _refer(self, word: str, change: Change | str) -> Change:
        """Carry it out; where a phrase is wanted, the one that its dry run shows."""
        run_id = change if isinstance(change, str) else change.run_id
        confirm: list[str] = []
        started = events(self.outputs, run_id)
        if last(started, "plan").get("danger") or any(e.data.get("kind") == "danger" for e in started):
            dry = self.run(word, run_id, "--no-html")
            confirm = ["--confirm", dry.plan["phrase"]] if dry.plan else []
        return self.run(word, run_id, "--no-html", "--apply", *confirm)

    def verify(self) -> None:
        """Check the chain of the records."""
        done = self.run("records", "verify")
        assert done.code == 0, done


def _request(words: Sequence[str]) -> dict[str, Any]:
    """Given the words of a command line as they are made here, return what they ask of warm.py."""
    # what only reads takes no `apply`; undo and resume are dry runs unless they are told otherwise
    values: dict[str, Any] = {"apply": "--apply" in words} if "--apply" in words or words[0] != "run" else {}
    found: dict[str, Any] = {"mode": words[0], "notebook": words[1], "record": words[1], "target": "", "values": values}
    for place, word in enumerate(words):
        if word == "--target":
            found["target"] = words[place + 1]
        elif word == "--confirm":
            values["confirm"] = words[place + 1]
        elif word == "-p":
            values[words[place + 1]] = words[place + 2]
    return found


def _given(values: dict[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        yield from ("-p", name, str(value))
