"""The one place that carries out steps: each noted before and after, each change as a unit that outlives the connection."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from runbook import offhost, secrets
from runbook.commands import Command, Result
from runbook.connection import long
from runbook.errors import CommandError, ConnectionFailed, ConnectionLost, RunbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runbook.changes.plan import Step
    from runbook.connection import Connection
    from runbook.records.journal import Journal

T = TypeVar("T")
RECONNECT_SECONDS = 240.0
RETRY_SECONDS = 1.0
WAIT_SECONDS = 1.0
KEPT_CHARACTERS = 6000
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.05, 1.0
TELL_SECONDS, RAREST_TELL_SECONDS, TELL_SHARE = 10.0, 300.0, 1 / 12
SHOWN_CHARACTERS = 160


class StepFailed(RunbookError):
    """A step did not do what it should. `doubt`: nobody saw how it ended."""

    def __init__(self, step: Step, reason: str, *, doubt: bool = False) -> None:
        super().__init__(f"step {step.name}: {reason}")
        self.step = step
        self.doubt = doubt


class Ticker:
    """Says how long a step has been going on: every ten seconds, ever more rarely the longer it lasts, so that twelve hours are 200 lines."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.begun = self.told = time.monotonic()

    def tell(self, newest: Callable[[], str]) -> None:
        """Say the seconds and the newest line, where it is time for it; only then it is asked for."""
        now = time.monotonic()
        if now - self.told < max(TELL_SECONDS, min(RAREST_TELL_SECONDS, (now - self.begun) * TELL_SHARE)):
            return
        self.told = now
        line = " ".join(newest().split())[:SHOWN_CHARACTERS]
        self.say(f"   {now - self.begun:.0f} s" + (f": {line}" if line else ""))


class Executor:
    """Carries out the steps of one run. `say` shows the operator a line; `label` begins the units' names."""

    def __init__(self, connection: Connection, journal: Journal, label: str, say: Callable[[str], None]) -> None:
        self.connection = connection
        self.journal = journal
        self.label = label
        self.say = say

    def carry_out(self, steps: Sequence[Step], *, phase: str = "apply") -> None:
        """Do the steps in order. Raises StepFailed at the first that fails; what it said is shown and kept."""
        for number, step in enumerate(steps, start=1):
            self._note("step.start", number=number, name=step.name, phase=phase, step_kind=step.kind, changes=step.changes, command=step.command.shown)  # fmt: skip
            begun = time.monotonic()
            why = f": {step.command.why}" if step.command.why else ""
            self.say(f"{number}/{len(steps)} {step.name}{why} ...")
            try:
                printed = self._do(step)
            except StepFailed as failed:
                self._end(number, step, phase, begun, ok=False, printed=failed.reason)
                self.say(f"{number}/{len(steps)} {step.name}: FAILED after {time.monotonic() - begun:.1f} s")
                self._tell_evidence(step)
                raise
            self._end(number, step, phase, begun, ok=True, printed=printed)
            if step.reconnect:
                self.connection.close()  # opens again at its next use
            self.say(f"{number}/{len(steps)} {step.name}: done in {time.monotonic() - begun:.1f} s")
            if step.output and printed.strip():
                self.say(_indented(printed))

    def wait_for_earlier_steps(self, seconds: float = 900) -> None:
        """Wait until no step of an earlier run is at work on the server any more. Raises RunbookError."""
        asked = Command(
            ("systemctl", "list-units", f"{long.PREFIX}*", "--state=running,activating,deactivating", "--plain", "--no-legend", "--full"),
            why="steps at work",
        )  # fmt: skip
        deadline = time.monotonic() + seconds
        told = False
        while True:
            units = [line.split()[0] for line in self._steadily(lambda: self.connection.run(asked)).stdout.splitlines()]
            if not units:
                return
            if not told:
                self.say(f"waiting for a step of an earlier run that is still at work: {', '.join(units)}")
                told = True
            if time.monotonic() > deadline:
                raise RunbookError(
                    f"a step of an earlier run is still at work on the server: {', '.join(units)}",
                    remedy=f"look at it: sudo systemctl status {units[0]}; stop it only if you know what it does",
                )
            time.sleep(WAIT_SECONDS)

    def _note(self, kind: str, **data: object) -> None:
        self.journal.event(kind, **data)

    def _end(self, number: int, step: Step, phase: str, begun: float, *, ok: bool, printed: str) -> None:
        seconds = round(time.monotonic() - begun, 3)
        self._note("step.end", number=number, name=step.name, phase=phase, ok=ok, seconds=seconds, output=printed[-KEPT_CHARACTERS:])  # fmt: skip

    def _do(self, step: Step) -> str:
        try:
            if step.local is not None:
                return self._here(step, dict(step.local))
            if step.stdin_secret:
                return self._directly(step)
            if step.changes:
                return self._as_unit(step)
            return self._wait(step) if step.within_seconds is not None else self._prove(step)
        except ConnectionFailed as error:
            raise StepFailed(step, error.reason, doubt=step.changes) from None
        except CommandError as error:
            raise StepFailed(step, error.reason) from None

    def _here(self, step: Step, arguments: dict[str, Any]) -> str:
        function = offhost.function(arguments.pop("call"))
        try:
            return function(self.connection, arguments, self.say)
        except (RunbookError, OSError) as error:
            reason = error.reason if isinstance(error, RunbookError) else f"{type(error).__name__}: {error}"
            raise StepFailed(step, reason) from None

    def _directly(self, step: Step) -> str:
        value = secrets.resolve(step.stdin_secret, what=f"secret for {step.name}")
        asked = Command(step.command.argv, stdin=value, sudo=step.command.sudo, timeout=step.command.timeout, expect=step.command.expect,
                        changes=True, secret=(value,), why=step.command.why)  # fmt: skip
        return self._steadily(lambda: self.connection.run(asked), repeatable=True).stdout

    def _as_unit(self, step: Step) -> str:
        name = f"{self.label}-{step.name}"
        account = "root" if step.command.sudo else self.connection.open().user
        self._steadily(lambda: long.start(self.connection, name, step.command, account=account), repeatable=True)
        pause, ticker = FIRST_POLL_SECONDS, Ticker(self.say)
        deadline = time.monotonic() + step.command.timeout + RECONNECT_SECONDS
        while True:
            with self.connection.unrecorded():
                found = self._steadily(lambda: long.state(self.connection, name))
            if found.phase != "running":
                break
            if time.monotonic() > deadline:
                raise StepFailed(step, f"it still runs after {step.command.timeout:g} s", doubt=True)
            ticker.tell(partial(self._newest, name))
            time.sleep(pause)
            pause = min(LONGEST_POLL_SECONDS, pause * 1.5)
        if found.phase == "absent":
            raise StepFailed(step, "the server was restarted while it ran, so nobody saw its end", doubt=True)
        with self.connection.unrecorded():
            printed = self._steadily(lambda: long.output(self.connection, name))
            self._steadily(lambda: long.forget(self.connection, name), repeatable=True)
        if found.phase == "failed" and (
            found.exit_code not in step.command.expect or found.result not in {"success", "exit-code"}
        ):
            how = "it took too long and was stopped" if found.result == "timeout" else f"exit code {found.exit_code}"
            raise StepFailed(step, f"{how} ({found.result})\n{_indented(printed)}")
        return printed

    def _newest(self, name: str) -> str:
        """Return the last line that a unit printed; nothing where the server cannot be asked just now."""
        with contextlib.suppress(RunbookError), self.connection.unrecorded():
            return long.output(self.connection, name, lines=1)
        return ""

    def _wait(self, step: Step) -> str:
        deadline = time.monotonic() + (step.within_seconds or 0)
        ticker = Ticker(self.say)
        while True:
            with self.connection.unrecorded():
                result = self._steadily(lambda: self.connection.run_all({step.name: step.command})[step.name])
            if result.exit_code == 0 and not result.timed_out:
                return result.stdout
            if time.monotonic() > deadline:
                raise StepFailed(step, f"not true after {step.within_seconds:g} s: {_said(result)}")
            ticker.tell(partial(_said, result))
            time.sleep(WAIT_SECONDS / 2)

    def _prove(self, step: Step) -> str:
        result = self._steadily(lambda: self.connection.run_all({step.name: step.command})[step.name])
        if not result.ok:
            raise StepFailed(step, f"{result.meaning} (exit code {result.exit_code}): {_said(result)}")
        return result.stdout

    def _tell_evidence(self, step: Step) -> None:
        """Show and keep what could explain a failure; a probe that fails as well is no reason to say nothing."""
        if not step.evidence:
            return
        try:
            results = self.connection.run_all({f"evidence {n}": command for n, command in enumerate(step.evidence, 1)})
        except RunbookError as error:
            self.say(f"   no evidence could be taken: {error.reason}")
            return
        for result in results.values():
            printed = (result.stdout + result.stderr)[-KEPT_CHARACTERS:]
            self._note("evidence", step=step.name, command=result.command.shown, output=printed)
            self.say(f"   {result.command.shown}\n{_indented(printed[-2000:])}")

    def _steadily(self, ask: Callable[[], T], *, repeatable: bool = False) -> T:
        """Ask; where the connection is lost, open it again and ask again, for some minutes.

        A change is only asked again where its name or its nature makes the second time harmless (`repeatable`).
        """
        deadline = time.monotonic() + RECONNECT_SECONDS
        told = False
        while True:
            try:
                return ask()
            except ConnectionFailed as error:
                if (
                    isinstance(error, ConnectionLost) and error.unknown and not repeatable
                ) or time.monotonic() > deadline:
                    raise
                if not told:
                    self.say(f"   the connection is lost ({error.reason.splitlines()[0][:160]}); trying again")
                    told = True
                time.sleep(RETRY_SECONDS)


def _said(result: Result) -> str:
    told = (result.stderr.strip() or result.stdout.strip()).splitlines()
    return told[-1][:300] if told else "it said nothing"


def _indented(text: str) -> str:
    return "\n".join(f"     {line}" for line in text.strip().splitlines()[-30:])
