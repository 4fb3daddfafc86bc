"""What a new version logs: each kind of error by itself, so that a kind that was not there before stands out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_number, unknown
from runbook.facts import Missing
from runbook.facts.synthetic import MARK
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters

LOGS = "04-health/log-scan"
SUBJECT_CHARACTERS = 100


def errors(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Kinds of errors in the logs of the release's containers, one row each; the same kind before and after is the same row.

    What speaks of our own walk is left out: it removes what it made, sometimes before a job has looked at it.
    """
    found = facts.get("release_logs")
    if isinstance(found, Missing):
        return [unknown("deploy.errors", "logs", found, next_notebook=LOGS)]
    rows = [
        judge_number(
            "deploy.errors", f"{shape.service}: {shape.shape[:SUBJECT_CHARACTERS]}", shape.count, parameters.deploy.new_errors,
            unit="lines", what=f"{shape.level.lower()} lines of one kind in the log", next_notebook=LOGS, evidence=shape.sample[:200],
        )
        for shape in found.shapes([line for line in found.errors if MARK not in line.message])
    ]  # fmt: skip
    rows += [
        Verdict(State.UNKNOWN, "deploy.errors", service, f"its log could not be read: {why}", next=LOGS)
        for service, why in found.unread.items()
    ]
    return rows or [Verdict(State.OK, "deploy.errors", "logs", "no errors in the logs of what is deployed", "0 lines")]
