"""Triage: findings in, causes out, ranked. Pure.

verdicts -> placing (which part each finding is about, and how much it says) -> ranking (what explains what) -> causes.
`parts` holds the model of what needs what, made from the params file and from the stack itself. No rule knows a fault:
what explains a finding is another finding on a part that it needs. Models: Icinga's dependencies between hosts and
services, and the distinction of symptom and cause in the SRE book (chapter 6, "Monitoring Distributed Systems").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.triage.ranking import Cause, Causes, Group, causes
from runbook.verdict import State, Verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.facts import Facts
    from runbook.parameters import Parameters
    from runbook.verdict import Verdict

__all__ = ["Cause", "Causes", "Group", "causes", "ordered"]


def ordered(rows: Iterable[Verdict], facts: Facts, parameters: Parameters) -> Verdicts:
    """Return all verdicts in the order of a page: each cause, what follows from it, then what is well."""
    judged = list(rows)
    first = causes(judged, facts, parameters).verdicts
    rest = sorted((row for row in judged if row.state is State.OK), key=lambda row: (row.check, row.subject))
    return Verdicts((*first, *rest))
