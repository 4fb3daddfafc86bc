"""What cells show: facts and verdicts as tables, worst first, stable from run to run.

`tables.<subsystem>(facts, verdict)` shows what was seen with the state that the checks gave it. A fact that is missing
gives a table that says so: no evidence is never an empty table.
"""

from __future__ import annotations

from runbook.tables.table import Link, Table, duration, size
from runbook.tables.verdicts import before_after, evidence, next_steps, verdict_table

__all__ = [
    "Link",
    "Table",
    "before_after",
    "duration",
    "evidence",
    "next_steps",
    "size",
    "verdict_table",
]
