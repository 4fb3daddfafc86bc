"""Known exceptions: findings that are accepted until a date, and only while a functional probe passes in the same run."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from runbook.parameters import KnownException

ACCEPTABLE = frozenset({State.WARNING, State.CRITICAL})


def apply(rows: Iterable[Verdict], known: Sequence[KnownException], *, today: dt.date) -> list[Verdict]:
    """Given verdicts and the params file's exceptions, return them with accepted findings turned into OK with a note.

    UNKNOWN is never accepted: it is no finding but a lack of evidence. An exception that has expired, or whose probe did
    not pass, leaves the finding as it is and says so.
    """
    judged = list(rows)
    return [_one(row, known, judged, today) if row.state in ACCEPTABLE else row for row in judged]


def _one(row: Verdict, known: Sequence[KnownException], judged: list[Verdict], today: dt.date) -> Verdict:
    matching = [item for item in known if item.check == row.check and fnmatchcase(row.subject, item.subject)]
    refused = []
    for item in matching:
        if item.expires < today:
            refused.append(f"its known exception expired on {item.expires}")
            continue
        against = _against(item.requires, judged)
        if against:
            refused.append(f"its known exception does not apply: {against}")
            continue
        probe = f", {item.requires} passes" if item.requires else ""
        return replace(row, state=State.OK, known=f"accepted until {item.expires}{probe}: {item.reason}", next="")
    return replace(row, reason="; ".join([row.reason, *refused]), voided="; ".join(refused)) if refused else row


def _against(requires: str | None, judged: list[Verdict]) -> str:
    """Return why the functional probe does not stand for the exception; empty when it passed."""
    if requires is None:
        return ""
    states = [row.state for row in judged if row.check == requires]
    if not states:
        return f"{requires} was not looked at"
    worst = max(states, key=lambda state: state.rank)
    return "" if worst is State.OK else f"{requires} is {worst}"
