"""The user's way: every step passed, in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import state_when_high, threshold_text, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.synthetic import Step
    from runbook.parameters import Parameters, SyntheticUser

LOGS, TRIAGE, DATABASE = "04-health/log-scan", "08-troubleshoot/triage", "08-troubleshoot/database-connections"
BREACH, CORRUPTION, STATUS = "09-emergency/security-breach", "09-emergency/data-corruption", "02-services/status"
NEXT = {
    "login": DATABASE,
    "guard": BREACH,
    "me": LOGS,
    "read": DATABASE,
    "old-data": CORRUPTION,
    "write": DATABASE,
    "read-back": CORRUPTION,
    "change": DATABASE,
    "upload": LOGS,
    "download": CORRUPTION,
    "scan": STATUS,
    "job": STATUS,
    "cleanup": LOGS,
}


def synthetic(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge every step of the walk. Without an account nothing was walked, which is said and not hidden."""
    found = facts.get("synthetic")
    if isinstance(found, Missing):
        return [unknown("synthetic.login", "user's way", found, next_notebook=TRIAGE)]
    if found.skipped or parameters.synthetic is None:
        return [
            Verdict(State.OK, "synthetic.account", "user's way", "not walked", known=f"not looked at: {found.skipped}")
        ]
    return [_step(step, parameters.synthetic) for step in found.steps]


def _step(step: Step, account: SyntheticUser) -> Verdict:
    name = f"synthetic.{step.name}"
    if step.passed is None:
        return Verdict(State.UNKNOWN, name, "user's way", step.reason, value="not reached", limit="passes", next=TRIAGE)
    milliseconds = f"{step.milliseconds:.0f} ms"
    if not step.passed:
        return Verdict(
            State.CRITICAL,
            name,
            "user's way",
            step.reason,
            value="failed",
            limit="passes",
            evidence=step.evidence or f"failed after {milliseconds}",
            next=NEXT.get(step.name, TRIAGE),
        )
    limit = account.step_milliseconds
    # a job has a limit of its own, within which the worker must have taken and done it
    state = State.OK if step.name == "job" else state_when_high(step.milliseconds, limit)
    reason = step.reason if state is State.OK else f"slow: {step.reason}"
    return Verdict(
        state,
        name,
        "user's way",
        reason,
        value=milliseconds,
        limit=threshold_text(limit, "ms") if step.name != "job" else f"{account.job_timeout_seconds:g} s",
        next="" if state is State.OK else "08-troubleshoot/high-cpu-memory",
    )
