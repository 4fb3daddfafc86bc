"""The service as its users meet it: what the public address answers, and the walk of the synthetic user."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.tables.shown import count, shown
from runbook.tables.table import Cell, Table, size
from runbook.tables.verdicts import findings_of, reason_of, state_of
from runbook.verdict import State

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.synthetic import Step, Walk
    from runbook.facts.web import Answer, Web
    from runbook.verdict import Verdicts


@shown("web")
def web(fact: Web, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return what each request to the public address got, with its time."""
    asked: list[tuple[str, str, Answer | None]] = [
        ("web.front-page", "front page", fact.front),
        ("web.health", "health (only says that the process lives)", fact.health),
        ("web.ready", "readiness (asks each part)", fact.ready),
        ("web.redirect", "plain http", fact.redirect),
    ]
    asked += [("web.assets", f"part of the page: {answer.path}", answer) for answer in fact.assets]
    rows: list[tuple[Cell, ...]] = []
    for check, what, answer in asked:
        if answer is not None:
            found = findings_of(verdicts, None, check)
            rows.append((state_of(found), what, _answered(answer), answer.milliseconds, reason_of(found)))
    rows += [(None, f"readiness of {name}", said, None, "") for name, said in sorted(fact.ready_checks.items())]
    found = findings_of(verdicts, None, "web.certificate")
    served = fact.certificate
    trust = fact.certificate_error or (served.error if served else "")
    rows.append((state_of(found), "certificate as served", trust or "trusted, name matches", None, reason_of(found)))
    columns = ("state", "asked for", "answer", "milliseconds", "finding")
    failed = sum(1 for _, _, answer in asked if answer is not None and (answer.error or answer.status >= 400))  # noqa: PLR2004 (HTTP: 400 and above are errors)
    title = f"{count(len(rows), 'look')} from outside, {failed} of the requests failed"
    return Table.of(columns, rows, title=title)


@shown("synthetic")
def walk(fact: Walk, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return the synthetic user's steps in their order; the first one that fails is where a user stops."""
    if fact.skipped:
        return Table.of(
            ("not walked", "reason"), [("the user's way", fact.skipped)], title="The user's way was not walked."
        )
    passed = sum(1 for step in fact.steps if step.passed)
    note = f"{count(fact.removed_leftovers, 'leftover')} of an earlier walk removed." if fact.removed_leftovers else ""
    columns = ("state", "step", "seen", "milliseconds", "evidence")
    rows = tuple(_step(step, verdicts) for step in fact.steps)
    return Table(columns, rows, f"{passed} of {count(len(rows), 'step')} of a user's way passed", note, shown=None)


def _step(step: Step, verdicts: Verdicts | None) -> tuple[Cell, ...]:
    judged = state_of(findings_of(verdicts, None, f"synthetic.{step.name}"))
    state = judged or (State.UNKNOWN if step.passed is None else State.OK if step.passed else State.CRITICAL)
    return (state, step.name, step.reason, None if step.passed is None else step.milliseconds, step.evidence)


def _answered(answer: Answer) -> str:
    if answer.error:
        return answer.error
    moved = f", sends on to {answer.location}" if answer.location else ""
    return f"{answer.status}, {size(answer.size_bytes)}{moved}"
