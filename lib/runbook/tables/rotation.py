"""The secrets: how old each is, and what waits to be confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks.rotation import days
from runbook.facts.rotation import SECRETS, Rotation
from runbook.tables.shown import shown
from runbook.tables.table import Cell, Table
from runbook.tables.verdicts import findings_of, reason_of, state_of

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.verdict import Verdicts

LAST = {
    "begun": "begun, not ended",
    "rotated": "rotated, to be confirmed",
    "finished": "confirmed",
    "undone": "taken back",
}


@shown("rotation")
def secrets(fact: Rotation, facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return the age of each secret and the state of its last rotation; values are never looked at."""
    rows: list[tuple[Cell, ...]] = []
    for secret in SECRETS:
        found = findings_of(verdicts, secret, "rotation")
        entry, last = fact.last_change(secret), fact.newest(secret)
        old = f"{'' if entry else 'at least '}{days(entry.at if entry else fact.env_changed, facts.at)} days"
        rows.append(
            (
                state_of(found),
                secret,
                old,
                LAST.get(last.state, last.state) if last else "never rotated by this runbook",
                reason_of(found),
            )
        )
    waiting = sum(1 for secret in SECRETS if (last := fact.newest(secret)) is not None and last.state == "rotated")
    columns = ("state", "secret", "age", "last rotation", "finding")
    return Table.of(columns, rows, title=f"{len(SECRETS)} secrets, {waiting} of them to be confirmed")
