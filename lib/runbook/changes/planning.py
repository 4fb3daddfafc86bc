"""From facts to a plan: the planner's steps, less those that a probe says are done. Reads only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.changes.registry import planner

if TYPE_CHECKING:
    from runbook.changes.plan import Context, Plan
    from runbook.facts import CommandRunner


def make(gate: CommandRunner, notebook: str, context: Context) -> Plan:
    """Given a connection, a notebook's name and what it found, return the plan of what is still to do.

    Raises what the planner raises to refuse: PreflightError, ParametersError.
    """
    return less_finished(gate, planner(notebook)(context))


def less_finished(gate: CommandRunner, plan: Plan) -> Plan:
    """Given a plan, return it without the steps whose probe says that they are done. All probes go out together."""
    probes = {step.name: step.done for step in plan.steps if step.done is not None}
    if not probes:
        return plan
    results = gate.run_all(probes)
    done = frozenset(name for name, result in results.items() if result.exit_code == 0 and not result.timed_out)
    return plan.without(done) if done else plan
