"""A failed rehearsal in words: what certbot and the authority really said, and what the operator is told of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from captured import Captured

from runbook.checks.renewal import dry_run, renewals
from runbook.execution import bundles
from runbook.facts import Facts, gather
from runbook.facts.lineage import lineages
from runbook.facts.renewal_dry_run import dry_run as dry_run_fact
from runbook.verdict import State

if TYPE_CHECKING:
    from runbook.parameters import Parameters

LINEAGE = Path("lineage/lineages-renewed-and-taken-back.out")
TOLD = {
    "dns": "the authority does not find pazpaz.test in the DNS",
    "refused": "nothing answers on port 80 of the address that the DNS gives for pazpaz.test (connection refused)",
    "wrong-content": "pazpaz.test serves something else under /.well-known/acme-challenge/ than the file that certbot put there",
    "not-found": "pazpaz.test answers 404 under /.well-known/acme-challenge/: certbot puts its file into /var/www/certbot, and nginx does not",
    "no-details": "nginx answered the authority 404 under /.well-known/acme-challenge/: certbot puts its file into /var/www/certbot",
    "authority-down": "the server cannot reach the authority https://localhost:14443/acme/local/directory: Connection refused",
    "unknown-name": "No certificate found with name nosuch",
}


def seen(parameters: Parameters, case: str) -> Facts:
    """Return the facts of a captured rehearsal."""
    gate = Captured(LINEAGE, Path(f"renewal_dry_run/dry_run-{case}.out"))
    return gather(gate, parameters, [lineages, dry_run_fact({})])


@pytest.mark.parametrize("case", sorted(TOLD))
def test_the_failing_challenge_is_told_in_words(parameters: Parameters, case: str) -> None:
    (row,) = dry_run(seen(parameters, case), parameters)
    assert (row.state, row.check, row.subject) == (State.CRITICAL, "certificates.dry-run", "public")
    assert TOLD[case] in row.reason
    assert row.evidence
    assert row.next


def test_a_good_rehearsal_is_ok(parameters: Parameters) -> None:
    (row,) = dry_run(seen(parameters, "good"), parameters)
    assert (row.state, row.next) == (State.OK, "")


def test_a_rehearsal_that_was_cut_off_is_no_evidence(parameters: Parameters) -> None:
    (row,) = dry_run(seen(parameters, "cut-off"), parameters)
    assert row.state is State.UNKNOWN


@pytest.mark.parametrize("values", [{"rehearse": False}, {"certificate": "nosuch"}])
def test_what_is_not_rehearsed_is_not_judged(parameters: Parameters, values: dict[str, object]) -> None:
    facts = gather(Captured(LINEAGE), parameters, [lineages, dry_run_fact(values)])
    assert dry_run(facts, parameters) == []


def test_the_rehearsal_asks_for_this_certificate_alone_and_never_without_dry_run(parameters: Parameters) -> None:
    (command,) = dry_run_fact({"certificate": "pazpaz.test"}).commands(parameters).values()
    words = command.argv[command.argv.index("certbot") :]
    assert words == ("certbot", "renew", "--cert-name", "pazpaz.test", "--dry-run", "--no-random-sleep-on-renew", "--non-interactive")  # fmt: skip
    assert not command.changes
    assert command.sudo


def counted(parameters: Parameters, most: int) -> State:
    """Return the verdict on three certificates within a week, one of them taken back, when `most` are allowed."""
    settings = parameters.certificates.model_copy(update={"renewals_per_week": most})
    facts = gather(Captured(LINEAGE), parameters, [lineages], clock=lambda: 1795521600.0)  # 2026-11-24 12:00 UTC
    assert len(facts.lineages["public"].issued) == 3
    (row,) = renewals(facts, parameters.model_copy(update={"certificates": settings}))
    return row.state


@pytest.mark.parametrize(("most", "state"), [(4, State.OK), (3, State.WARNING), (2, State.WARNING)])
def test_renewals_of_a_week_are_counted_those_taken_back_too(parameters: Parameters, most: int, state: State) -> None:
    assert counted(parameters, most) is state


def test_the_rehearsal_belongs_to_its_own_notebook_only() -> None:
    """It takes seconds and asks a third party: no look at the server's health does that."""
    assert [name for name, entry in bundles.BUNDLES.items() if "renewal_dry_run.dry_run()" in entry.facts] == [
        "05-certificates/renew"
    ]
