"""The service as its users meet it: what the public address answers, and the walk of the synthetic user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.tables.shown import count, shown
from runbook.tables.table import Cell, Table, size
from runbook.tables.verdicts import findings_of as _of
from runbook.tables.verdicts import reason_of, state_of
from runbook.verdict import State

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.http import Answer
    from runbook.facts.synthetic import Step, UserJourney
    from runbook.facts.web import Web
    from runbook.verdict import Verdict, Verdicts

HTTP_OK, HTTP_BAD = 200, 400


@shown("web")
def web(fact: Web, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return what each request to the public address got, with its time."""
    asked: list[tuple[str, Answer | None, list[Verdict]]] = [
        ("front page", fact.front, _of(verdicts, "front page", "web.front-page", "web.latency")),
        ("plain http", fact.redirect, _of(verdicts, None, "web.redirect")),
        ("API: alive (no more than that)", fact.health, _of(verdicts, "API", "web.health", "web.latency")),
        ("API: ready", fact.ready, _of(verdicts, "API", "web.ready") + _of(verdicts, "readiness", "web.latency")),
        *((f"front page's {item.path}", item, _of(verdicts, None, "web.assets")) for item in fact.assets),
    ]
    rows: list[tuple[Cell, ...]] = [
        (state_of(found), what, _answered(answer), answer.milliseconds, reason_of(found))
        for what, answer, found in asked
        if answer is not None
    ]
    for name, said in sorted(fact.ready_checks.items()):
        found = _of(verdicts, name, "web.ready")
        rows.append((state_of(found), f"API reaches {name}", said, None, reason_of(found)))
    found = _of(verdicts, None, "web.certificate", "web.certificate-days")
    trust = fact.certificate_error or (fact.certificate.error if fact.certificate else "")
    rows.append((state_of(found), "certificate", trust or "trusted, and for this name", None, reason_of(found)))
    failed = sum(1 for _, answer, _ in asked if answer is not None and not HTTP_OK <= answer.status < HTTP_BAD)
    title = f"{count(len(rows), 'look')} from outside, {count(failed, 'failed request')}"
    return Table.of(("state", "asked for", "answer", "milliseconds", "finding"), rows, title=title).all


@shown("synthetic")
def user_journey(fact: UserJourney, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return the synthetic user's steps in their order; the first one that fails is where a user stops."""
    if fact.skipped:
        return Table.of(
            ("not tried", "reason"), [("the user journey", fact.skipped)], title="The user journey was not tried."
        )
    passed = sum(1 for step in fact.steps if step.passed)
    note = f"{count(fact.removed_leftovers, 'leftover')} of an earlier walk removed." if fact.removed_leftovers else ""
    columns = ("state", "step", "seen", "milliseconds", "evidence")
    rows = tuple(_step(step, verdicts) for step in fact.steps)
    return Table(columns, rows, f"{passed} of {count(len(rows), 'step')} of a user's way passed", note, shown=None)


def _step(step: Step, verdicts: Verdicts | None) -> tuple[Cell, ...]:
    judged = state_of(_of(verdicts, None, f"synthetic.{step.name}"))
    state = judged or (State.UNKNOWN if step.passed is None else State.OK if step.passed else State.CRITICAL)
    return (state, step.name, step.reason, None if step.passed is None else step.milliseconds, step.evidence)


def _answered(answer: Answer) -> str:
    if answer.error:
        return answer.error
    moved = f", sends on to {answer.location}" if answer.location else ""
    return f"{answer.status}, {size(answer.size_bytes)}{moved}"
