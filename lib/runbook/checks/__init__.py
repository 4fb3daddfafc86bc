"""Checks: a fact and the limits in, verdicts out. Pure.

Every check function has the shape `(facts, parameters) -> list[Verdict]`; a missing fact gives UNKNOWN with its reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.facts import Facts
    from runbook.parameters import Parameters

    Check = Callable[[Facts, Parameters], list[Verdict]]


def unknown(check: str, subject: str, missing: Missing, *, next_notebook: str = "") -> Verdict:
    """Given missing evidence, return the UNKNOWN verdict that says why there is none."""
    return Verdict(
        State.UNKNOWN, check, subject, f"no evidence: {missing.reason}", evidence=missing.command, next=next_notebook
    )
