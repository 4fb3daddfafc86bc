"""Verdicts in the words of monitoring plug-ins: OK, WARNING, CRITICAL, UNKNOWN.

OK needs evidence. Where a probe failed there is none, so the verdict is UNKNOWN, and UNKNOWN is never OK.
"""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class State(enum.Enum):
    """The four states; `.value` is the exit code of `./runbook run`."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3

    @property
    def rank(self) -> int:
        """How bad: CRITICAL before UNKNOWN before WARNING before OK, so that a known outage is not hidden by a doubt."""
        return {State.OK: 0, State.WARNING: 1, State.UNKNOWN: 2, State.CRITICAL: 3}[self]

    def __str__(self) -> str:
        return self.name


def worst(states: Iterable[State]) -> State:
    """Given states, return the worst; given none, UNKNOWN (nothing was looked at)."""
    return max(states, key=lambda state: state.rank, default=State.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One judgement: `state` of `subject` under `check`, with the reason in a sentence.

    `value` and `limit` are shown side by side with their units; `evidence` is the line that proves it;
    `next` is the notebook to open ("08-troubleshoot/disk-full"); `known` says why a finding is accepted; `history` says what
    was and is over: it is shown, and is no finding. `voided` says why a known exception does not hold now; `cause` names
    the finding ("check subject") that this one follows from.
    """

    state: State
    check: str
    subject: str
    reason: str
    value: str = ""
    limit: str = ""
    evidence: str = ""
    next: str = ""
    known: str = ""
    history: str = ""
    voided: str = ""
    cause: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON types, the state as a word."""
        return {**asdict(self), "state": self.state.name}


@dataclass(frozen=True, slots=True)
class Verdicts:
    """All verdicts of a run, worst first; iterating gives `Verdict`s."""

    rows: tuple[Verdict, ...]

    @classmethod
    def of(cls, rows: Iterable[Verdict]) -> Verdicts:
        """Given verdicts in any order, return them worst first, then by check and subject."""
        return cls(tuple(sorted(rows, key=lambda row: (-row.state.rank, row.check, row.subject))))

    @property
    def state(self) -> State:
        """The worst state of all rows; UNKNOWN when there are none."""
        return worst(row.state for row in self.rows)

    @property
    def sentence(self) -> str:
        """The verdict in one sentence: the state, how many checks stand how, and the worst finding."""
        if not self.rows:
            return "UNKNOWN: nothing was checked."
        bad = [row for row in self.rows if row.state is not State.OK]
        known = sum(1 for row in self.rows if row.known)
        noted = f" ({known} known exception{'s' if known != 1 else ''})" if known else ""
        if not bad:
            told = "the only check" if len(self.rows) == 1 else f"all {len(self.rows)} checks"
            return f"OK: {told} passed{noted}."
        follow = sum(1 for row in bad if row.cause == f"{bad[0].check} {bad[0].subject}")
        roots = sum(1 for row in bad[1:] if not row.cause)
        more = (
            [f"{follow} other finding{'s' if follow != 1 else ''} follow{'s' if follow == 1 else ''} from it"]
            if follow
            else []
        )
        more += [f"{roots} other cause{'s' if roots != 1 else ''}"] if roots else []
        told = f" ({'; '.join(more)})" if more else ""
        return f"{self.state}: {bad[0].subject}: {bad[0].reason}{told}{noted}"

    def only(self, *checks: str) -> Verdicts:
        """Return the rows whose check is one of `checks`, or begins with one of them and a dot."""
        return Verdicts(
            tuple(
                row
                for row in self.rows
                if any(row.check == name or row.check.startswith(f"{name}.") for name in checks)
            )
        )

    def as_json(self) -> list[dict[str, Any]]:
        """Return plain JSON types."""
        return [row.as_json() for row in self.rows]

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)
