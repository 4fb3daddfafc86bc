"""From a fact to a table: where there is no evidence the table says so, and a state comes from the verdicts only."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from runbook.facts import Missing
from runbook.tables.table import Table
from runbook.verdict import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.facts import Facts
    from runbook.verdict import Verdicts

    Drawn = Callable[[Any, Facts, Verdicts | None], Table]
    Shown = Callable[..., Table]


def shown(name: str) -> Callable[[Drawn], Shown]:
    """Given a fact's name, make `(fact, facts, verdicts) -> Table` a function of `(facts, verdicts=None)`.

    A missing fact never reaches the drawing function: the table then is one UNKNOWN row with the reason.
    """

    def wrap(draw: Drawn) -> Shown:
        @functools.wraps(draw)
        def table(facts: Facts, verdicts: Verdicts | None = None) -> Table:
            fact = facts.get(name)
            return missing_table(fact) if isinstance(fact, Missing) else draw(fact, facts, verdicts)

        return table

    return wrap


def missing_table(missing: Missing) -> Table:
    """Given missing evidence, return the table that says what could not be seen and why."""
    columns = ("state", "not seen", "reason", "command")
    row = (State.UNKNOWN, missing.fact, missing.reason, missing.command)
    return Table.of(columns, [row], title="No evidence: this could not be looked at.")


def count(number: int, noun: str, plural: str = "") -> str:
    """Given a number and a noun, return both in words: `1 container`, `2 containers`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def period(since: str) -> str:
    """Given what Docker takes as `--since`, return it in words: `in the last 1h`, `since 2026-11-24T08:00:00Z`."""
    return f"in the last {since}" if since[-1:] in "smhd" else f"since {since}"
