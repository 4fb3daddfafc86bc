"""The runbook itself: somebody has read it through in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters


def review(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge the review date of the params file: a runbook that nobody has read for long cannot be trusted."""
    about, today = parameters.about, facts.at.date()
    evidence = f"about.reviewed: {about.reviewed or 'never'}"
    if about.next_review is None:
        reason = "the params file names no day for its review (about.next_review)"
        return [Verdict(State.UNKNOWN, "start.review", "this runbook", reason, evidence=evidence)]
    overdue = (today - about.next_review).days
    value = f"next review {about.next_review}"
    if overdue > 0:
        reason = (
            f"its review is overdue by {overdue} days: read it through, then set about.reviewed and about.next_review"
        )
        return [Verdict(State.WARNING, "start.review", "this runbook", reason, value, "not passed", evidence)]
    return [
        Verdict(State.OK, "start.review", "this runbook", "its review is not due yet", value, "not passed", evidence)
    ]
