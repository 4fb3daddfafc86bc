"""Real faults, the quick check as an operator runs it, and what stands first on its page; then the page that mends it."""

from __future__ import annotations

import datetime as dt
import json
import random
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cli import runbook
from first_causes import FIRST, MENDED, PAIRS

from sandbox.faults import injection
from sandbox.faults.catalogue import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from changes import Desk

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]
SAMPLED, SAMPLED_FIXES = 5, 2
MOST_SECONDS = 20  # of the look itself; with a kernel's start, on a machine that does other work, too
SEED = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d")
CHOICE = random.Random(SEED)  # noqa: S311 (a sample that anybody can draw again)
SAMPLE = CHOICE.sample(sorted(FIRST), SAMPLED)
FIXES = CHOICE.sample(sorted(MENDED), SAMPLED_FIXES)


@pytest.fixture
def whole(host: Host) -> Iterator[Host]:
    """The server without faults, and without faults again afterwards."""
    injection.mend_all(host.name)
    yield host
    injection.mend_all(host.name)


def quick(outputs: Path) -> dict[str, Any]:
    """Run the quick check for programs; return what it prints."""
    done = runbook("run", "04-health/quick", "--target", "sandbox", "--no-html", "--json", outputs=outputs)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def causes(told: dict[str, Any]) -> list[str]:
    """Return "check subject" of what stands on the page, what follows from another finding left out."""
    return [f"{row['check']} {row['subject']}" for row in told["findings"] if not row["cause"]]


def named(fault: str, found: list[str]) -> int:
    """Return at which place a fault's cause stands; 0 where it stands nowhere."""
    return next((place for place, cause in enumerate(found, 1) if re.fullmatch(FIRST[fault], cause)), 0)


def test_what_is_expected_is_in_the_catalogue() -> None:
    assert set(FIRST) <= set(FAULTS)
    assert set(MENDED) <= set(FAULTS)
    assert {name for pair in PAIRS for name in pair} <= set(FIRST)


@pytest.mark.parametrize("fault", SAMPLE)
def test_the_first_line_names_the_cause(whole: Host, fault: str, tmp_path: Path) -> None:
    sys.stderr.write(f"seed {SEED}: {', '.join(SAMPLE)}\n")
    injection.inject(whole.name, FAULTS[fault])
    told = quick(tmp_path)
    assert named(fault, causes(told)) == 1, (told["sentence"], causes(told)[:6])
    assert told["state"] != "OK"


@pytest.mark.faults_full
@pytest.mark.parametrize("fault", sorted(set(FIRST) - set(SAMPLE)))
def test_every_other_first_line_names_the_cause(whole: Host, fault: str, tmp_path: Path) -> None:
    injection.inject(whole.name, FAULTS[fault])
    told = quick(tmp_path)
    assert named(fault, causes(told)) == 1, (told["sentence"], causes(told)[:6])


@pytest.mark.parametrize("pair", [CHOICE.choice(PAIRS)], ids="+".join)
def test_two_faults_are_both_among_the_first_three(whole: Host, pair: tuple[str, str], tmp_path: Path) -> None:
    for fault in pair:
        injection.inject(whole.name, FAULTS[fault])
    found = causes(quick(tmp_path))
    assert all(1 <= named(fault, found) <= 3 for fault in pair), found[:6]


@pytest.mark.parametrize("fault", FIXES)
def test_a_page_mends_what_triage_names(whole: Host, desk: Desk, fault: str) -> None:
    injection.inject(whole.name, FAULTS[fault])
    done = desk.apply(f"08-troubleshoot/{MENDED[fault]}")
    assert done.applied["state"] == "applied", done
    served = whole.sh("curl -sk -m 8 -o /dev/null -w '%{http_code}' https://pazpaz.test/api/v1/ready")
    assert served.strip() == "200"


def test_a_page_that_does_not_apply_refuses_and_names_the_one_that_does(whole: Host, desk: Desk) -> None:
    injection.inject(whole.name, FAULTS["clamav-stopped"])
    done = desk.dry_run("08-troubleshoot/database-connections")
    assert done.code == 4, done
    assert "service-wont-start" in str(done)
    injection.mend(whole.name, FAULTS["clamav-stopped"])
