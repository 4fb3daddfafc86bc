"""What the command line prints: aligned columns of plain text, and errors on one screen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook.errors import RunbookError

# control characters of a terminal, which a record or a server could smuggle into what is shown
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
LINES_OF_AN_ERROR = 20


def clean(text: object) -> str:
    """Return a text on one line without control characters."""
    return CONTROL.sub("?", " ".join(str(text).split()))


def columns(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Given column names and rows, return aligned text; the last column may be as long as it likes."""
    table = [list(head), *([clean(item) for item in row] for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(head))]
    lines = []
    for row in table:
        cells = [item.ljust(width) for item, width in zip(row[:-1], widths[:-1], strict=True)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join(lines)


def tell(error: RunbookError) -> None:
    """Print an error: what, why, and what to do; one screen at most."""
    lines = str(error).splitlines()
    if len(lines) > LINES_OF_AN_ERROR:
        left_out = len(lines) - LINES_OF_AN_ERROR
        lines = [*lines[: LINES_OF_AN_ERROR - 1], f"  ... and {left_out} more", lines[-1]]
    kind = "refused" if error.exit_code == 4 else "failed"  # noqa: PLR2004 (the exit code of a refusal, errors.py)
    click.echo(f"{kind}: " + CONTROL.sub("?", "\n".join(lines)), err=True)
