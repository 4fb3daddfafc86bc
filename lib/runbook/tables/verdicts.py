"""Verdicts as tables: what was found, what to open next, and before against after."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from runbook.parameters import project_root
from runbook.tables.shown import count
from runbook.tables.table import SHOWN_ROWS, Cell, Link, Table
from runbook.verdict import State, Verdict, Verdicts, worst

if TYPE_CHECKING:
    from collections.abc import Iterable


def verdict_table(verdicts: Verdicts) -> Table:
    """Given verdicts, return the findings, worst first, value beside limit; known exceptions say why they are accepted.

    Where there are many, the plain OKs are summed up by room: at three in the morning they are not what is looked for.
    """
    columns = ("state", "check", "subject", "finding", "value", "limit")
    noteworthy = [row for row in verdicts if row.state is not State.OK or row.known or row.history]
    plain = [row for row in verdicts if row.state is State.OK and not (row.known or row.history)]
    rows: list[tuple[Cell, ...]] = [_row(row) for row in noteworthy]
    if len(verdicts) <= SHOWN_ROWS:
        rows += [_row(row) for row in plain]
    else:
        rooms = Counter(row.check.partition(".")[0] for row in plain)
        rows += [
            (State.OK, room, count(number, "check"), "passed", None, None) for room, number in sorted(rooms.items())
        ]
    table = Table.of(columns, rows, title=verdicts.sentence)
    return table.all if len(noteworthy) <= SHOWN_ROWS else table


def _row(row: Verdict) -> tuple[Cell, ...]:
    finding = f"{row.reason} (known: {row.known})" if row.known else row.reason
    if row.history:
        finding += f" (history: {row.history})"
    return (row.state, f"{'↳ ' if row.cause else ''}{row.check}", row.subject, finding, row.value, row.limit)


def evidence(verdicts: Verdicts) -> Table:
    """Given verdicts, return the line that proves each finding, and the notebook to open for it."""
    columns = ("state", "subject", "evidence", "open next")
    found = [row for row in verdicts if row.state is not State.OK or row.known]
    rows = [(row.state, row.subject, row.evidence or row.reason, row.next) for row in found]
    title = f"Evidence for {len(found)} finding{'s' if len(found) != 1 else ''}" if found else "No findings to prove."
    return Table.of(columns, rows, title=title)


def next_steps(verdicts: Verdicts, *, depth: int = 1) -> Table:
    """Given verdicts, return the notebooks to open, the most pressing first.

    `depth` is how many folders below notebooks/ the reader is, so that the links work from there.
    """
    wanted: dict[str, list[Verdict]] = {}
    for row in verdicts:
        if row.state is not State.OK and row.next and not row.cause:
            wanted.setdefault(row.next, []).append(row)
    rows = [
        (worst(row.state for row in group), notebook_link(name, depth=depth), _because(group))
        for name, group in wanted.items()
    ]
    silent = sum(1 for row in verdicts if row.state is not State.OK and not row.next and not row.cause)
    note = (
        f"{silent} finding{'s' if silent != 1 else ''} without a notebook of their own: see the table above."
        if silent
        else ""
    )
    title = "Open next" if rows else "Nothing to open next." if not silent else "No notebook for what was found."
    return Table.of(("state", "open", "because"), rows, title=title, note=note)


def before_after(before: Verdicts, after: Verdicts) -> Table:
    """Given the verdicts before and after a change, return them side by side, what got worse first."""
    old = {(row.check, row.subject): row for row in before}
    new = {(row.check, row.subject): row for row in after}
    rows: list[tuple[Cell, ...]] = []
    for key in sorted(old.keys() | new.keys()):
        was, now = old.get(key), new.get(key)
        rows.append(
            (
                now.state if now else State.UNKNOWN,
                was.state if was else None,
                _change(was, now),
                key[0],
                key[1],
                now.reason if now else "was not checked again",
            )
        )
    rows.sort(key=lambda row: {"worse": 0, "not checked again": 1, "better": 2, "new": 3, "same": 4}[str(row[2])])
    counts = {word: sum(1 for row in rows if row[2] == word) for word in ("better", "worse", "same")}
    title = f"Before {before.state}, after {after.state}: {counts['better']} better, {counts['worse']} worse, {counts['same']} the same"
    return Table(("state", "before", "change", "check", "subject", "now"), tuple(rows), title)


def findings_of(verdicts: Verdicts | None, subject: str | None, *checks: str) -> list[Verdict]:
    """Given verdicts, return those of a subject (None: of any) under these checks or check rooms, worst first."""
    if verdicts is None:
        return []
    chosen = verdicts.only(*checks) if checks else verdicts
    return [row for row in chosen if subject is None or row.subject == subject]


def state_of(found: Iterable[Verdict]) -> State | None:
    """Given the verdicts of one thing, return the worst state; None when nothing was judged."""
    states = [row.state for row in found]
    return worst(states) if states else None


def reason_of(found: Iterable[Verdict], *, known: bool = True) -> str:
    """Given the verdicts of one subject, return the reasons of what is not OK (and of what is `known`) in one line."""
    noteworthy = [row for row in found if row.state is not State.OK or (known and row.known)]
    return "; ".join(f"known exception, {row.known}" if row.known else row.reason for row in noteworthy)


def titled(title: str, found: Iterable[Verdict]) -> str:
    """Given a table's title and the verdicts about it as a whole, return the title with the worst state behind it."""
    state = state_of(found)
    return f"{title} ({state})" if state else title


def notebook_link(name: str, *, depth: int = 1) -> Link | str:
    """Given a notebook's name ("04-health/quick"), return a link to it, or its name marked as planned when it is not there."""
    if (project_root() / "notebooks" / f"{name}.ipynb").is_file():
        return Link(name, f"{'../' * depth}{name}.ipynb")
    return f"{name} (planned)"


def _because(group: list[Verdict]) -> str:
    first = f"{group[0].subject}: {group[0].reason}"
    return first if len(group) == 1 else f"{first} (and {len(group) - 1} more)"


def _change(was: Verdict | None, now: Verdict | None) -> str:
    if now is None:
        return "not checked again"
    if was is None:
        return "new"
    step = now.state.rank - was.state.rank
    return "same" if step == 0 else "worse" if step > 0 else "better"
