"""What stays and what goes: every copy with its age, its size, whether it was proven good, and the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.actions.backup import full
from runbook.actions.backup.choices import IN_REPOSITORY, choices_of
from runbook.facts import Missing
from runbook.tables.shown import count, missing_table
from runbook.tables.table import Table, size

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters


def retention(facts: Facts, parameters: Parameters, *, keep_days: float = 0, classes: str = "") -> Table:
    """Return each copy, those that go first, with the reason; `keep_days` and `classes` as in the notebook."""
    held = facts.get("stored_copies")
    if isinstance(held, Missing):
        return missing_table(held)
    choices = choices_of(
        held, parameters, facts.at, classes=full.selected_classes(parameters, classes), days=keep_days or None
    )
    rows = [
        (
            "stays" if choice.stays else "goes",
            group,
            choice.copy.name if group == IN_REPOSITORY else choice.copy.name.rpartition("/")[2],
            facts.at - choice.copy.made,
            size(choice.copy.size_bytes),
            "yes, just now" if choice.copy.verified else choice.copy.why_not or "no",
            choice.reason,
        )
        for group, found in choices.items()
        for choice in found
    ]
    rows.sort(key=lambda row: row[0])
    freed = sum(choice.copy.size_bytes for found in choices.values() for choice in found if not choice.stays)
    going = sum(1 for row in rows if row[0] == "goes")
    title = f"{count(going, 'copy', 'copies')} of {len(rows)} may go, {size(freed)} in all; copies in the repository share what they have in common"
    return Table.of(("verdict", "class", "copy", "age", "size", "proven good", "reason"), rows, title=title)
