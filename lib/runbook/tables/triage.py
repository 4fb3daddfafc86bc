"""Causes as a table: what to mend first, what follows from it, how sure that is, and what to run."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from runbook.tables.shown import count
from runbook.tables.table import Cell, Table
from runbook.tables.verdicts import notebook_link
from runbook.triage import Group

if TYPE_CHECKING:
    from runbook.triage import Cause, Causes

MOST = 8


def causes(found: Causes, *, depth: int = 1) -> Table:
    """Given causes, return them, the one to mend first in front; what is accepted is only counted."""
    shown = [cause for cause in found if cause.group is not Group.ACCEPTED]
    accepted = len(found) - len(shown)
    rows: list[tuple[Cell, ...]] = [
        (
            cause.row.state, str(cause.group), f"{cause.row.subject}: {cause.row.reason}", cause.row.evidence or "-", _explains(cause),
            cause.confidence, notebook_link(cause.row.next, depth=depth) if cause.row.next else "-",
        )
        for cause in shown
    ]  # fmt: skip
    note = (
        f"{count(accepted, 'known exception')} void for the moment, because of what stands above." if accepted else ""
    )
    columns = ("state", "when", "cause", "evidence", "what follows from it", "how sure", "open next")
    return Table.of(columns, rows, title=title(found), note=note)


def title(found: Causes) -> str:
    """Return the first line of a triage: the cause, and how many there are."""
    shown = [cause for cause in found if cause.group is not Group.ACCEPTED]
    if not shown:
        return "No cause of trouble was found."
    first, more = shown[0], len(shown) - 1
    return f"{first.row.state}: {first.row.subject}: {first.row.reason}" + (
        f" (and {count(more, 'other cause')})" if more else ""
    )


def ruled_out(found: Causes) -> Table:
    """Given causes, return for each that hurts users what else could do so, and which parts passed their own probes."""
    rows: list[tuple[Cell, ...]] = [
        (
            cause.row.state, f"{cause.row.subject}: {cause.row.reason}", "; ".join(f"{row.subject}: {row.reason}" for row in cause.rivals[:4]) or "nothing",
            ", ".join(cause.ruled_out) or "-",
        )
        for cause in found
        if cause.group is Group.NOW
    ]  # fmt: skip
    return Table.of(
        ("state", "cause", "what else would explain the same", "ruled out: these passed their own probes"),
        rows,
        title="What was ruled out, and what cannot be told apart" if rows else "Nothing hurts users now.",
    )


def commands(found: Causes, target: str) -> Table:
    """Given causes, return the command of the notebook that mends each, its parameters filled in; none of them changes anything yet."""
    rows: list[tuple[Cell, ...]] = [
        (cause.row.state, f"{cause.row.subject}: {cause.row.reason}", command(cause, target))
        for cause in found
        if cause.row.next and cause.group is not Group.ACCEPTED
    ]
    return Table.of(
        ("state", "cause", "what to run (it shows a plan, and changes nothing yet)"), rows, title="What to run next"
    )


def command(cause: Cause, target: str) -> str:
    """Given a cause, return the command of its notebook with its parameters."""
    words = ["./runbook", "run", cause.row.next, "-p", "target", target]
    for name, value in cause.next_values:
        words += ["-p", name, value]
    return shlex.join(words)


def _explains(cause: Cause) -> str:
    if not cause.explains:
        return "-"
    rooms: dict[str, int] = {}
    for row in cause.explains:
        rooms[row.subject] = rooms.get(row.subject, 0) + 1
    told = ", ".join(f"{subject} ({number})" if number > 1 else subject for subject, number in list(rooms.items())[:5])
    return f"{count(len(cause.explains), 'finding')}: {told}" + (", ..." if len(rooms) > 5 else "")  # noqa: PLR2004 (what fits a cell)
