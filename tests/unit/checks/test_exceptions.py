"""Known exceptions: accepted only until their date, only while their probe passes, and never for a lack of evidence."""

from __future__ import annotations

import datetime as dt

import pytest

from runbook.checks.exceptions import apply
from runbook.parameters import KnownException
from runbook.verdict import State, Verdict

EXPIRES = dt.date(2027, 6, 30)
KNOWN = KnownException(
    check="services.health", subject="front*", reason="badly tuned", expires=EXPIRES, requires="web.front-page"
)
UNHEALTHY = Verdict(State.CRITICAL, "services.health", "frontend", "its health check fails", next="08-troubleshoot/x")
SERVED = Verdict(State.OK, "web.front-page", "front page", "served")
NOT_SERVED = Verdict(State.CRITICAL, "web.front-page", "front page", "answers 502")
NO_IDEA = Verdict(State.UNKNOWN, "web.front-page", "front page", "no evidence")


@pytest.mark.parametrize(
    ("rows", "today", "state", "said"),
    [
        ([UNHEALTHY, SERVED], EXPIRES, State.OK, "badly tuned"),
        ([UNHEALTHY, SERVED], EXPIRES + dt.timedelta(days=1), State.CRITICAL, "expired on 2027-06-30"),
        ([UNHEALTHY, NOT_SERVED], EXPIRES, State.CRITICAL, "web.front-page is CRITICAL"),
        ([UNHEALTHY, NO_IDEA], EXPIRES, State.CRITICAL, "web.front-page is UNKNOWN"),
        ([UNHEALTHY, SERVED, NOT_SERVED], EXPIRES, State.CRITICAL, "web.front-page is CRITICAL"),
        ([UNHEALTHY], EXPIRES, State.CRITICAL, "was not looked at"),
    ],
)
def test_accepted_only_when_it_may_be(rows: list[Verdict], today: dt.date, state: State, said: str) -> None:
    """The finding stays as it is, with the reason why, unless everything that the exception asks for holds."""
    found = apply(rows, [KNOWN], today=today)[0]
    assert found.state is state
    assert said in found.reason + found.known
    assert found.reason.startswith("its health check fails")


def test_unknown_is_never_accepted() -> None:
    """No evidence is no finding that could be excused."""
    blind = Verdict(State.UNKNOWN, "services.health", "frontend", "no evidence")
    assert apply([blind, SERVED], [KNOWN], today=EXPIRES) == [blind, SERVED]


def test_others_are_left_alone() -> None:
    """An exception is for one check and the subjects that its pattern names."""
    other = Verdict(State.CRITICAL, "services.health", "api", "its health check fails")
    assert apply([other, SERVED], [KNOWN], today=EXPIRES) == [other, SERVED]


def test_a_second_exception_may_still_apply() -> None:
    """An expired line in the params file does not get in the way of a renewed one."""
    renewed = KNOWN.model_copy(update={"expires": dt.date(2028, 1, 1), "reason": "decided anew"})
    found = apply([UNHEALTHY, SERVED], [KNOWN, renewed], today=dt.date(2027, 12, 1))[0]
    assert (found.state, "decided anew" in found.known) == (State.OK, True)
