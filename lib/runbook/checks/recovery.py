"""Disaster recovery: the copy to recover from, and how long the recovery took, as of when its data is."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from runbook.checks import unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters, Threshold

COVERAGE = "07-backup/coverage"


def copy(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Given the copy, return how old the data in it is now: the recovery point that it would give."""
    found = facts.get("copy")
    if isinstance(found, Missing):
        return [unknown("recovery.copy", "copies off the server", found, next_notebook=COVERAGE)]
    hours = (facts.at - dt.datetime.fromisoformat(found.data_as_of)).total_seconds() / 3600
    limits = parameters.recovery.point_hours
    return [
        Verdict(
            _state(hours, limits),
            "recovery.copy",
            found.lost,
            f"the newest whole copy is of {found.data_as_of}; what came in after that would be lost",
            value=f"{hours:.1f} hours",
            limit=f"{limits.warning:g} hours",
            next=COVERAGE,
        )
    ]


def recovered(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Given what a recovery wrote down, return its recovery time; a host on which there was none yet has no row."""
    found = facts.get("recovered")
    if isinstance(found, Missing):
        return [unknown("recovery.time", "recovery", found)]
    if found is None:
        return []
    minutes, limits = found.recovery_seconds / 60, parameters.recovery.time_minutes
    return [
        Verdict(
            _state(minutes, limits),
            "recovery.time",
            "recovery",
            f"recovered at {found.ended} from the copy of {found.data_as_of}",
            value=f"{found.recovery_seconds} s",
            limit=f"{limits.warning:g} min",
        )
    ]


def _state(value: float, limits: Threshold) -> State:
    if value >= limits.critical:
        return State.CRITICAL
    return State.WARNING if value >= limits.warning else State.OK
