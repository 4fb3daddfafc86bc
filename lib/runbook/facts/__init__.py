"""Facts: what the server says, gathered in one round trip and parsed by pure functions.

A fact is a question (commands) and a reading of the answer (a pure `parse`). `gather` asks all questions together.
Where a probe or its parser fails, the fact is `Missing` with the reason: never a default, never an empty value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from runbook.errors import ParseError, RunbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from runbook.commands import Command, Result
    from runbook.parameters import Parameters

T = TypeVar("T")


class Gate(Protocol):
    """What `gather` needs of a connection: many commands, one round trip."""

    def run_all(self, commands: Mapping[str, Command]) -> dict[str, Result]:
        """Run all commands and return their results under the same names; raise only for the connection itself."""


@dataclass(frozen=True, slots=True)
class Fact(Generic[T]):
    """A question to the server.

    Attributes:
        name: where the answer is found: `facts.<name>`.
        commands: given the parameters, the probes by name (empty: nothing to ask of this target).
        parse: given the results by the same names, and the parameters, the answer. Pure. Raises ParseError.
        optional: probes whose undeclared exit code is left to `parse` to read.
    """

    name: str
    commands: Callable[[Parameters], dict[str, Command]]
    parse: Callable[[Mapping[str, Result], Parameters], T]
    optional: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Missing:
    """No evidence: which fact, why, and what the probe said. A check turns it into UNKNOWN."""

    fact: str
    reason: str
    command: str = ""
    exit_code: int | None = None
    stderr: str = ""

    def __str__(self) -> str:
        return self.reason


class Facts:
    """The answers of one gathering, by name: `facts.containers` or `facts["containers"]`."""

    def __init__(self, values: Mapping[str, Any], results: Mapping[str, Result], *, seconds: float) -> None:
        self._values = dict(values)
        self.results = dict(results)
        self.seconds = seconds

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(
                f"no fact {name!r} was gathered; there are: {', '.join(sorted(self._values))}"
            ) from None

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    @property
    def missing(self) -> tuple[Missing, ...]:
        """The facts for which there is no evidence."""
        return tuple(value for value in self._values.values() if isinstance(value, Missing))

    def __repr__(self) -> str:
        found = len(self._values) - len(self.missing)
        return f"{found} of {len(self._values)} facts gathered" + "".join(
            f"\n  missing {item.fact}: {item.reason}" for item in self.missing
        )


def gather(gate: Gate, parameters: Parameters, facts: Iterable[Fact[Any]], *, now: Callable[[], float]) -> Facts:
    """Given a connection and facts, ask everything in one round trip and return the answers.

    `now` returns seconds of a monotonic clock. Raises ConnectionFailed when the server cannot be asked at all.
    """
    wanted = {fact.name: fact for fact in facts}
    probes: dict[str, Command] = {}
    for fact in wanted.values():
        probes.update({f"{fact.name}.{probe}": asked for probe, asked in fact.commands(parameters).items()})
    begun = now()
    results = gate.run_all(probes) if probes else {}
    seconds = now() - begun
    values = {name: _answer(fact, results, parameters) for name, fact in wanted.items()}
    return Facts(values, results, seconds=seconds)


def _answer(fact: Fact[T], results: Mapping[str, Result], parameters: Parameters) -> T | Missing:
    prefix = f"{fact.name}."
    mine = {name.removeprefix(prefix): result for name, result in results.items() if name.startswith(prefix)}
    for probe, result in mine.items():
        if not result.ok and (probe not in fact.optional or result.timed_out or result.sudo_refused):
            told = (result.stderr.strip() or result.stdout.strip()).splitlines()
            reason = f"{result.command.argv[0]}: {result.meaning} (exit code {result.exit_code})" + (
                f": {told[-1][:200]}" if told else ""
            )
            return Missing(fact.name, reason, result.command.shown, result.exit_code, result.stderr[-2000:])
    try:
        return fact.parse(mine, parameters)
    except ParseError as error:
        return Missing(fact.name, error.reason)
    except RunbookError as error:
        return Missing(fact.name, error.reason)
    except (KeyError, ValueError, IndexError, TypeError, AttributeError) as error:
        # a parser that trips over an output that nobody has seen yet is missing evidence, not the end of the run
        return Missing(fact.name, f"the answer could not be read: {type(error).__name__}: {error}")
