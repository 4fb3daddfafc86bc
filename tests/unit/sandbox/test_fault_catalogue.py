"""The catalogue of faults is well-formed: every script parses, every name is one that a person can type."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from sandbox.faults import injection
from sandbox.faults.catalogue import FAULTS, SUBSYSTEMS
from sandbox.faults.cli import blindly, break_

if TYPE_CHECKING:
    from sandbox.faults.fault import Fault

EVERY = [fault for faults in SUBSYSTEMS.values() for fault in faults]
MUST_SHOW = {
    "api-stopped",
    "db-paused",
    "table-dropped",
    "certificate-expired",
    "backup-disk-full",
    "env-readable",
    "firewall-off",
    "unknown-container",
}


def test_no_two_faults_share_a_name() -> None:
    assert [name for name, times in Counter(fault.name for fault in EVERY).items() if times > 1] == []


@pytest.mark.parametrize("fault", EVERY, ids=lambda fault: fault.name)
def test_a_fault_says_what_it_is(fault: Fault) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)+", fault.name)
    for text in (fault.title, fault.symptom):
        assert text
        assert not text.endswith(".")
        assert "\n" not in text


@pytest.mark.parametrize("part", ["inject", "mend", "evidence"])
def test_every_script_is_bash(part: str) -> None:
    """All of them in one process: each is a function body after the prelude."""
    prelude = files("sandbox.faults").joinpath("prelude.sh").read_text()
    bodies = [f"f{number}() {{\n{getattr(fault, part)}\n}}" for number, fault in enumerate(EVERY)]
    done = subprocess.run(
        ["bash", "-n"], input="\n".join([prelude, *bodies]), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_evidence_never_stops_its_writer() -> None:
    """`| grep -q` ends early; under pipefail the writer's SIGPIPE would then look like absence."""
    assert [fault.name for fault in EVERY if "| grep -q" in fault.evidence] == []


def test_the_sample_holds_what_must_be_shown_and_stays_small() -> None:
    sample = {fault.name for fault in EVERY if fault.sample}
    assert sample >= MUST_SHOW
    assert len(sample) <= 14


def test_a_mistyped_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(injection.UnknownFaultError, match=r"Did you mean .*db-paused"):
        injection.find("db-pause")


def test_there_are_many() -> None:
    assert len(FAULTS) >= 80


def test_a_blind_fault_is_one_that_users_notice_and_the_same_for_a_seed() -> None:
    chosen = [blindly(seed) for seed in range(60)]
    assert len({fault.name for fault in chosen}) > 20
    assert [fault.name for fault in chosen] == [blindly(seed).name for seed in range(60)]
    assert not [fault.name for fault in chosen if fault.symptom.startswith("nothing")]


def test_blind_chooses_by_itself() -> None:
    for words in (["--blind", "api-stopped"], ["--blind", "--list"], ["--seed", "3"], []):
        done = CliRunner().invoke(break_, words)
        assert done.exit_code == 2, words
        assert "Error: " in done.output
