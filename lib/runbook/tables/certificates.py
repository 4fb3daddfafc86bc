"""Certificates on disk and as served, and the timer that renews the public one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.tables.shown import count, shown
from runbook.tables.table import Cell, Table
from runbook.tables.verdicts import findings_of, reason_of, state_of, titled

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.certificates import CertificateFact, Leaf, Renewal
    from runbook.facts.lineage import Lineage
    from runbook.facts.renewal_dry_run import DryRun
    from runbook.verdict import Verdicts

DAY = 86_400
SHORT = 16


@shown("certificates")
def certificates(fact: tuple[CertificateFact, ...], facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return each certificate on disk: for whom, how long, whether its key and its chain fit."""
    rows: list[tuple[Cell, ...]] = []
    for item in fact:
        found = findings_of(verdicts, item.name, "certificates")
        limit = next((row.limit for row in found if row.check == "certificates.days-left"), None)
        if item.disk is None:
            rows.append(
                (state_of(found), item.name, None, None, limit, None, None, None, reason_of(found) or item.disk_error)
            )
            continue
        days = (item.disk.not_after - facts.at).total_seconds() / DAY
        names = ", ".join(item.disk.names) or item.disk.subject
        ends = f"{item.disk.not_after:%Y-%m-%d %H:%M} UTC"
        rows.append(
            (
                state_of(found),
                item.name,
                names,
                days,
                limit,
                ends,
                _fits(item.key_matches),
                _fits(item.chain_ok),
                reason_of(found),
            )
        )
    columns = ("state", "certificate", "for", "days left", "limit", "ends", "key fits", "chain fits", "finding")
    return Table.of(columns, rows, title=f"{count(len(fact), 'certificate')} on the server")


@shown("certificates")
def served(fact: tuple[CertificateFact, ...], _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return for each certificate whether what is served is what lies on disk, by fingerprint."""
    rows = [
        (
            state_of(findings_of(verdicts, item.name, "certificates.served")),
            item.name,
            _print(item.disk) or item.disk_error,
            _print(item.served) or item.served_error or "nobody serves it",
            item.serves_disk,
        )
        for item in fact
        if item.served or item.served_error
    ]
    columns = ("state", "certificate", "on disk", "served", "the same")
    same = sum(1 for row in rows if row[4])
    return Table.of(columns, rows, title=f"{same} of {len(rows)} served certificates are the ones on disk")


@shown("renewal")
def timer(fact: Renewal, facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return whether the timer runs, how its last run ended, and when the next one is."""
    found = findings_of(verdicts, None, "certificates.timer", "certificates.timer-overdue", "certificates.last-run")
    rows: list[tuple[Cell, ...]] = [
        ("timer", f"{fact.timer.name} {fact.timer.active}, {fact.timer.enabled or 'no such unit'}"),
        ("last run", facts.at - fact.timer.last if fact.timer.last else "never since the server started"),
        ("its result", f"{fact.service.result or 'unknown'}, exit status {fact.service.exit_status}"),
        ("next run in", fact.timer.next - facts.at if fact.timer.next else "never: nothing is planned"),
    ]
    return Table(("what", "seen"), tuple(rows), titled("Renewal by itself", found), note=reason_of(found))


@shown("dry_run")
def renewal_dry_run(fact: DryRun, _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return how the rehearsal went: what the authority said of each name, and what nginx answered to it."""
    found = findings_of(verdicts, None, "certificates.dry-run")
    if not fact.certificate:
        return Table((), (), "Nothing was rehearsed (rehearse=False, or no such certificate).")
    answers = ", ".join(map(str, fact.statuses)) or "it never came"
    rows: list[tuple[Cell, ...]] = [
        ("certificate", f"{fact.certificate} (certbot's {fact.lineage})"),
        ("certbot ended with", fact.exit_code),
        ("nginx answered the authority", answers),
        *((f"the authority on {item.domain}", f"{item.kind}: {item.detail}") for item in fact.problems),
    ]
    if not fact.good and not fact.problems:
        rows.append(("certbot said", fact.error))
    return Table(("what", "seen"), tuple(rows), titled("Rehearsal with the authority", found), note=reason_of(found))


@shown("lineages")
def issued(fact: dict[str, Lineage], facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return the certificates that were issued, the newest first, and which of them is live."""
    found = findings_of(verdicts, None, "certificates.renewals", "certificates.links")
    rows: list[tuple[Cell, ...]] = [
        (
            lineage.certificate,
            item.number,
            "live" if item.kept and item.number == lineage.live else "" if item.kept else "was taken back",
            f"{item.not_before:%Y-%m-%d %H:%M} UTC",
            (item.not_after - facts.at).total_seconds() / DAY,
            f"sha256:{item.sha256[:SHORT]}",
        )
        for lineage in fact.values()
        for item in reversed(lineage.issued)
    ]
    columns = ("certificate", "no.", "use", "issued", "days left", "fingerprint")
    return Table.of(columns, rows, title=titled("Issued so far", found), note=reason_of(found))


def _fits(value: bool | None) -> Cell:
    return "not compared" if value is None else value


def _print(leaf: Leaf | None) -> str:
    return f"sha256:{leaf.sha256[:SHORT]}" if leaf else ""
