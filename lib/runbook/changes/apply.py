"""Apply: the guards, the steps, the look afterwards, and the way back.

Told in one sentence: what is not confirmed, locked and still as planned is refused; what failed or made things worse is
taken back, or the operator is told how.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from runbook.changes import earlier_run
from runbook.changes.executor import Executor, StepFailed
from runbook.changes.outage import Watch
from runbook.errors import ConfirmationError, RunbookError
from runbook.verdict import State, Verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook.changes.plan import Plan, Step
    from runbook.connection import Connection
    from runbook.parameters import Parameters
    from runbook.records.journal import Journal

DRY, NOTHING, APPLIED, ROLLED_BACK, FAILED, WORSE = (
    "dry run",
    "nothing to do",
    "applied",
    "rolled back",
    "failed",
    "worse",
)
LOOK_AGAIN_SECONDS = 2.0


class Asked(Protocol):
    """The run on whose behalf a plan is applied."""

    connection: Connection
    journal: Journal
    parameters: Parameters

    @property
    def applies(self) -> bool:
        """Whether it may change anything."""

    @property
    def kind(self) -> str:
        """The notebook's kind."""

    @property
    def label(self) -> str:
        """Begins the names of the run's units on the server."""

    @property
    def begun_before(self) -> tuple[Step, ...]:
        """Steps that the runs which it goes on with have begun, in order."""

    def plan_anew(self) -> Plan:
        """Gather the facts anew and plan from them."""

    def look(self) -> Verdicts:
        """Gather and judge, without keeping it as the run's verdict."""

    def take_lock(self) -> None:
        """Take the target's lock, where this run does not hold it yet."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a plan. `state` is dry run, nothing to do, applied, rolled back, failed, or worse."""

    state: str
    sentence: str
    steps_done: int = 0
    seconds: float = 0.0
    downtime: str = ""
    next: str = ""

    @property
    def between(self) -> bool:
        """Whether the server may be between two states, so that nobody else should change it now."""
        return self.state == FAILED

    def __repr__(self) -> str:
        parts = [self.sentence, self.downtime and f"  {self.downtime}", self.next and f"  What to do next: {self.next}"]
        return "\n".join(part for part in parts if part)


def apply(run: Asked, plan: Plan, confirm: str, before: Verdicts) -> Outcome:
    """Carry out a plan, or say why not. Raises ConfirmationError, LockError; a step that fails is in the outcome."""
    if not plan.steps:
        return _told(run, Outcome(NOTHING, plan.sentence))
    if not run.applies:
        phrase = f' and confirm="{plan.phrase}"' if needs_phrase(run, plan) else ""
        return _told(
            run,
            Outcome(DRY, f"Dry run: nothing was changed. The plan has {len(plan.steps)} steps.", next=f"to carry it out, run again with apply=True{phrase}"),
        )  # fmt: skip
    run.take_lock()
    _confirmed(run, plan, confirm)
    fresh = run.plan_anew()
    if fresh.digest != plan.digest:
        raise ConfirmationError(
            f"the server is no longer as it was when the plan was made ({plan.digest[:8]} is now {fresh.digest[:8]}): {_difference(plan, fresh)}",
            remedy="run again from the top and look at the new plan; nothing was changed",
        )
    return _told(run, _carry_out(run, plan, before))


def needs_phrase(run: Asked, plan: Plan) -> bool:
    """Whether this plan must be confirmed by its phrase."""
    return run.kind == "danger" or plan.danger


def _confirmed(run: Asked, plan: Plan, given: str) -> None:
    if not needs_phrase(run, plan) and not given:
        return
    answer = given.strip() or _ask(plan)
    if answer == plan.phrase:
        return
    if not answer:
        reason = "this plan can lose data or cut access, and it was not confirmed"
    elif answer.startswith(f"{plan.target} "):
        reason = f"{answer!r} confirms another plan: the server or the parameters have changed since it was shown"
    else:
        reason = f"{answer[:80]!r} does not confirm this plan"
    raise ConfirmationError(
        reason,
        remedy=f'read the plan above; to carry out just this one, run again with apply=True and confirm="{plan.phrase}"; nothing was changed',
    )


def _ask(plan: Plan) -> str:
    """Ask the person at the notebook; the answer is empty where nobody can be asked (papermill, the command line)."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    if not getattr(getattr(shell, "kernel", None), "_allow_stdin", False):
        return ""
    lost = "".join(f"\n  would be lost or freed: {line}" for line in plan.losses)
    return input(
        f"{plan.sentence}{lost}\nType {plan.phrase!r} to carry it out; anything else changes nothing: "
    ).strip()


def _difference(old: Plan, new: Plan) -> str:
    """What differs between two plans, in a line."""
    changed = sorted(key for key in {*old.basis, *new.basis} if old.basis.get(key) != new.basis.get(key))
    if changed:
        return "; ".join(
            f"{key} was {str(old.basis.get(key))[:60]}, is {str(new.basis.get(key))[:60]}" for key in changed[:3]
        )
    left = [step.name for step in new.steps]
    return f"the steps are now {', '.join(left) or 'none'}"


def _carry_out(run: Asked, plan: Plan, before: Verdicts) -> Outcome:
    doer = Executor(run.connection, run.journal, run.label, say)
    run.journal.event(
        "undo",
        steps={
            step.name: [taken.command.shown for taken in step.undo] or step.no_undo
            for step in plan.steps
            if step.changes
        },
    )
    begun = time.monotonic()
    with Watch(run.parameters) as watch:
        try:
            doer.carry_out(plan.steps)
            worse = _worse_for_long(run, plan, before)
            failed = None
        except StepFailed as error:
            failed, worse = error, []
        except KeyboardInterrupt:
            # the step that was begun goes on on the server; what it did is not known here, so nothing is taken back
            _told(
                run,
                _outcome(
                    FAILED,
                    "Interrupted: the step that was begun may still be at work on the server.",
                    watch,
                    begun,
                    0,
                    _offer(run, resumable=True),
                ),
            )
            raise
        done = len(plan.steps) if failed is None else [step.name for step in plan.steps].index(failed.step.name)
        if failed is None and not worse:
            sentence = f"Applied: all {len(plan.steps)} steps are done, and no check has become critical or unknown."
            return _outcome(APPLIED, sentence, watch, begun, done)
        reason = failed.reason if failed else "all steps are done, but " + "; ".join(worse[:3])
        if not plan.automatic_undo:
            state = FAILED if failed else WORSE
            return _outcome(state, f"Failed: {reason}", watch, begun, done, _offer(run, resumable=failed is not None))
        say(f"taking it back: {reason.splitlines()[0]}")
        # of a resumed run all goes back that it and its forerunners began: half a way back would be worse than none
        steps = [*run.begun_before, *plan.steps[:done], *([failed.step] if failed else [])]
        taken = earlier_run.undo_steps(earlier_run.in_order(steps))
        try:
            doer.wait_for_earlier_steps()  # a step of which the end was not seen may still be at work
            doer.carry_out(taken, phase="undo")
        except RunbookError as again:
            return _outcome(FAILED, f"Failed: {reason}\n  Taking it back failed too: {again.reason}", watch, begun, done, _offer(run, resumable=True))  # fmt: skip
        still = _worse_for_long(run, replace(plan, tolerates=()), before)
        after = "the checks are as before" if not still else "but not all checks are as before: " + "; ".join(still[:3])
        return _outcome(
            ROLLED_BACK, f"Rolled back: {reason}\n  {len(taken)} steps took it back; {after}.", watch, begun, done
        )


def _outcome(  # noqa: PLR0917 (the outcome's fields, in their order)
    state: str, sentence: str, watch: Watch, begun: float, done: int, offer: str = ""
) -> Outcome:
    return Outcome(state, sentence, done, round(time.monotonic() - begun, 1), watch.outage.sentence, offer)


def _offer(run: Asked, *, resumable: bool) -> str:
    record = run.journal.run_id
    go_on = f"mend the cause, then go on: ./runbook resume {record}; or " if resumable else ""
    return f"{go_on}take it back: ./runbook undo {record}"


def _told(run: Asked, outcome: Outcome) -> Outcome:
    run.journal.event("applied", state=outcome.state, sentence=outcome.sentence, steps_done=outcome.steps_done,
                      seconds=outcome.seconds, downtime=outcome.downtime, next=outcome.next)  # fmt: skip
    return outcome


def _worse_for_long(run: Asked, plan: Plan, before: Verdicts) -> list[str]:
    """Look until the checks are as good as before, at most `settle_seconds`; return what is still worse, in words."""
    if "*" in plan.tolerates:
        return []
    deadline = time.monotonic() + plan.settle_seconds
    while True:
        try:
            found = worse_than(before, run.look(), plan.tolerates, plan.only_new)
        except RunbookError as error:
            found = [f"the server could not be looked at: {error.reason.splitlines()[0]}"]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(LOOK_AGAIN_SECONDS)


def worse_than(
    before: Verdicts, after: Verdicts, tolerates: Sequence[str] = (), only_new: Sequence[str] = ()
) -> list[str]:
    """Given verdicts before and after, return what is CRITICAL or without evidence now and was not before, in words.

    Checks that `tolerates` names (or whose room it names) may be worse. A row of a check that `only_new` names counts only
    where nothing of its kind was there before.
    """
    meant = {id(row) for row in after.only(*tolerates)} if tolerates else set()
    was = {(row.check, row.subject): row.state for row in before}
    return [
        f"{row.subject}: {row.reason} ({row.state})"
        for row in after
        if id(row) not in meant
        and row.state in {State.CRITICAL, State.UNKNOWN}
        and row.state.rank > was.get((row.check, row.subject), State.OK).rank
        and not (row.check in only_new and row.state is State.CRITICAL and (row.check, row.subject) in was)
    ]


def say(line: str) -> None:
    """Show the operator a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
