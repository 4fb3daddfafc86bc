"""An earlier run that this one goes on with (resume) or takes back (undo): what its journal says of its plan and steps.

Which steps were begun comes from the journal, since only it tells what may have to be taken back. What is still to do
never does: that is planned anew from the server's state.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from runbook.changes.plan import Plan, Step
from runbook.errors import PreflightError, RecordError
from runbook.records import journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from runbook.records.journal import Event

VARIABLE = "RUNBOOK_REFERENCE"  # "resume:RUN" or "undo:RUN", from the command line to the kernel
MODES = ("resume", "undo")


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier run: what it was, what it planned, and which of its steps were begun and ended."""

    run_id: str
    header: Mapping[str, Any]
    plan: Mapping[str, Any] | None
    begun: tuple[Step, ...]
    ended: frozenset[str]
    state: str
    resumes: Earlier | None = None
    taken_back_by: str = ""

    @property
    def stamp(self) -> str:
        """The time in the names of files and databases: that of the first run."""
        return str((self.plan or {}).get("stamp", "")) or self.run_id.partition("--")[0]

    @property
    def pinned(self) -> dict[str, Any]:
        """The notebook's parameters as they were resolved."""
        return (self.resumes.pinned if self.resumes else {}) | dict((self.plan or {}).get("pinned", {}))

    @property
    def runs(self) -> frozenset[str]:
        """This run and those that it went on with."""
        return frozenset({self.run_id}) | (self.resumes.runs if self.resumes else frozenset())

    @property
    def all_begun(self) -> tuple[Step, ...]:
        """Every step that was begun and not taken back, in the procedure's order; the runs it went on with come first."""
        if self.state == "rolled back":
            return ()
        return in_order((*(self.resumes.all_begun if self.resumes else ()), *self.begun))


@dataclass(frozen=True, slots=True)
class Reference:
    """What this run does with an earlier one."""

    mode: Literal["resume", "undo"]
    earlier: Earlier


def wanted() -> tuple[str, str] | None:
    """Return (mode, run id) of the earlier run that the command line names; None for a run of its own."""
    mode, _, run_id = os.environ.get(VARIABLE, "").partition(":")
    return (mode, run_id) if mode in MODES and run_id else None


def find(outputs: Path) -> Reference | None:
    """Return what this run refers to. Raises RecordError when that run has no journal here."""
    asked = wanted()
    if asked is None:
        return None
    mode, run_id = asked
    earlier = read(outputs, run_id)
    if mode == "resume":
        return Reference("resume", earlier)
    return Reference("undo", replace(earlier, taken_back_by=_undone_by(outputs, earlier)))


def read(outputs: Path, run_id: str) -> Earlier:
    """Given the outputs folder and a run's id, return what its journal says. Raises RecordError."""
    path = journal.journal_path(outputs, run_id)
    if path is None:
        raise RecordError(
            f"there is no journal of the run {run_id} in {outputs}",
            remedy="resume and undo need the journal of the run: do it on the machine where it ran",
        )
    reading = journal.read(path)
    if reading.problems:
        raise RecordError(
            f"the journal of {run_id} was tampered with: {reading.problems[0]}",
            remedy="do not resume or undo by it: look at the server, then run the procedure anew",
        )
    return of_events(run_id, reading.events, lambda other: read(outputs, other))


def later_changes(outputs: Path, earlier: Earlier) -> list[str]:
    """Return the runs on the same target that began a change after this one did, oldest first.

    Its own undos are left out, and later runs that were taken back themselves, with what took them back.
    """
    later = list(_later(outputs, earlier))
    gone = {str(header.get("undoes", "")) for _, header, events in later if _applied(events)}
    there = {run_id for run_id, _, _ in later} | {earlier.run_id}
    return [
        run_id
        for run_id, header, events in later
        if run_id not in gone
        and header.get("undoes") not in there
        and any(event.kind == "step.start" and event.data.get("changes") for event in events)
    ]


def _applied(events: Sequence[Event]) -> bool:
    return any(event.kind == "applied" and event.data.get("state") == "applied" for event in events)


def _undone_by(outputs: Path, earlier: Earlier) -> str:
    """Return the run that took this one back, to its end; "" where none did."""
    for run_id, header, events in _later(outputs, earlier):
        if header.get("undoes") == earlier.run_id and _applied(events):
            return run_id
    return ""


def _later(outputs: Path, earlier: Earlier) -> Iterator[tuple[str, dict[str, Any], tuple[Event, ...]]]:
    """Yield id, header and events of the later runs on the same target, oldest first.

    The names of journals begin with their time and the target, so only those are read.
    """
    target = earlier.run_id.split("--")[1] if "--" in earlier.run_id else ""
    folders = (outputs / ".journal", journal.fallback_folder())
    paths = {path.stem: path for folder in folders for path in folder.glob(f"*--{target}--*.jsonl")}
    for run_id in sorted(name for name in paths if name > earlier.run_id):
        events = journal.read(paths[run_id]).events
        header = {key: value for event in events if event.kind == "run.start" for key, value in event.data.items()}
        yield run_id, header, events


def of_events(run_id: str, events: Sequence[Event], load: Any = None) -> Earlier:
    """Given a run's events, return what they say of it; `load` reads the run that it resumed."""
    header: dict[str, Any] = {}
    plan: dict[str, Any] | None = None
    begun: list[Step] = []
    ended: set[str] = set()
    state = ""
    for event in events:
        if event.kind == "run.start":
            header |= event.data
        elif event.kind == "plan":
            plan = event.data
        elif event.kind == "step.start" and event.data.get("phase") == "apply" and plan is not None:
            begun += [Step.from_json(item) for item in plan["steps"] if item["name"] == event.data["name"]]
        elif event.kind == "step.end" and event.data.get("ok"):
            ended.add(str(event.data["name"]))
        elif event.kind == "applied":
            state = str(event.data.get("state", ""))
    resumed = str(header.get("resumes", ""))
    return Earlier(
        run_id, header, plan, tuple(begun), frozenset(ended), state, load(resumed) if resumed and load else None
    )


def undo_plan(earlier: Earlier, target: str, stamp: str) -> Plan:
    """Given an earlier run, return the plan that takes its steps back, the last one first.

    Raises PreflightError for a run that has nothing to take back.
    """
    if earlier.header.get("undoes"):
        raise PreflightError(
            f"{earlier.run_id} is itself an undo",
            remedy=f"to do it again, run the procedure again: ./runbook run {earlier.header.get('notebook')} --target {target}",
        )
    title = f"Take back {earlier.header.get('notebook')} of {earlier.stamp}"
    basis = {"undoes": earlier.run_id}
    if earlier.taken_back_by:
        return Plan(title, target, stamp, basis=basis, nothing=f"{earlier.taken_back_by} took that run back already")
    if earlier.state == "rolled back":
        return Plan(title, target, stamp, basis=basis, nothing="that run took its own steps back")
    steps: list[Step] = []
    kept: list[str] = []
    for begun in reversed(earlier.all_begun):
        if begun.changes and not begun.undo:
            kept.append(f"{begun.command.why or begun.name}: {begun.no_undo}")
        steps += begun.undo
    if not steps:
        return Plan(
            title,
            target,
            stamp,
            basis=basis,
            nothing="no step of that run can or need be taken back",
            notes=tuple(kept),
        )
    return Plan(
        title,
        target,
        stamp,
        steps=tuple(_renamed(steps)),
        basis=basis,
        notes=tuple(f"stays as it is: {line}" for line in dict.fromkeys(kept)),
        tolerates=("*",),  # the state before may have been a bad one; the verdict after it says so
        danger=str(earlier.header.get("kind", "")) == "danger",
    )


def in_order(begun: Sequence[Step]) -> tuple[Step, ...]:
    """Given the steps that several runs began, one run after the other, return each once, where it was begun first.

    That is the procedure's order: a resumed run may begin an early step again, and what is taken back goes from the end.
    """
    last = {step.name: step for step in begun}
    return tuple(last[name] for name in dict.fromkeys(step.name for step in begun))


def undo_steps(begun: Sequence[Step]) -> tuple[Step, ...]:
    """Given steps that were begun, return those that take them back, the last one first."""
    return tuple(_renamed([taken for step in reversed(begun) for taken in step.undo]))


def _renamed(steps: Sequence[Step]) -> list[Step]:
    """Give each a name of its own: two steps may be taken back by the same one."""
    found: list[Step] = []
    for step in steps:
        used = {other.name for other in found}
        name = step.name if step.name.startswith("undo-") else f"undo-{step.name}"
        number = 2
        while name in used:
            name, number = f"{name.rsplit('--', 1)[0]}--{number}", number + 1
        reason = (
            "the procedure can be run again" if step.changes and not step.undo and not step.no_undo else step.no_undo
        )
        found.append(replace(step, name=name, no_undo=reason))
    return found
