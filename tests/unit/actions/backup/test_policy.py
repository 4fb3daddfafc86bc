"""The rule of retention: what is proven good and newest stays, always; what is young stays; what nobody believes stays."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from runbook.actions.backup.policy import Copy, Policy, choose, has_plausible_dates

NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
POLICY = Policy(days=30, keep_verified=3)


def copy(days: float, *, verified: bool = True, name: str = "") -> Copy:
    """A copy so many days old."""
    return Copy(name or f"{days:g} days", (NOW - dt.timedelta(days=days),), 1, verified)


def gone(*copies: Copy, policy: Policy = POLICY) -> list[str]:
    """The names of the copies that may go."""
    return [choice.copy.name for choice in choose(copies, NOW, policy) if not choice.stays]


def test_what_is_old_goes_when_enough_newer_ones_are_good() -> None:
    assert gone(*(copy(days) for days in (1, 10, 29.9, 30.1, 31, 400))) == ["30.1 days", "31 days", "400 days"]


def test_the_newest_good_ones_stay_at_any_age() -> None:
    assert gone(copy(100), copy(200), copy(300), copy(400)) == ["400 days"]
    assert gone(copy(100)) == []


def test_newer_broken_ones_do_not_cost_the_only_good_one() -> None:
    broken = [copy(days, verified=False) for days in (1, 2, 40, 50)]
    assert gone(*broken, copy(90)) == []
    assert gone(*broken, copy(45), copy(90), copy(95), copy(99)) == ["50 days", "99 days"]


def test_where_nothing_is_proven_good_nothing_goes() -> None:
    assert gone(*(copy(days, verified=False) for days in (1, 100, 1000))) == []


def test_a_date_in_the_future_neither_goes_nor_counts() -> None:
    future = Copy("future", (NOW + dt.timedelta(days=400),), 1, True)
    assert gone(future, copy(40), copy(50), copy(60)) == []
    assert gone(future, copy(40), copy(50), copy(60), copy(70)) == ["70 days"]


def test_a_copy_is_as_young_as_the_youngest_of_its_dates() -> None:
    lying = Copy("lying", (NOW - dt.timedelta(days=300), NOW - dt.timedelta(days=2)), 1, False)
    assert gone(copy(1), copy(3), copy(4), lying) == []


dates = st.datetimes(dt.datetime(1960, 1, 1), dt.datetime(2100, 1, 1)).map(lambda at: at.replace(tzinfo=dt.UTC))  # noqa: DTZ001 (hypothesis wants them so)
near = st.floats(-100, 400).map(lambda days: NOW - dt.timedelta(days=days))
copies = st.lists(
    st.builds(
        Copy,
        name=st.text("abc", max_size=3),
        dates=st.lists(near | dates, max_size=3).map(tuple),
        size_bytes=st.integers(0, 10),
        verified=st.booleans(),
    ),
    max_size=25,
)
policies = st.builds(Policy, days=st.floats(0, 400), keep_verified=st.integers(-1, 6))


@given(copies, policies)
def test_whatever_the_backups(found: list[Copy], policy: Policy) -> None:
    choices = choose(found, NOW, policy)
    stay, leave = [c.copy for c in choices if c.stays], [c.copy for c in choices if not c.stays]
    assert sorted(map(id, stay + leave)) == sorted(map(id, found))
    good = sorted(
        (one for one in found if one.verified and has_plausible_dates(one, NOW)), key=lambda one: one.made, reverse=True
    )
    kept_good = [one for one in stay if one.verified and has_plausible_dates(one, NOW)]
    # the newest verified one stays, and as many as are asked for
    assert len(kept_good) >= min(len(good), max(1, policy.keep_verified))
    for one in leave:
        assert good, "nothing goes where nothing is proven good"
        assert one.made < good[0].made, "a newer verified one stays"
        assert has_plausible_dates(one, NOW)
        assert min(NOW - date for date in one.dates) > dt.timedelta(days=policy.days), "nothing young goes"
    if good and leave:
        assert good[0] in stay
