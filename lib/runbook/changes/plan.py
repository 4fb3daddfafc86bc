"""A plan as data: what would be done, step by step, why, and how each step is undone.

A planner is a pure function of a `Context` (facts, verdicts, parameters). What it returns is what the operator is shown,
what `--instructions` prints, and what `apply` sends: there is no second description of a change anywhere.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from runbook.commands import Command
from runbook.facts import STATE_FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.facts import Facts
    from runbook.parameters import Parameters
    from runbook.verdict import Verdicts

STAMP_MARK = "STAMP"
PHRASE_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Context:
    """What a planner may look at.

    Attributes:
        facts: the answers of this run's gathering.
        verdicts: what the checks say of them, before the change.
        parameters: the target's params file.
        values: the notebook's parameters.
        stamp: UTC time of the run, "20261124T110500Z", for names; a resumed run keeps the first one's. Not in the digest.
        resumed: whether it goes on with an earlier run, which may have done steps already.
    """

    facts: Facts
    verdicts: Verdicts
    parameters: Parameters
    values: Mapping[str, Any]
    stamp: str
    resumed: bool = False

    @property
    def work(self) -> str:
        """The folder on the server for this run's undo material; a plan's first change may make it."""
        return f"{STATE_FOLDER}/{self.stamp}"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a plan.

    Attributes:
        name: lower-case letters, digits and dashes, unique in the plan; it names the systemd unit on the server.
        command: what runs. With `changes` it is a change; else a proof, or with `within_seconds` a wait.
        affects: what it touches ("api, arq-worker"), for the operator.
        downtime_seconds: how long users are expected to notice.
        undo: what takes it back, in order; each safe where this step had no effect or half of it.
        no_undo: why there is no undo (a change has either).
        done: a probe that reads; exit code 0 says that what this step brings about is there already.
        within_seconds: the command is asked again every second until it exits 0, at most so long.
        evidence: asked when the step fails, shown and kept.
        output: show what it printed (else it is only kept in the journal).
        stdin_secret: reference of a secret ("file:...", "env:...") that goes to the command's standard input; the plan
            never holds its value. Such a change runs directly, not as a unit: short and safe to repeat only.
        local: done by the operator's side instead ("call" names a function of `runbook.offhost`, the rest are its
            arguments, plain JSON); safe to repeat. `command` then only shows what it comes to.
        reconnect: the login user has other rights afterwards, so what follows needs a new login.
    """

    name: str
    command: Command
    affects: str = ""
    downtime_seconds: float = 0
    undo: tuple[Step, ...] = ()
    no_undo: str = ""
    done: Command | None = None
    within_seconds: float | None = None
    evidence: tuple[Command, ...] = ()
    output: bool = False
    stdin_secret: str = ""
    local: Mapping[str, Any] | None = None
    reconnect: bool = False

    @property
    def changes(self) -> bool:
        """Whether it may change the server."""
        return self.command.changes

    @property
    def kind(self) -> str:
        """What it is, in a word: change, wait or proof."""
        if self.changes:
            return "change"
        return "wait" if self.within_seconds is not None else "proof"

    @property
    def undo_text(self) -> str:
        """How it is undone, in words."""
        if self.undo:
            return "; ".join(dict.fromkeys(step.command.why or step.name for step in self.undo))
        return self.no_undo if self.changes else ""

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON from which `from_json` makes the same step."""
        return {
            "name": self.name,
            "command": _command_json(self.command),
            "affects": self.affects,
            "downtime_seconds": self.downtime_seconds,
            "undo": [step.as_json() for step in self.undo],
            "no_undo": self.no_undo,
            "done": None if self.done is None else _command_json(self.done),
            "within_seconds": self.within_seconds,
            "evidence": [_command_json(command) for command in self.evidence],
            "output": self.output,
            "stdin_secret": self.stdin_secret,
            "local": None if self.local is None else dict(self.local),
            "reconnect": self.reconnect,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Step:
        """Given what `as_json` returned, return the step. Raises KeyError, TypeError, ValueError for anything else."""
        return cls(
            name=data["name"],
            command=_command(data["command"]),
            affects=data["affects"],
            downtime_seconds=data["downtime_seconds"],
            undo=tuple(cls.from_json(item) for item in data["undo"]),
            no_undo=data["no_undo"],
            done=None if data["done"] is None else _command(data["done"]),
            within_seconds=data["within_seconds"],
            evidence=tuple(_command(item) for item in data["evidence"]),
            output=data["output"],
            stdin_secret=data["stdin_secret"],
            local=data.get("local"),
            reconnect=data.get("reconnect", False),
        )


def _command_json(command: Command) -> dict[str, Any]:
    if command.secret:
        raise ValueError(f"a step's command may not carry a secret (see Step.stdin_secret): {command.shown}")
    return {
        "argv": list(command.argv),
        "stdin": command.stdin,
        "sudo": command.sudo,
        "timeout": command.timeout,
        "expect": {str(code): word for code, word in command.expect.items()},
        "changes": command.changes,
        "why": command.why,
    }


def _command(data: Mapping[str, Any]) -> Command:
    return Command(
        argv=tuple(data["argv"]),
        stdin=data["stdin"],
        sudo=data["sudo"],
        timeout=data["timeout"],
        expect={int(code): word for code, word in data["expect"].items()},
        changes=data["changes"],
        why=data["why"],
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done to a target.

    Attributes:
        title: one sentence that says what is reached when all steps are done.
        target: the target's name.
        stamp: as in `Context`.
        steps: in order; none when there is nothing to do, which `nothing` explains.
        finished: steps that a probe says are done already.
        basis: plain JSON of the facts that the plan stands on.
        pinned: parameters of the notebook as resolved while planning, so that a resumed run has the same goal.
        losses: what would be lost or freed, a line each.
        notes: what the operator should know, a line each.
        automatic_undo: undo without asking when a step fails or the checks are worse afterwards.
        settle_seconds: how long the checks may take to become as good as before.
        danger: whether it needs the phrase, whatever the notebook's kind.
        tolerates: checks (or rooms of checks) that may be worse afterwards, since the plan means it; "*" for all.
        only_new: checks that list what they find: a row that was there before, with however little, is no worse with more.
    """

    title: str
    target: str
    stamp: str
    steps: tuple[Step, ...] = ()
    finished: tuple[Step, ...] = ()
    basis: Mapping[str, Any] = field(default_factory=dict)
    pinned: Mapping[str, Any] = field(default_factory=dict)
    losses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    nothing: str = ""
    automatic_undo: bool = False
    settle_seconds: float = 45
    danger: bool = False
    tolerates: tuple[str, ...] = ()
    only_new: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for a plan that could not be carried out or undone as it says."""
        names = [step.name for step in self.steps]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two steps have the name {twice[0]}")
        silent = [step.name for step in self.steps if step.changes and not step.undo and not step.no_undo]
        if silent:
            raise ValueError(f"the step {silent[0]} does not say how it is undone, or why it is not")
        fed = [step.name for step in self.steps if step.changes and step.command.stdin]
        if fed:
            raise ValueError(f"the step {fed[0]} has an input, which a unit on the server does not get")
        if not self.steps and not self.nothing and not self.finished:
            raise ValueError("a plan without steps says why there is nothing to do")

    @property
    def digest(self) -> str:
        """SHA-256 over target, commands and basis, with the run's time left out; any other plan has another one."""
        steps = [_digested(step.as_json()) for step in self.steps]
        content = {"target": self.target, "title": self.title, "steps": steps, "basis": dict(self.basis)}
        text = orjson.dumps(content, option=orjson.OPT_SORT_KEYS).decode()
        for written in _spellings(self.stamp):
            text = text.replace(written, STAMP_MARK)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def phrase(self) -> str:
        """What the operator must type to confirm: the target and the beginning of the digest."""
        return f"{self.target} {self.digest[:PHRASE_DIGITS]}"

    @property
    def changes(self) -> bool:
        """Whether any step may change the server."""
        return any(step.changes for step in self.steps)

    @property
    def downtime_seconds(self) -> float:
        """Expected downtime of all steps together."""
        return sum(step.downtime_seconds for step in self.steps)

    @property
    def sentence(self) -> str:
        """The plan in one sentence."""
        if not self.steps:
            return f"Nothing to do: {self.nothing or 'every step is done already'}."
        changes = sum(1 for step in self.steps if step.changes)
        down = f", about {self.downtime_seconds:g} s of downtime" if self.downtime_seconds else ", no downtime"
        already = f", {len(self.finished)} done already" if self.finished else ""
        return f"{self.title}: {len(self.steps)} steps, {changes} of them changes{down}{already}."

    def without(self, names: frozenset[str]) -> Plan:
        """Given names of steps whose probe says that they are done, return the plan of what is left."""
        return replace(
            self,
            steps=tuple(step for step in self.steps if step.name not in names),
            finished=(*self.finished, *(step for step in self.steps if step.name in names)),
        )

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON, as the journal keeps it."""
        return {
            "title": self.title,
            "sentence": self.sentence,
            "target": self.target,
            "stamp": self.stamp,
            "digest": self.digest,
            "phrase": self.phrase,
            "steps": [step.as_json() for step in self.steps],
            "finished": [step.name for step in self.finished],
            "basis": dict(self.basis),
            "pinned": dict(self.pinned),
            "losses": list(self.losses),
            "notes": list(self.notes),
            "automatic_undo": self.automatic_undo,
            "danger": self.danger,
        }


def _spellings(stamp: str) -> tuple[str, ...]:
    """Return how a run's time is written: as it is, in the name of a database, and in the name of a dump."""
    return (stamp, stamp.lower(), f"{stamp[:8]}-{stamp[9:15]}")


def _digested(step: dict[str, Any]) -> dict[str, Any]:
    """What of a step makes it another one: its commands, not the words about them."""
    return {key: step[key] for key in ("name", "command", "undo", "done", "within_seconds", "local")}
