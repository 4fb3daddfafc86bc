"""The start page: the server's card, whom to call, and every notebook with what it found last time."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from runbook import notebook
from runbook.tables.shown import count
from runbook.tables.table import Cell, Table
from runbook.tables.verdicts import notebook_link
from runbook.verdict import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.parameters import Parameters
    from runbook.records.index import Entry

WHOLE = "whole"


def card(parameters: Parameters) -> Table:
    """Return what the params file says of the server, so that one sees at a glance which one it is."""
    about = parameters.about
    rows: list[tuple[Cell, ...]] = [
        ("what it is", f"{parameters.purpose} ({parameters.environment})"),
        ("public address", parameters.web.url),
        ("SSH", f"ssh {parameters.connection.host}"),
        ("provider", about.provider),
        ("name (DNS)", about.dns),
        ("certificates by", about.certificates_by),
        ("stack", f"{parameters.stack.directory}, {count(len(parameters.stack.services), 'service')}"),
        ("deployed", about.deployed),
        ("runbook reviewed", about.reviewed),
        ("next review", about.next_review),
    ]
    return Table(("what", "here"), tuple(rows), f"The target {parameters.target}")


def contacts(parameters: Parameters) -> Table:
    """Return whom to call, in this order."""
    rows = [
        (number, item.role, item.name, item.reach) for number, item in enumerate(parameters.about.contacts, start=1)
    ]
    title = "Call in this order" if rows else "Nobody is named: add about.contacts to the params file."
    return Table.of(("order", "role", "name", "reach"), rows, title=title)


def notebooks(last: Mapping[str, Entry], *, now: dt.datetime | None = None) -> Table:
    """Given the newest record of each notebook, return all notebooks with what they found, worst first."""
    moment = now or dt.datetime.now(dt.UTC)
    rows = [_row(notebook.find(name), last.get(name), moment) for name in notebook.names()]
    columns = ("state", "notebook", "what for", "run before", "found")
    never = sum(1 for row in rows if row[0] is None)
    return Table.of(columns, rows, title=f"{count(len(rows), 'notebook')}, {never} never run on this target").all


def _row(found: notebook.Notebook, entry: Entry | None, now: dt.datetime) -> tuple[Cell, ...]:
    link = notebook_link(found.name, depth=0)
    if entry is None:
        return (None, link, found.title, None, "never run")
    state = State.__members__.get(entry.verdict, State.UNKNOWN) if entry.state == WHOLE else State.UNKNOWN
    said = entry.sentence if entry.state == WHOLE else f"{entry.state}: {entry.reason}"
    return (state, link, found.title, now - dt.datetime.fromisoformat(entry.started), said)
