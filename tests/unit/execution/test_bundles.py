"""Every notebook's facts and checks exist, and each check finds the facts that it judges."""

from __future__ import annotations

import pytest

from runbook.errors import NotebookError
from runbook.execution import bundles

READ_NOTEBOOKS = {
    "00-start-here", "01-access/ssh-and-sudo", "01-access/server-inventory", "02-services/status", "02-services/logs", "04-health/quick",
    "04-health/detailed", "04-health/log-scan", "05-certificates/status", "06-database/query", "06-database/size", "07-backup/coverage",
}  # fmt: skip
VALUES = {"since": "1h", "query": "select 1", "rows": 10}


@pytest.mark.parametrize("name", sorted(bundles.BUNDLES))
def test_entries_resolve(name: str) -> None:
    facts = bundles.facts(name, VALUES)
    assert len({fact.name for fact in facts}) == len(facts)
    assert all(callable(check) for check in bundles.checks(name))


def test_every_notebook_that_reads_has_a_bundle() -> None:
    assert set(bundles.BUNDLES) >= READ_NOTEBOOKS


def test_unknown_notebook() -> None:
    with pytest.raises(NotebookError, match="no facts are declared"):
        bundles.facts("04-health/quik")


@pytest.mark.parametrize("name", sorted(bundles.BUNDLES))
def test_an_exception_can_be_judged_where_its_finding_is_shown(name: str) -> None:
    """Unhealthy but functional: wherever health is judged, the functional probes are judged too."""
    entry = bundles.BUNDLES[name]
    if "services.health" in entry.checks:
        assert {"web.web", "synthetic.synthetic"} <= set(entry.checks)
