"""Checks: facts and the limits in, verdicts out. Pure.

Every check has the shape `(facts, parameters) -> list[Verdict]`; a missing fact gives UNKNOWN with its reason. Limits and
expectations stand in the params file. Names are `<subsystem>.<aspect>`; `next` names the notebook to open.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from runbook.facts import Facts, Missing
from runbook.parameters import Parameters
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.parameters import Threshold

Check = Callable[[Facts, Parameters], list[Verdict]]


def unknown(check: str, subject: str, missing: Missing, *, next_notebook: str = "") -> Verdict:
    """Given missing evidence, return the UNKNOWN verdict that says why there is none."""
    return Verdict(
        State.UNKNOWN, check, subject, f"no evidence: {missing.reason}", evidence=missing.command, next=next_notebook
    )


def state_when_high(value: float, limit: Threshold) -> State:
    """Given a value that is better when smaller, return the state; a limit counts as reached when it is equalled."""
    if value >= limit.critical:
        return State.CRITICAL
    return State.WARNING if value >= limit.warning else State.OK


def state_when_low(value: float, limit: Threshold) -> State:
    """Given a value that is better when larger (days left), return the state; at the limit itself it is reached."""
    if value <= limit.critical:
        return State.CRITICAL
    return State.WARNING if value <= limit.warning else State.OK


def threshold_text(limit: Threshold, unit: str = "") -> str:
    """Return both steps as text for the limit's column."""
    return f"{limit.warning:g} / {limit.critical:g}{f' {unit}' if unit else ''}"


def number_of(count: int, thing: str) -> str:
    """Given a count and a thing, return both in words.

    >>> number_of(1, "check"), number_of(3, "check")
    ('1 check', '3 checks')
    """
    return f"{count} {thing}{'' if count == 1 else 's'}"


def judge_number(
    check: str,
    subject: str,
    value: float,
    limit: Threshold,
    *,
    unit: str,
    what: str,
    next_notebook: str,
    evidence: str = "",
) -> Verdict:
    """Return the verdict of a number that is better when smaller; `what` names it in the reason."""
    state = state_when_high(value, limit)
    reason = f"{what} within its limits" if state is State.OK else f"{what} over its limit"
    number = f"{value:.1f}".removesuffix(".0")
    opened = "" if state is State.OK else next_notebook
    return Verdict(
        state, check, subject, reason, f"{number} {unit}", threshold_text(limit, unit), evidence=evidence, next=opened
    )


def judge_none(
    found: Collection[str],
    check: str,
    subject: str,
    *,
    ok: str,
    bad: str,
    word: str = "",
    state: State = State.WARNING,
    **more: Any,
) -> Verdict:
    """Return OK where nothing was found, else `state` with all that was; `word` says what they are in the value ("3 gone")."""
    return judge_condition(
        not found, check, subject, ok=ok, bad=f"{bad}: {', '.join(found)}", state=state,
        value=f"{len(found)} {word}".rstrip(), limit="0", **more,
    )  # fmt: skip


def judge_condition(
    good: object, check: str, subject: str, *, ok: str, bad: str, state: State = State.CRITICAL, **more: Any
) -> Verdict:
    """Return OK with the reason `ok` where `good` holds, else `state` with the reason `bad`.

    `next` is kept only for a finding: where all is well there is nothing to open.
    """
    if good:
        return Verdict(State.OK, check, subject, ok, **{key: value for key, value in more.items() if key != "next"})
    return Verdict(state, check, subject, bad, **more)
