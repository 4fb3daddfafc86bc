"""Numbers at their limits: a limit is reached when it is equalled."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from runbook.checks import resources, state_when_high, state_when_low, usage
from runbook.facts import Missing
from runbook.facts.resources import Filesystem, Machine
from runbook.facts.usage import DockerShare
from runbook.parameters import Threshold
from runbook.verdict import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.facts import Facts
    from runbook.parameters import Parameters

OK, WARNING, CRITICAL, UNKNOWN = State.OK, State.WARNING, State.CRITICAL, State.UNKNOWN
UP = Threshold(warning=80, critical=92)
DOWN = Threshold(warning=21, critical=7)


@pytest.mark.parametrize(
    ("value", "state"),
    [(0, OK), (79.9, OK), (80, WARNING), (91.9, WARNING), (92, CRITICAL), (100, CRITICAL)],
)
def test_better_when_smaller(value: float, state: State) -> None:
    assert state_when_high(value, UP) is state


@pytest.mark.parametrize(
    ("value", "state"),
    [(90, OK), (21.1, OK), (21, WARNING), (7.1, WARNING), (7, CRITICAL), (0, CRITICAL), (-1, CRITICAL)],
)
def test_better_when_larger(value: float, state: State) -> None:
    assert state_when_low(value, DOWN) is state


def disk(**values: object) -> Filesystem:
    """Return a file system that is half full."""
    usual = {
        "mount": "/", "source": "/dev/sda1", "kind": "ext4", "size_bytes": 100, "used_bytes": 50, "free_bytes": 50,
        "used_percent": 50.0, "inodes_used_percent": 10.0, "read_only": False,
    }  # fmt: skip
    return Filesystem(**{**usual, **values})  # type: ignore[arg-type]  # the dataclass checks the names


@pytest.mark.parametrize(
    ("values", "check", "state"),
    [
        ({"used_percent": 79.9}, "resources.disk", OK),
        ({"used_percent": 80.0}, "resources.disk", WARNING),
        ({"used_percent": 92.0}, "resources.disk", CRITICAL),
        ({"inodes_used_percent": 92.0}, "resources.inodes", CRITICAL),
        ({"read_only": True}, "resources.read-only", CRITICAL),
        ({"read_only": True, "mount": "/srv/practice/seed"}, "resources.read-only", OK),
    ],
)
def test_disks(
    values: dict[str, object], check: str, state: State, given: Callable[..., Facts], parameters: Parameters
) -> None:
    """Bytes, inodes and the right to write are judged apart."""
    rows = resources.disks(given(filesystems=(disk(**values),)), parameters)
    assert {row.state for row in rows if row.check == check} == {state}


def test_a_file_system_without_inodes_is_not_judged_by_them(
    given: Callable[..., Facts], parameters: Parameters
) -> None:
    rows = resources.disks(given(filesystems=(disk(inodes_used_percent=None),)), parameters)
    assert "resources.inodes" not in {row.check for row in rows}


@pytest.mark.parametrize(
    ("seconds_off", "state"),
    [(0.1, OK), (-1.9, OK), (-2.0, WARNING), (2.3, WARNING), (-29.9, WARNING), (-30.0, CRITICAL), (86_400, CRITICAL)],
)
def test_clock(seconds_off: float, state: State, given: Callable[..., Facts], parameters: Parameters) -> None:
    """The server answered at some moment within the round trip: within it no difference can be told."""
    facts = given()
    rows = resources.clock(given(clock=facts.begun + seconds_off), parameters)
    assert [row.state for row in rows] == [state]


def test_machine_without_swap_and_pressure(given: Callable[..., Facts], parameters: Parameters) -> None:
    """What a kernel does not tell is not judged, and what it tells is."""
    machine = Machine(1000, 95.0, 0, 0.0, 1.0, 200.0, 1.0, 2, 100.0, {})
    rows = {row.check: row.state for row in resources.machine(given(machine=machine), parameters)}
    assert rows == {"resources.memory": CRITICAL, "resources.load": CRITICAL}


def test_volumes_are_nothing_to_give_back(given: Callable[..., Facts], parameters: Parameters) -> None:
    """Docker counts the volumes of stopped containers as reclaimable; they are data."""
    shares = (DockerShare("Local Volumes", 4, 0, 10**12, 10**12), DockerShare("Images", 9, 8, 10**10, 9 * 10**9))
    assert [row.state for row in usage.docker_disk(given(docker_disk=shares), parameters)] == [OK]


def test_no_evidence_is_unknown(given: Callable[..., Facts], parameters: Parameters) -> None:
    """A fact that is missing is never fine."""
    gone = Missing("x", "no answer", "df", 1)
    facts = given(filesystems=gone, machine=gone, clock=gone, reboot=gone, kills=gone, usage=gone, docker_disk=gone)
    checks = (resources.disks, resources.machine, resources.clock, resources.reboot, usage.kills, usage.usage, usage.docker_disk)  # fmt: skip
    for check in checks:
        assert [row.state for row in check(facts, parameters)] == [UNKNOWN]
        assert "no answer" in check(facts, parameters)[0].reason


def test_moment_of_the_facts(given: Callable[..., Facts]) -> None:
    assert given().at == dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
