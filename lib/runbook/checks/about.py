"""The runbook itself: its own review date, and the exceptions that have run out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters


def review(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """The date of the next review lies ahead."""
    due = parameters.about.next_review
    if due is None:
        return [
            Verdict(
                State.WARNING,
                "about.review",
                "runbook",
                "no date of review is set",
                value="none",
                limit="a date",
                evidence="params file: about.next_review",
            )
        ]
    today = facts.at.date()
    return [
        judge_condition(
            today <= due,
            "about.review",
            "runbook",
            ok="reviewed, and the next review lies ahead",
            bad="the review is overdue: go through the params file and the notebooks, then set the dates anew",
            state=State.WARNING,
            value=f"last {parameters.about.reviewed or 'unknown'}",
            limit=f"due {due}",
            evidence="params file: about.reviewed, about.next_review",
        )
    ]


def exceptions(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """No known exception has expired."""
    today = facts.at.date()
    return [
        Verdict(
            State.WARNING,
            "about.exception",
            f"{item.check} {item.subject}",
            "this known exception has expired: mend what it excuses, or decide anew",
            value=str(item.expires),
            limit=f"after {today}",
            evidence=item.reason,
        )
        for item in parameters.known_exceptions
        if item.expires < today
    ]
