"""What could be got back: each class of backups with its newest good copy, and every copy with what reading it proved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.facts import Missing
from runbook.tables.shown import count, missing_table, shown
from runbook.tables.table import Cell, Table, duration, size
from runbook.tables.verdicts import findings_of, reason_of, state_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.facts import Facts
    from runbook.facts.backup import AwayCopy, Copy, ReadThrough
    from runbook.parameters import BackupClass, Parameters
    from runbook.verdict import Verdicts


def coverage(facts: Facts, parameters: Parameters, verdicts: Verdicts | None = None) -> Table:
    """Return each class of backups: the newest copy that was read to its end, and how much would be lost right now."""
    copies: Mapping[str, tuple[Copy, ...]] | Missing = facts.get("copies")
    proofs: Mapping[str, tuple[ReadThrough, ...]] | Missing = facts.get("read_through")
    if isinstance(copies, Missing):
        return missing_table(copies)
    rows: list[tuple[Cell, ...]] = []
    for item in parameters.backup.classes:
        found = findings_of(verdicts, item.name, "backup")
        read = () if isinstance(proofs, Missing) else proofs.get(item.name, ())
        rows.append(
            (state_of(found), *_class(item, copies.get(item.name, ()), read, facts), reason_of(found, known=False))
        )
    accepted = sum(1 for row in verdicts or () if row.known and row.check.startswith("backup."))
    note = f"{count(accepted, 'known exception')} accepted: see the table above." if accepted else ""
    if isinstance(proofs, Missing):
        note = f"Reading them through gave no evidence: {proofs.reason}"
    columns = (
        "state",
        "class",
        "importance",
        "newest good copy",
        "would be lost now",
        "limit",
        "copies",
        "off the server",
        "finding",
    )
    whole = sum(1 for row in rows if row[4] != "everything")
    return Table.of(
        columns,
        rows,
        title=f"{whole} of {count(len(rows), 'class', 'classes')} could be restored from a copy on the server",
        note=note,
    )


def _away(facts: Facts, item: BackupClass) -> str:
    """Say whether the newest copy lies off the server too, and how old it is there."""
    fact = facts.get("off_host")
    if isinstance(fact, Missing):
        return f"no evidence: {fact.reason}"
    away: AwayCopy | None = fact.get(item.name)
    if away is None:
        return "no place is named"
    if away.error or away.modified is None:
        return away.error or "none there"
    return f"{away.name}, {duration((facts.at - away.modified).total_seconds())} old"


def _class(
    item: BackupClass, copies: tuple[Copy, ...], read: tuple[ReadThrough, ...], facts: Facts
) -> tuple[Cell, ...]:
    proven = {proof.path for proof in read if proof.good}
    good = next((copy for copy in copies if copy.path in proven), None)
    lost = "everything" if good is None else f"{duration((facts.at - good.modified).total_seconds())} of changes"
    name = good.path.rpartition("/")[2] if good else "none"
    return (item.name, item.importance, name, lost, f"{item.max_age_hours:g} hours", len(copies), _away(facts, item))


@shown("copies")
def copies(fact: Mapping[str, tuple[Copy, ...]], facts: Facts, _verdicts: Verdicts | None) -> Table:
    """Return the copies of all classes, newest first, each with what reading it to its end proved."""
    proofs = facts.get("read_through")
    read = {} if isinstance(proofs, Missing) else {proof.path: proof for group in proofs.values() for proof in group}
    rows: list[tuple[Cell, ...]] = []
    for name, group in fact.items():
        for copy in group:
            age = facts.at - copy.modified
            rows.append(
                (
                    name,
                    copy.path.rpartition("/")[2],
                    age,
                    size(copy.size_bytes),
                    copy.mode,
                    _proof(read.get(copy.path), copy),
                )
            )
    columns = ("class", "file", "age", "size", "mode", "proven by reading")
    return Table(
        columns,
        tuple(rows),
        f"{count(len(rows), 'copy', 'copies')} on the server, {count(len(read), 'copy', 'copies')} read through now",
    )


def _proof(proof: ReadThrough | None, copy: Copy) -> str:
    checksum = "" if copy.has_checksum else ", no checksum beside it"
    if proof is None:
        return f"not read now{checksum}"
    if proof.fault:
        return f"NOT GOOD: {proof.fault}"
    if proof.checksum_matches is False:
        return "NOT GOOD: it differs from its checksum"
    if proof.read is None:
        return f"no tool reads this format{checksum}"
    return f"good, read to its end{checksum}" if proof.read else f"NOT GOOD: {proof.said}"
