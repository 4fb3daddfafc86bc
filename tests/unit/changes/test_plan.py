"""A plan as data: what it refuses to be, what its digest stands for, and how it comes back from a journal."""

from __future__ import annotations

import dataclasses

import pytest

from runbook.changes.plan import Plan, Step
from runbook.commands import Command

STAMP = "20261124T110500Z"


def change(*argv: str, **options: object) -> Command:
    return Command(argv or ("true",), changes=True, **options)  # type: ignore[arg-type]  # the dataclass checks the names


def step(name: str = "stop", **options: object) -> Step:
    return Step(name, **({"command": change("docker", "stop", name), "no_undo": "none"} | options))  # type: ignore[arg-type]  # as above


def plan(*steps: Step, **options: object) -> Plan:
    return Plan(**({"title": "Do it", "target": "sandbox", "stamp": STAMP, "steps": steps} | options))  # type: ignore[arg-type]  # as above


def test_a_step_comes_back_from_json_as_it_was() -> None:
    original = step(
        "a", affects="api", downtime_seconds=3, undo=(step("b", within_seconds=5, command=Command(("true",), why="x")),),
        no_undo="", done=Command(("test", "-e", "/x"), sudo=True), evidence=(Command(("ls",)),), output=True, stdin_secret="env:X",
    )  # fmt: skip
    assert Step.from_json(original.as_json()) == original


def test_a_secret_cannot_be_part_of_a_plan() -> None:
    with pytest.raises(ValueError, match="may not carry a secret"):
        step(command=change("x", secret=("hunter2",))).as_json()


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((step("a"), step("a")), "two steps have the name a"),
        ((step("a", no_undo=""),), "does not say how it is undone"),
        ((step("a", command=change("cat", stdin="x")),), "has an input"),
        ((), "why there is nothing to do"),
    ],
)
def test_a_plan_that_could_not_be_carried_out_or_taken_back_is_none(steps: tuple[Step, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        plan(*steps)


def test_the_time_of_the_run_is_not_in_the_digest() -> None:
    first = plan(step(command=change("mkdir", f"/var/lib/runbook/{STAMP}")))
    later = plan(step(command=change("mkdir", "/var/lib/runbook/20261124T120000Z")), stamp="20261124T120000Z")
    assert first.digest == later.digest
    assert first.phrase == f"sandbox {first.digest[:8]}"


@pytest.mark.parametrize(
    "other",
    [
        plan(step(command=change("docker", "kill", "stop"))),
        plan(step(command=change("docker", "stop", "stop", sudo=True))),
        plan(step(), step("more")),
        plan(step(), target="production"),
        plan(step(), basis={"image": "sha256:2"}),
        plan(step(undo=(step("start"),), no_undo="")),
    ],
)
def test_whatever_makes_it_another_plan_changes_the_digest(other: Plan) -> None:
    assert other.digest != plan(step()).digest


def test_words_about_a_step_do_not_change_the_digest() -> None:
    assert plan(step(affects="api")).digest == plan(step()).digest


def test_steps_that_are_done_leave_the_plan_and_are_named() -> None:
    left = plan(step("a"), step("b")).without(frozenset({"a"}))
    assert [item.name for item in left.steps] == ["b"]
    assert [item.name for item in left.finished] == ["a"]
    assert "1 done already" in left.sentence
    assert plan(step("a")).without(frozenset({"a"})).sentence == "Nothing to do: every step is done already."


def test_the_sentence_tells_steps_changes_and_downtime() -> None:
    made = plan(step("a", downtime_seconds=2.5), Step("wait", Command(("true",)), within_seconds=5))
    assert made.sentence == "Do it: 2 steps, 1 of them changes, about 2.5 s of downtime."
    assert [item.kind for item in made.steps] == ["change", "wait"]
    assert dataclasses.replace(made, steps=made.steps[1:]).changes is False
