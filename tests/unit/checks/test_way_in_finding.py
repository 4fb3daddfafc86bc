"""Which it is where nobody gets in: users are served, in part, or not at all."""

from __future__ import annotations

import pytest

from runbook.checks.way_in import way_in
from runbook.verdict import State, Verdict

REASON = "pazpaz@host:22 cannot be reached: no answer in time"


def row(check: str, state: State, reason: str = "as seen") -> Verdict:
    return Verdict(state, check, "x", reason)


UNSEEN = row("web.proxy-config", State.UNKNOWN, f"no evidence: {REASON}")
SERVED = [row("web.front-page", State.OK), row("web.health", State.OK), row("web.latency", State.WARNING), UNSEEN]
GONE = [row("web.front-page", State.CRITICAL), row("web.health", State.UNKNOWN), UNSEEN]
PART = [row("web.front-page", State.OK), row("web.health", State.CRITICAL), UNSEEN]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (SERVED, "users are served; only the way in over SSH is gone"),
        (GONE, "neither users nor operators get through"),
        (PART, "users get through in part (1 of 2 checks from outside fail)"),
        ([UNSEEN], "nothing was looked at from outside"),
    ],
)
def test_the_sentence_says_which_it_is(rows: list[Verdict], says: str) -> None:
    found = way_in(REASON, rows)
    assert (found.state, found.check, found.evidence) == (State.CRITICAL, "access.way-in", REASON)
    assert says in found.reason
