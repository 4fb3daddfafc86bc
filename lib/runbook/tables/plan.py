"""A plan as tables: what would be done, why, what users notice, how each step is taken back, and the exact commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.tables.table import Table

if TYPE_CHECKING:
    from runbook.changes.plan import Plan

COLUMNS = ("no.", "step", "kind", "why", "downtime (s)", "undo")
LINES_SHOWN = 2


def plan(made: Plan) -> Table:
    """Given a plan, return its steps in order, with what would be lost or freed and the phrase that confirms it below."""
    rows = [
        (
            number,
            step.name,
            step.kind if step.within_seconds is None else f"{step.kind} up to {step.within_seconds:g} s",
            step.command.why,
            float(step.downtime_seconds) or None,
            step.undo_text,
        )
        for number, step in enumerate(made.steps, start=1)
    ]
    lines = [f"Would be lost or freed: {line}" for line in made.losses]
    lines += [f"Note: {line}" for line in made.notes]
    lines += [f"Done already: {', '.join(step.name for step in made.finished)}"] if made.finished else []
    if made.steps:
        lines.append(f"The phrase that confirms just this plan: {made.phrase}")
    return Table.of(COLUMNS if rows else (), rows, title=made.sentence, note="\n".join(lines)).all


def plan_commands(made: Plan) -> Table:
    """Given a plan, return the exact command of each step; a script shows its beginning, `--instructions` prints it whole."""
    rows = [(number, step.name, shortened(step.command.shown)) for number, step in enumerate(made.steps, start=1)]
    note = "Whole scripts, to paste in a terminal: ./runbook run NOTEBOOK --instructions" if rows else ""
    return Table.of(("no.", "step", "command"), rows, title=f"{len(rows)} commands", note=note).all


def shortened(command: str) -> str:
    r"""Given a command's text, return it in one line.

    >>> shortened("bash -c 'set -e\\na\\nb\\nc' name /path")
    "bash -c 'set -e a (1 lines more) c' name /path"
    """
    lines = [line.strip() for line in command.strip().splitlines() if line.strip()]
    if len(lines) <= LINES_SHOWN + 1:
        return " ".join(lines)
    left = len(lines) - LINES_SHOWN - 1
    return " ".join([*lines[:LINES_SHOWN], f"({left} lines more)", lines[-1]])
