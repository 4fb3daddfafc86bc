"""The newest dump judged by what it says of itself; and databases that were kept on purpose and take room until they are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition, number_of, unknown
from runbook.facts import Missing
from runbook.facts.dump_candidates import KEPT, not_of_this_database
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.dump_candidates import NewestDump
    from runbook.parameters import Parameters

COVERAGE, MAINTAIN = "07-backup/coverage", "06-database/maintain"
WHAT = {
    "before": "the database from before a restore",
    "undone": "restored, written to, and taken back",
    "new": "a restore into it was not finished",
    "scratch": "a proof was not finished",
}
MEBIBYTE = 2**20


def newest_fault(found: NewestDump, parameters: Parameters) -> str:
    """Return why the newest dump could not be restored from, as far as its table of contents tells; "" where nothing speaks against it."""
    if found.unreadable:
        return f"its table of contents cannot be read: {found.unreadable}"
    return not_of_this_database(found.database, found.tables, parameters)


def newest(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """The newest dump is one of this database, whatever its name and size say; told from its table of contents alone."""
    found = facts.get("newest_dump")
    if isinstance(found, Missing):
        return [unknown("backup.content", "newest dump", found, next_notebook=COVERAGE)]
    if not found.path:
        return []  # backup.copy says so
    reason = newest_fault(found, parameters)
    return [
        judge_condition(
            not reason,
            "backup.content",
            "newest dump",
            ok="it is one of this database",
            bad=f"{found.name} could not be restored from: {reason}",
            value=found.database or "not told",
            limit=parameters.database.name,
            evidence=f"{found.path}: {number_of(len(found.tables), 'table')}",
            next=COVERAGE,
        )
    ]


def kept(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """Databases that a restore left behind are a finding until they are dropped on purpose."""
    found = facts.get("databases")
    if isinstance(found, Missing):
        return [unknown("database.kept", "kept databases", found, next_notebook=MAINTAIN)]
    left = [(database, match) for database in found.values() if (match := KEPT.fullmatch(database.name))]
    if not left:
        return [Verdict(State.OK, "database.kept", "kept databases", "no database was left behind by a restore", value="0 MiB", limit="none")]  # fmt: skip
    told = "; ".join(f"{database.name}: {WHAT[match[2]]}" for database, match in left)
    return [
        Verdict(
            State.WARNING, "database.kept", "kept databases", f"{told}; it takes room until it is dropped on purpose",
            value=f"{sum(database.bytes for database, _ in left) / MEBIBYTE:.0f} MiB", limit="none",
            evidence="pg_database: " + "; ".join(f"{database.name} {database.bytes} bytes" for database, _ in left), next=MAINTAIN,
        )
    ]  # fmt: skip
