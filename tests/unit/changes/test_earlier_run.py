"""What an earlier run's journal says of what is to be taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runbook.changes import earlier_run
from runbook.changes.plan import Plan, Step
from runbook.commands import Command
from runbook.errors import PreflightError
from runbook.records.journal import Event, Journal

if TYPE_CHECKING:
    from pathlib import Path

STAMP = "20261124T110500Z"
RUN = f"{STAMP}--sandbox--02-services.control--abc123"


def change(name: str, *undo: Step, no_undo: str = "") -> Step:
    return Step(name, Command(("do", name), changes=True, why=f"do {name}"), undo=undo, no_undo=no_undo)


def takes_back(name: str) -> Step:
    return Step(name, Command(("undo", name), changes=True, why=f"undo {name}"))


PLAN = Plan(
    "Do it", "sandbox", STAMP, pinned={"backup": "x.dump"},
    steps=(change("a", takes_back("a"), takes_back("shared")), change("b", no_undo="it only reads"), change("c", takes_back("shared"))),
)  # fmt: skip


def journal(*begun: str, header: dict[str, Any] | None = None, state: str = "", phase: str = "apply") -> list[Event]:
    items: list[tuple[str, dict[str, Any]]] = [
        ("run.start", {"notebook": "02-services/control", "target": "sandbox", "kind": "change"} | (header or {})),
        ("plan", PLAN.as_json()),
        *(("step.start", {"name": name, "phase": phase}) for name in begun),
        *(("step.end", {"name": name, "ok": True, "phase": phase}) for name in begun[:-1]),
    ]
    items += [("applied", {"state": state})] if state else []
    return [
        Event(number, "2026-11-24T07:00:00.000000Z", kind, data, "", "") for number, (kind, data) in enumerate(items)
    ]


def test_begun_steps_are_taken_back_the_last_one_first() -> None:
    earlier = earlier_run.of_events(RUN, journal("a", "b", "c"))
    made = earlier_run.undo_plan(earlier, "sandbox", "20261124T120000Z")
    assert [step.command.argv for step in made.steps] == [("undo", "shared"), ("undo", "a"), ("undo", "shared")]
    assert len({step.name for step in made.steps}) == 3
    assert made.notes == ("stays as it is: do b: it only reads",)
    assert earlier.stamp == STAMP
    assert earlier.pinned == {"backup": "x.dump"}
    assert earlier.ended == {"a", "b"}


def test_only_what_was_begun_is_taken_back() -> None:
    made = earlier_run.undo_plan(earlier_run.of_events(RUN, journal("a")), "sandbox", "20261124T120000Z")
    assert [step.command.argv for step in made.steps] == [("undo", "a"), ("undo", "shared")]
    nothing = earlier_run.undo_plan(earlier_run.of_events(RUN, journal()), "sandbox", "20261124T120000Z")
    assert not nothing.steps


def test_a_run_that_took_its_steps_back_has_nothing_left() -> None:
    earlier = earlier_run.of_events(RUN, journal("a", "b", state="rolled back"))
    assert earlier_run.undo_plan(earlier, "sandbox", "20261124T120000Z").steps == ()


def test_an_undo_is_not_undone() -> None:
    earlier = earlier_run.of_events(RUN, journal("a", header={"undoes": "other"}))
    with pytest.raises(PreflightError, match="is itself an undo"):
        earlier_run.undo_plan(earlier, "sandbox", "20261124T120000Z")


def test_what_a_resumed_run_had_begun_before_is_taken_back_too() -> None:
    first = earlier_run.of_events(RUN, journal("a"))
    second = earlier_run.of_events("second", journal("b", "c", header={"resumes": RUN}), lambda _name: first)
    assert [step.name for step in second.all_begun] == ["a", "b", "c"]
    assert second.runs == {"second", RUN}


def test_what_a_resumed_run_began_again_goes_back_once_in_the_procedure_s_order() -> None:
    first = earlier_run.of_events(RUN, journal("a", "b"))
    second = earlier_run.of_events("second", journal("a", "c", header={"resumes": RUN}), lambda _name: first)
    assert [step.name for step in second.all_begun] == ["a", "b", "c"]
    back = earlier_run.of_events(
        "second", journal("c", header={"resumes": RUN}, state="rolled back"), lambda _name: first
    )
    assert back.all_begun == (), "a resumed run that was taken back took its forerunners with it"


def test_a_danger_is_a_danger_to_take_back() -> None:
    earlier = earlier_run.of_events(RUN, journal("a", header={"kind": "danger"}))
    assert earlier_run.undo_plan(earlier, "sandbox", "20261124T120000Z").danger


def written(outputs: Path, time: str, *begun: str, **header: Any) -> str:
    """Write the journal of a run that applied its steps."""
    run = Journal.begin(outputs, {"notebook": "02-services/control", "target": "sandbox", "kind": "change", **header})
    run.event("plan", **PLAN.as_json())
    for name in begun:
        run.event("step.start", name=name, phase="apply", changes=True)
    run.event("applied", state="applied")
    run.release()
    name = f"{time}--sandbox--02-services.control--abc123"
    run.place.rename(run.place.with_name(f"{name}.jsonl"))
    return name


def test_a_later_change_that_was_taken_back_itself_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    first = written(tmp_path, "20261124T110000Z", "a")
    second = written(tmp_path, "20261124T120000Z", "b")
    assert earlier_run.later_changes(tmp_path, earlier_run.read(tmp_path, first)) == [second]
    written(tmp_path, "20261124T130000Z", "undo-b", undoes=second)
    assert earlier_run.later_changes(tmp_path, earlier_run.read(tmp_path, first)) == []
    written(tmp_path, "20261124T140000Z", "undo-a", undoes=first)
    assert earlier_run.later_changes(tmp_path, earlier_run.read(tmp_path, first)) == []
    third = written(tmp_path, "20261124T150000Z", "c")
    assert earlier_run.later_changes(tmp_path, earlier_run.read(tmp_path, first)) == [third]
