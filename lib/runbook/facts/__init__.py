"""Facts: what the server says, gathered in one round trip and parsed by pure functions.

A fact is a question (commands) and a reading of the answer (a pure `parse`). `gather` asks all questions together.
Where a probe or its parser fails, the fact is `Missing` with the reason: never a default, never an empty value.

Three kinds of fact share that rule:
`Fact`       asks the server; all commands of all facts go out in one round trip.
`LocalFact`  looks from the operator's side (a page fetched, a login); runs in a thread beside the round trip.
`GateFact`   reads what the connection itself knows (the host key, the time of a round trip).
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from runbook.errors import ConnectionFailed, ParseError, RunbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from runbook.commands import Command, Result
    from runbook.parameters import Parameters

STATE_FOLDER = "/var/lib/runbook"  # on the server, root only: the lock, logs of changes, what is kept to undo them
T = TypeVar("T")
# a parser that trips over an output that nobody has seen yet is missing evidence, not the end of the run
UNREADABLE = (ParseError, KeyError, ValueError, IndexError, TypeError, AttributeError, RecursionError)


class CommandRunner(Protocol):
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
        optional: probes whose undeclared exit code is left to `parse` to read; a name ending in `*` covers all that
            begin with it.
    """

    name: str
    commands: Callable[[Parameters], dict[str, Command]]
    parse: Callable[[Mapping[str, Result], Parameters], T]
    optional: frozenset[str] = field(default_factory=frozenset)

    def leaves_to_parser(self, probe: str) -> bool:
        """Whether `parse` reads this probe's undeclared exit code."""
        return probe in self.optional or any(
            name.endswith("*") and probe.startswith(name[:-1]) for name in self.optional
        )


@dataclass(frozen=True, slots=True)
class LocalFact(Generic[T]):
    """A look from the operator's side. `look` raises RunbookError or OSError when there is nothing to be seen."""

    name: str
    look: Callable[[Parameters], T]


@dataclass(frozen=True, slots=True)
class GateFact(Generic[T]):
    """What the connection itself knows; read when the round trip is over."""

    name: str
    read: Callable[[Any, Parameters], T]


AnyFact = Fact[Any] | LocalFact[Any] | GateFact[Any]


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
    """The answers of one gathering, by name: `facts.containers` or `facts["containers"]`.

    `begun` and `ended` are this machine's clock (seconds since 1970) around the gathering; `seconds` is the time the
    server's part took.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        results: Mapping[str, Result],
        *,
        seconds: float,
        begun: float = 0.0,
        ended: float = 0.0,
    ) -> None:
        self._values = dict(values)
        self.results = dict(results)
        self.seconds = seconds
        self.begun = begun
        self.ended = ended

    @property
    def at(self) -> dt.datetime:
        """When the facts were gathered, by this machine's clock."""
        return dt.datetime.fromtimestamp(self.begun, dt.UTC)

    def get(self, name: str) -> Any:
        """Return the fact of this name; `Missing` when it was not asked for."""
        return self._values.get(name, Missing(name, "it was not asked for in this runbook"))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._values[name]
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

    def as_json(self) -> dict[str, Any]:
        """Return all facts as plain JSON types."""
        return {name: plain(value) for name, value in self._values.items()}

    def __repr__(self) -> str:
        found = len(self._values) - len(self.missing)
        return f"{found} of {len(self._values)} facts gathered" + "".join(
            f"\n  missing {item.fact}: {item.reason}" for item in self.missing
        )


def plain(value: Any) -> Any:
    """Given a fact, return plain JSON types; an object with `as_json` says itself what is kept of it."""
    if hasattr(value, "as_json"):
        return plain(value.as_json())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> str | int | float | bool | None:
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat()
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def gather(
    gate: CommandRunner,
    parameters: Parameters,
    facts: Iterable[AnyFact],
    *,
    unreachable: str = "",
    now: Callable[[], float] = time.monotonic,
    clock: Callable[[], float] = time.time,
) -> Facts:
    """Given a connection and facts, ask everything in one round trip and return the answers.

    Where `unreachable` says why the server cannot be asked, only the looks from the operator's side are taken, and every
    other answer is missing for that reason.

    `now` returns seconds of a monotonic clock, `clock` seconds since 1970. Looks from the operator's side run beside
    the round trip. Raises ConnectionFailed when the server cannot be asked at all.
    """
    wanted = {fact.name: fact for fact in facts}
    probes: dict[str, Command] = {}
    for fact in wanted.values():
        if isinstance(fact, Fact) and not unreachable:
            probes.update({f"{fact.name}.{probe}": asked for probe, asked in fact.commands(parameters).items()})
    looks = [fact for fact in wanted.values() if isinstance(fact, LocalFact)]
    begun = clock()
    with ThreadPoolExecutor(max_workers=max(1, len(looks)), thread_name_prefix="look") as threads:
        seen = {fact.name: threads.submit(_look, fact, parameters) for fact in looks}
        started = now()
        results = gate.run_all(probes) if probes else {}
        seconds = now() - started
        ended = clock()
        values: dict[str, Any] = {}
        for name, fact in wanted.items():
            if unreachable and not isinstance(fact, LocalFact):
                values[name] = Missing(name, unreachable)
            elif isinstance(fact, Fact):
                values[name] = _answer(fact, results, parameters)
            elif isinstance(fact, GateFact):
                values[name] = _read(fact, gate, parameters)
        values |= {name: future.result() for name, future in seen.items()}
    return Facts({name: values[name] for name in wanted}, results, seconds=seconds, begun=begun, ended=ended)


def _answer(fact: Fact[T], results: Mapping[str, Result], parameters: Parameters) -> T | Missing:
    prefix = f"{fact.name}."
    mine = {name.removeprefix(prefix): result for name, result in results.items() if name.startswith(prefix)}
    for probe, result in mine.items():
        if not result.ok and (not fact.leaves_to_parser(probe) or result.timed_out or result.sudo_refused):
            return missing(fact.name, result)
    try:
        return fact.parse(mine, parameters)
    except RunbookError as error:
        return Missing(fact.name, error.reason)
    except UNREADABLE as error:
        return Missing(fact.name, f"the answer could not be read: {type(error).__name__}: {error}")


def missing(fact: str, result: Result) -> Missing:
    """Given a result that is no answer, return the missing fact with the last line that the program said."""
    told = (result.stderr.strip() or result.stdout.strip()).splitlines()
    said = f": {told[-1][:200]}" if told else ""
    reason = f"{result.command.argv[0]}: {result.meaning} (exit code {result.exit_code}){said}"
    return Missing(fact, reason, result.command.shown, result.exit_code, result.stderr[-2000:])


def _look(fact: LocalFact[T], parameters: Parameters) -> T | Missing:
    try:
        return fact.look(parameters)
    except RunbookError as error:
        return Missing(fact.name, error.reason)
    except (OSError, *UNREADABLE) as error:
        return Missing(fact.name, f"could not be looked at from here: {type(error).__name__}: {error}")


def _read(fact: GateFact[T], gate: CommandRunner, parameters: Parameters) -> T | Missing:
    try:
        return fact.read(gate, parameters)
    except ConnectionFailed as error:
        return Missing(fact.name, error.reason)
    except (OSError, *UNREADABLE) as error:
        return Missing(fact.name, f"the connection does not say: {type(error).__name__}: {error}")
