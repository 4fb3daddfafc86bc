"""Runbook: parameterised notebooks that operate a server over SSH and leave records.

    params/ -> parameters cell -> connection -> command -> result -> fact -> check -> verdict
            -> plan -> apply -> (facts and checks again) -> record -> outputs/ -> report

Data goes one way. Verify calls the same gather and check as diagnose, so nothing turns back.

A notebook needs four names: `start` begins a run, `tables` and `plots` show, `State` compares.

    from runbook import start, tables
    run = start("04-health/quick")     # parameters checked, journal opened, connected
    run.preflight()                    # raises when the runbook does not apply here and now
    before = run.gather()              # all facts in one round trip
    verdict = run.judge(before)        # worst first; known exceptions applied
    record = run.finish(verdict)       # the record is written when the last cell has run

## The contracts of a change

These hold for every notebook of kind `change` or `danger`; the read path is built on the same parts.

Plan    A pure function of (facts, verdicts, parameters): a list of steps, each one `Command` with `changes=True`, why it
        is there, what it affects, the downtime expected, and its undo (a step, or the reason why there is none). It has a
        digest over the commands and the facts it stands on. Nothing to do is a plan of zero steps, said aloud.
        The plan shown is what runs: `--instructions` prints the same steps as shell text through `commands.quote`.
Apply   `run.apply(plan)` (changes/apply.py, changes/executor.py) is the one place that sends a command with `changes=True`. It refuses with
        `apply=False`; for kind danger it refuses unless `confirm` names the target and the plan's digest; and it gathers
        the facts anew and refuses a plan whose digest has changed (ConfirmationError). Afterwards the same facts and checks
        are looked at again: a failed step or a worse check is taken back, or the operator is told how to.
Undo    What a step needs to be undone (a digest, a copy of a file, a dump) is captured before the first change and noted
        in the journal (`undo` event). `./runbook undo RECORD` builds a plan from it, through the same guards.
Lock    One operator at a time per target: a file on the server made by link(2), which is atomic, with the holder's name,
        notebook, run id and time. Taken before the plan is built, released in `finish`; it survives a crash, and while the
        server may be between two states it stays. `resume` and `undo` of the run that holds it take it over;
        `./runbook unlock TARGET` takes it away on purpose, which is noted with the holder's record.
Steps   Each step is noted before (`step.start`, with its command) and after (`step.end`, with its result), each line on
        disk before the next thing happens. A run killed between the two is in doubt about this one step only.
Resume  `./runbook resume RECORD` reads the journal, gathers the facts anew, plans anew, and goes on with what is still to
        do: finished steps drop out of the new plan because the facts say so, not because the journal does.
Long    Every change runs on the server as a transient systemd unit (`connection.long`), so that a dropped connection does
        not kill it; the unit's name comes from the run id, so a second start finds it running. Whoever takes the lock
        first waits for units of earlier runs that are still at work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbook import plots, tables
    from runbook.execution.run import Run, start
    from runbook.verdict import State

__all__ = ["Run", "State", "plots", "start", "tables"]

_HOME = {"start": "runbook.execution.run", "Run": "runbook.execution.run", "State": "runbook.verdict"}


def __getattr__(name: str) -> Any:
    """Import late: `./runbook --help` should not pay for paramiko, pandas or matplotlib."""
    import importlib  # noqa: PLC0415 (needed at the first use only)

    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    if name in {"plots", "tables"}:
        return importlib.import_module(f"runbook.{name}")
    raise AttributeError(f"module 'runbook' has no attribute {name!r}")
