"""Dumps judged: why one cannot be restored from; and databases that were kept on purpose and take room until they are dropped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runbook.checks import unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.dump_candidates import InspectedDump
    from runbook.parameters import Parameters

RESTORE, MAINTAIN = "06-database/restore", "06-database/maintain"
KEPT = re.compile(r"(.+)_(before|undone|new|scratch)_(\d{8}t\d{6}z)")
WHAT = {
    "before": "the database from before a restore",
    "undone": "restored, written to, and taken back",
    "new": "a restore into it was not finished",
    "scratch": "a proof was not finished",
}
MEBIBYTE = 2**20


def fault(dump: InspectedDump, parameters: Parameters) -> str:
    """Given a dump that was looked at, return why it cannot be restored from; "" where nothing speaks against it."""
    name = parameters.database.name
    lacking = sorted({table.rpartition(".")[2] for table in parameters.database.expected_tables} - set(dump.tables))
    origin = KEPT.fullmatch(dump.database)
    reasons = (
        (not dump.bytes, "it is empty"),
        (dump.in_manifest not in {"", dump.sha256}, "its bytes are not those that its manifest was written for (another SHA-256)"),
        (dump.beside not in {"", dump.sha256}, "it differs from the checksum beside it"),
        (not dump.beside and not dump.in_manifest, "no checksum lies beside it, so nobody can tell whether its bytes are those that were written (if you know that they are: sha256sum NAME > NAME.sha256)"),
        (not dump.read, f"it cannot be read to its end: {dump.said}"),
        (dump.tables and dump.database != name and (origin is None or origin[1] != name), f"it is a dump of the database {dump.database}, not of {name}"),
        (dump.tables and lacking, f"it is not a dump of this application: it has no table {', '.join(lacking)}"),
    )  # fmt: skip
    return next((reason for wrong, reason in reasons if wrong), "")


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
