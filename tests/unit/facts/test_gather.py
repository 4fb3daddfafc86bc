"""Gathering: one round trip, looks beside it, and what fails is missing with its reason and never a default."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from runbook.commands import Command, Result
from runbook.errors import ConnectionFailed, ParseError, SecretError
from runbook.facts import Fact, GateFact, LocalFact, Missing, gather, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.parameters import Parameters


class ThisMachine:
    """A gate to this very machine: runs each command for real."""

    def __init__(self) -> None:
        self.round_trips = 0
        self.asked: list[str] = []

    def run_all(self, commands: Mapping[str, Command]) -> dict[str, Result]:
        """Run everything and return the results."""
        self.round_trips += 1
        self.asked += commands
        return {name: self._run(command) for name, command in commands.items()}

    @staticmethod
    def _run(command: Command) -> Result:
        done = subprocess.run(
            command.argv, input=command.stdin, capture_output=True, text=True, timeout=10, check=False
        )
        return Result(command, done.returncode, done.stdout, done.stderr, 0.0)


def echo(
    name: str, *argv: str, expect: dict[int, str] | None = None, optional: frozenset[str] = frozenset()
) -> Fact[str]:
    """Return a fact that is what a command prints."""
    return Fact(
        name,
        lambda _: {"say": Command(argv, expect=expect or {0: "ok"})},
        lambda results, _: results["say"].stdout,
        optional,
    )


def test_everything_in_one_round_trip(parameters: Parameters) -> None:
    gate = ThisMachine()
    facts = gather(gate, parameters, [echo("one", "echo", "1"), echo("two", "echo", "2"), echo("one", "echo", "1")])
    assert (facts.one, facts["two"], gate.round_trips) == ("1\n", "2\n", 1)
    assert sorted(gate.asked) == ["one.say", "two.say"]


def test_a_failed_probe_is_missing_and_says_why(parameters: Parameters) -> None:
    facts = gather(ThisMachine(), parameters, [echo("gone", "sh", "-c", "echo first >&2; echo last words >&2; exit 3")])
    assert isinstance(facts.gone, Missing)
    assert "last words" in facts.gone.reason
    assert (facts.gone.exit_code, facts.missing) == (3, (facts.gone,))


def test_a_declared_exit_code_is_an_answer(parameters: Parameters) -> None:
    asked = ("sh", "-c", "echo inactive; exit 3")
    assert gather(ThisMachine(), parameters, [echo("unit", *asked, expect={3: "inactive"})]).unit == "inactive\n"


@pytest.mark.parametrize(
    ("names", "read"), [({"say"}, True), ({"sa*"}, True), ({"*"}, True), ({"x*"}, False), (set(), False)]
)
def test_optional_probes_are_left_to_the_parser(names: set[str], read: bool, parameters: Parameters) -> None:
    facts = gather(ThisMachine(), parameters, [echo("unit", "sh", "-c", "echo x; exit 9", optional=frozenset(names))])
    assert (facts.unit == "x\n") is read


@pytest.mark.parametrize(
    "error", [ParseError("df", "line"), KeyError("x"), ValueError("x"), IndexError(), TypeError(), RecursionError()]
)
def test_a_parser_that_trips_is_missing_evidence(error: Exception, parameters: Parameters) -> None:
    def trip(_results: Mapping[str, Result], _parameters: Parameters) -> Any:
        raise error

    facts = gather(ThisMachine(), parameters, [Fact("odd", lambda _: {"say": Command(("true",))}, trip)])
    assert isinstance(facts.odd, Missing)


def test_looks_run_beside_the_round_trip_and_beside_each_other(parameters: Parameters) -> None:
    """Two looks wait for each other: were they not side by side, neither would ever end."""
    meeting = threading.Barrier(2, timeout=5)
    looks = [LocalFact(name, lambda _: meeting.wait() >= 0) for name in ("here", "there")]
    slow = echo("slow", "sleep", "0.3")
    begun = time.monotonic()
    facts = gather(ThisMachine(), parameters, [*looks, slow])
    assert (facts.here, facts.there) == (True, True)
    assert facts.begun <= facts.ended
    assert time.monotonic() - begun < 3


@pytest.mark.parametrize("error", [SecretError("no secret"), OSError("no network"), ConnectionError("reset")])
def test_a_look_that_fails_is_missing(error: Exception, parameters: Parameters) -> None:
    def fail(_parameters: Parameters) -> Any:
        raise error

    facts = gather(ThisMachine(), parameters, [LocalFact("look", fail)])
    assert isinstance(facts.look, Missing)
    assert str(error) in facts.look.reason


def test_a_gate_that_cannot_be_asked_raises(parameters: Parameters) -> None:
    """Without the server there is no run: this is not a missing fact."""

    class Unreachable:
        def run_all(self, _commands: Mapping[str, Command]) -> dict[str, Result]:
            raise ConnectionFailed("down")

    with pytest.raises(ConnectionFailed):
        gather(Unreachable(), parameters, [echo("x", "true")])


def test_what_the_gate_knows(parameters: Parameters) -> None:
    known = GateFact("trips", lambda gate, _: gate.round_trips)
    unknown = GateFact("colour", lambda gate, _: gate.colour)
    facts = gather(ThisMachine(), parameters, [known, unknown, echo("x", "true")])
    assert facts.trips == 1
    assert isinstance(facts.colour, Missing)


def test_a_fact_that_was_not_asked_for(parameters: Parameters) -> None:
    facts = gather(ThisMachine(), parameters, [echo("x", "true")])
    assert isinstance(facts.get("y"), Missing)
    with pytest.raises(AttributeError, match="there are: x"):
        _ = facts.y


def test_plain_json() -> None:
    assert plain({1: (float("nan"), float("inf"), 1.5), "set": {"b", "a"}, "missing": Missing("f", "r")}) == {
        "1": [None, None, 1.5],
        "set": ["a", "b"],
        "missing": {"fact": "f", "reason": "r", "command": "", "exit_code": None, "stderr": ""},
    }
