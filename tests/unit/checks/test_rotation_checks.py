"""How old secrets may be, what waits, and whether a login outlives its key."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from runbook import tables
from runbook.checks import rotation
from runbook.facts import Facts, Missing
from runbook.facts.rotation import Entry, Rotation, Session
from runbook.verdict import State

if TYPE_CHECKING:
    from runbook.parameters import Parameters

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


def entry(state: str, days: float, secret: str = "jwt-secret", run: str = "R") -> Entry:  # noqa: S107 (a name, not a value)
    return Entry(secret, state, NOW - days * DAY, run)


def facts(*entries: Entry, changed: float = 3, **more: object) -> Facts:
    return Facts({"rotation": Rotation(entries, NOW - changed * DAY), **more}, {}, seconds=0, begun=NOW.timestamp())


@pytest.mark.parametrize(
    ("days", "state"), [(364.9, State.OK), (365, State.WARNING), (1094.9, State.WARNING), (1095, State.CRITICAL)]
)
def test_age_at_its_limits(parameters: Parameters, days: float, state: State) -> None:
    found = {row.subject: row for row in rotation.ages(facts(entry("begun", days), entry("rotated", days)), parameters)}
    assert found["jwt-secret"].state is state
    assert found["redis-password"].value == "at least 3 days"
    assert len(found) == 4


def test_what_was_taken_back_does_not_make_a_secret_younger(parameters: Parameters) -> None:
    log = [
        entry("rotated", 400, run="A"),
        entry("finished", 399, run="A"),
        entry("rotated", 1, run="B"),
        entry("undone", 1, run="B"),
    ]
    assert rotation.ages(facts(*log), parameters)[2].value == "400 days"


@pytest.mark.parametrize(
    ("log", "state"),
    [
        ([], None),
        ([entry("begun", 0)], State.WARNING),
        ([entry("begun", 6), entry("rotated", 6)], State.OK),
        ([entry("rotated", 7)], State.WARNING),
        ([entry("rotated", 30)], State.CRITICAL),
        ([entry("rotated", 30), entry("finished", 1)], None),
        ([entry("begun", 30), entry("undone", 1)], None),
    ],
)
def test_what_is_unfinished(parameters: Parameters, log: list[Entry], state: State | None) -> None:
    found = rotation.unfinished(facts(*log), parameters)
    assert [row.state for row in found] == ([state] if state else [])


@pytest.mark.parametrize(
    ("rotated_days", "earlier", "state"),
    [
        (0.5, "refused", State.OK), (0.5, "accepted", State.CRITICAL), (2, "accepted", State.OK), (2, "refused", State.WARNING), (None, "accepted", State.OK),
    ],
)  # fmt: skip
def test_a_login_ends_with_its_key_and_only_then(
    parameters: Parameters, rotated_days: float | None, earlier: str, state: State
) -> None:
    log = [] if rotated_days is None else [entry("rotated", rotated_days)]
    session = Session(earlier, (NOW - DAY).timestamp())
    assert [row.state for row in rotation.session(facts(*log, session=session), parameters)] == [state]


@pytest.mark.parametrize(("began_days", "rows"), [(2, 0), (0.8, 1)])
def test_a_login_of_a_resumed_rotation_says_nothing(parameters: Parameters, began_days: float, rows: int) -> None:
    log = [entry("begun", began_days), entry("rotated", 0.5)]
    session = Session("accepted", (NOW - DAY).timestamp())
    assert len(rotation.session(facts(*log, session=session), parameters)) == rows


def test_no_evidence_is_unknown(parameters: Parameters) -> None:
    lacking = Facts({"rotation": Missing("rotation", "x"), "session": Missing("session", "y")}, {}, seconds=0)
    found = [
        row for check in (rotation.ages, rotation.unfinished, rotation.session) for row in check(lacking, parameters)
    ]
    assert [row.state for row in found] == [State.UNKNOWN] * 3


def test_the_table_shows_every_secret_with_its_age_and_what_waits(parameters: Parameters) -> None:
    shown = tables.secrets(facts(entry("rotated", 40)))
    assert shown.title == "4 secrets, 1 of them to be confirmed"
    assert [row[1:4] for row in shown.rows if row[1] == "jwt-secret"] == [
        ("jwt-secret", "40 days", "rotated, to be confirmed")
    ]
    assert tables.secrets(Facts({"rotation": Missing("rotation", "why")}, {}, seconds=0)).rows[0][0] is State.UNKNOWN
    assert parameters.rotation.age_days.warning == 365
