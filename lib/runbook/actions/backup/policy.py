"""Which copies stay and which may go: a rule that can be read on one page. Pure.

restic has rules of its own for that, but they count from the newest copy: one with a date in the future would let all
others go. So this rule names what goes, and restic forgets just that.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

OLDEST_BELIEVED = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
CLOCKS_DIFFER = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy. `dates` are all that is known of when it was made; `verified`: it was proven good just now."""

    name: str
    dates: tuple[dt.datetime, ...]
    size_bytes: int = 0
    verified: bool = False
    why_not: str = ""

    @property
    def made(self) -> dt.datetime:
        """The latest of its dates: a copy is never taken for older than any of them says."""
        return max(self.dates, default=OLDEST_BELIEVED)


@dataclass(frozen=True, slots=True)
class Policy:
    """Copies go when they are older than so many days; so many of the newest verified ones stay at any age."""

    days: float
    keep_verified: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A copy, whether it stays, and why."""

    copy: Copy
    stays: bool
    reason: str


def has_plausible_dates(copy: Copy, now: dt.datetime) -> bool:
    """Whether all dates of a copy can be true."""
    return bool(copy.dates) and all(OLDEST_BELIEVED < date <= now + CLOCKS_DIFFER for date in copy.dates)


def choose(copies: Iterable[Copy], now: dt.datetime, policy: Policy) -> tuple[Choice, ...]:
    """Given the copies of one class, say of each whether it stays, newest first.

    A copy goes only when all of this holds: its dates can be believed; it is older than the policy's days by every one of
    them; it is none of the newest verified ones; and a newer verified one stays. So a class in which nothing is proven
    good loses nothing.
    """
    found = sorted(copies, key=lambda copy: (copy.made, copy.name), reverse=True)
    proven = [copy for copy in found if copy.verified and has_plausible_dates(copy, now)]
    kept = proven[: max(1, policy.keep_verified)]
    return tuple(Choice(copy, *_judge(copy, now, policy, kept)) for copy in found)


def _judge(copy: Copy, now: dt.datetime, policy: Policy, kept: list[Copy]) -> tuple[bool, str]:
    if not kept:
        return True, "nothing of this class is proven good, so nothing goes"
    if not has_plausible_dates(copy, now):
        return True, "its date cannot be true"
    if any(copy is one for one in kept):
        return True, f"one of the newest {len(kept)} that are proven good"
    age = now - copy.made
    if age <= dt.timedelta(days=policy.days):
        return True, f"not older than {policy.days:g} days"
    if copy.made >= kept[0].made:
        return True, "no newer one is proven good"
    return False, f"{age.days} days old, and {len(kept)} newer ones are proven good"
