"""A run is killed, cut off, or loses its server in the middle of a step: nothing is lost, and the way on or back works.

CI runs a sample: one misfortune each in the middle of three procedures. The whole matrix (every step of every procedure, as
their journals tell them) is marked `matrix`; `python tests/sandbox/matrix.py` runs it in slices, on several servers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from matrix import DONE, FAULTS, LOCKED, Bench, table
from procedures import PROCEDURES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from changes import Warm

    from conftest import Host

pytestmark = [pytest.mark.sandbox]

SAMPLE = [
    ("rotate-encryption-key", "reencrypt", "kill"),
    ("renew", "renew", "reboot"),
]


@pytest.fixture
def bench(host: Host, tmp_path: Path, warm: Warm) -> Iterator[Bench]:
    """The server, brought back to the known state afterwards."""
    yield Bench(host, tmp_path, warm)
    host.reset()


@pytest.mark.timeout(900)
def test_a_sample_of_the_matrix(bench: Bench) -> None:
    cases = []
    for name, step, fault in SAMPLE:
        names = bench.planned(PROCEDURES[name])
        cases.append(bench.run(PROCEDURES[name], names.index(step) + 1, step, fault))
    print(table(cases))
    assert all(case.passed for case in cases), table(cases)
    assert {case.outcome for case in cases} <= {"resumed", "undone", "rolled back", "went on by itself"}
    assert cases[0].outcome in {"resumed", "undone"}, "a killed run does not go on by itself"


@pytest.mark.matrix
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("name", PROCEDURES)
def test_every_step_of_a_procedure_survives_every_misfortune(bench: Bench, name: str) -> None:
    procedure = PROCEDURES[name]
    cases = []
    for number, step in bench.steps(procedure):
        for fault in FAULTS if step not in {LOCKED, DONE} else ("kill",):
            cases.append(bench.run(procedure, number, step, fault))
            if not cases[-1].passed:
                bench.host.reset()
    print(table(cases))
    assert cases
    assert all(case.passed for case in cases), table(cases)
