"""Known exceptions: findings that are accepted for a reason, until a date, and only while a probe of the same thing passes."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from runbook.tables.shown import count
from runbook.tables.table import Cell, Table
from runbook.verdict import worst

if TYPE_CHECKING:
    from runbook.parameters import KnownException, Parameters
    from runbook.verdict import Verdicts


def exceptions(parameters: Parameters, verdicts: Verdicts) -> Table:
    """Given the params file and the verdicts, return each exception that this run met, and what it rests on."""
    tuned = {service.name: service.well_tuned_health_check for service in parameters.stack.services}
    rows = [row for item in parameters.known_exceptions if (row := _row(item, verdicts, tuned)) is not None]
    columns = ("state", "subject", "accepted because", "until", "probe", "better would be")
    title = (
        f"{count(len(rows), 'known exception')} met in this run" if rows else "No known exception was met in this run."
    )
    return Table.of(columns, rows, title=title)


def _row(item: KnownException, verdicts: Verdicts, tuned: dict[str, str | None]) -> tuple[Cell, ...] | None:
    met = [row for row in verdicts if row.check == item.check and fnmatchcase(row.subject, item.subject)]
    met = [row for row in met if row.known or row.state.value]
    if not met:
        return None
    probes = [row.state for row in verdicts if row.check == item.requires]
    probe = "none asked for" if item.requires is None else f"{item.requires}: {worst(probes)}"
    better = tuned.get(item.subject) if item.check == "services.health" else None
    return (
        worst(row.state for row in met),
        ", ".join(row.subject for row in met),
        item.reason,
        item.expires,
        probe,
        better,
    )
