"""How a run ended, from its journal alone."""

from __future__ import annotations

from typing import Any

import pytest

from runbook.records import outcome
from runbook.records.journal import Event


def events(*items: tuple[str, dict[str, Any]]) -> list[Event]:
    return [
        Event(number, f"2026-11-24T07:00:{number:02d}.000000Z", kind, data, "", "")
        for number, (kind, data) in enumerate(items)
    ]


def verdict(state: str, when: str = "before") -> tuple[str, dict[str, Any]]:
    return ("verdict", {"state": state, "when": when})


def end(state: str) -> tuple[str, dict[str, Any]]:
    return ("run.end", {"state": state})


def commands(*, changes: bool) -> tuple[str, dict[str, Any]]:
    return ("commands", {"commands": [{"command": "x", "changes": changes}]})


def step(*, changes: bool) -> tuple[str, dict[str, Any]]:
    return ("step.start", {"name": "x", "phase": "apply", "changes": changes})


def applied(state: str) -> tuple[str, dict[str, Any]]:
    return ("applied", {"state": state})


@pytest.mark.parametrize(
    ("journal", "code"),
    [
        ([verdict("OK"), end("whole")], 0),
        ([verdict("WARNING"), end("whole")], 1),
        ([verdict("CRITICAL"), end("whole")], 2),
        ([verdict("UNKNOWN"), end("whole")], 3),
        ([verdict("CRITICAL"), verdict("OK", "after"), end("whole")], 0),
        ([verdict("OK"), verdict("CRITICAL", "after"), end("whole")], 2),
        ([end("whole")], 3),
        ([verdict("nonsense"), end("whole")], 3),
        ([end("refused")], 4),
        ([commands(changes=False), end("refused")], 4),
        ([commands(changes=True), end("refused")], 4),  # the lock was taken and released; no step was begun
        ([step(changes=False), end("refused")], 4),
        ([step(changes=True), end("refused")], 5),
        ([verdict("OK"), applied("applied"), end("whole")], 0),
        ([verdict("OK"), applied("dry run"), end("whole")], 0),
        ([verdict("OK"), applied("rolled back"), end("whole")], 5),
        ([verdict("OK"), applied("failed"), end("whole")], 5),
        ([verdict("OK"), applied("worse"), end("whole")], 5),
        ([verdict("OK"), end("failed")], 5),
        ([verdict("OK"), end("interrupted")], 5),
        ([verdict("OK"), end("timed out")], 5),
        ([verdict("OK"), end("kernel died")], 5),
        ([verdict("OK"), end("died")], 5),
        ([verdict("OK"), end("incomplete")], 5),
        ([verdict("OK")], 5),
        ([], 5),
    ],
)
def test_exit_code(journal: list[tuple[str, dict[str, Any]]], code: int) -> None:
    assert outcome.exit_code(events(*journal)) == code


def notebook(*sources: str) -> dict[str, Any]:
    return {
        "cells": [
            {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": text} for n, text in enumerate(sources)
        ]
    }


def ran(name: str, source: str, **ended: Any) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("cell.start", {"id": name, "source": source, "count": 1}),
        ("cell.end", {"id": name, "seconds": 1.0, **ended}),
    ]


@pytest.mark.parametrize(
    ("journal", "statuses", "state"),
    [
        ([*ran("c0", "a", ok=True), *ran("c1", "b", ok=True)], ["ok", "ok"], "whole"),
        ([*ran("c0", "a", ok=True)], ["ok", "not reached"], "incomplete"),
        ([*ran("c0", "a", ok=False, ename="ValueError", exit_code=5)], ["failed", "not reached"], "failed"),
        ([*ran("c0", "a", ok=False, ename="ParametersError", exit_code=4)], ["failed", "not reached"], "refused"),
        ([*ran("c0", "a", ok=False, ename="SystemExit", exit_code=5)], ["failed", "not reached"], "failed"),
        ([*ran("c0", "a", ok=False, ename="KeyboardInterrupt")], ["interrupted", "not reached"], "interrupted"),
        ([*ran("c0", "a", ok=True), ran("c1", "b", ok=True)[0]], ["ok", "interrupted"], "interrupted"),
        ([*ran("", "a", ok=True), *ran("", "b", ok=True)], ["ok", "ok"], "whole"),  # papermill's engine sends no ids
        (
            [*ran("c0", "a", ok=False, ename="E"), *ran("c0", "a", ok=True), *ran("c1", "b", ok=True)],
            ["ok", "ok"],
            "whole",
        ),
        ([], ["not reached", "not reached"], "incomplete"),
    ],
)
def test_cells_and_state(journal: list[tuple[str, dict[str, Any]]], statuses: list[str], state: str) -> None:
    runs = outcome.cell_runs(notebook("a", "b"), events(*journal))
    assert [run.status for run in runs] == statuses
    assert outcome.state_of(runs)[0] == state


def test_two_cells_of_the_same_text_are_told_apart_by_their_order() -> None:
    runs = outcome.cell_runs(notebook("a", "a"), events(*ran("", "a", ok=True), *ran("", "a", ok=False, ename="E")))
    assert [run.status for run in runs] == ["ok", "failed"]


def test_the_parameters_cell_above_the_first_recorded_one_has_run() -> None:
    source = notebook("target = 1", "setup", "last")
    source["cells"][0]["metadata"] = {"tags": ["parameters"]}
    runs = outcome.cell_runs(source, events(*ran("", "setup", ok=True)))
    assert [run.status for run in runs] == [outcome.BEFORE, "ok", "not reached"]


def test_a_cell_typed_in_beside_the_notebook_is_kept() -> None:
    runs = outcome.cell_runs(notebook("a"), events(*ran("c0", "a", ok=True), *ran("new", "rm()", ok=True)))
    assert [(run.source, run.extra) for run in runs] == [("a", False), ("rm()", True)]


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


@pytest.mark.parametrize(
    ("messages", "kept"),
    [
        ([stream("a\n"), stream("b\n")], [stream("a\nb\n")]),
        ([stream("a\n"), stream("b\n", "stderr")], [stream("a\n"), stream("b\n", "stderr")]),
        ([stream("a"), {"output_type": "clear_output", "wait": False}, stream("b")], [stream("b")]),
        ([stream("a"), {"output_type": "clear_output", "wait": True}, stream("b")], [stream("b")]),
        (
            [
                {"output_type": "display_data", "data": {"text/plain": "1"}, "metadata": {}, "display_id": "x"},
                {"output_type": "update_display_data", "data": {"text/plain": "2"}, "metadata": {}, "display_id": "x"},
            ],
            [{"output_type": "display_data", "data": {"text/plain": "2"}, "metadata": {}, "display_id": "x"}],
        ),
    ],
)
def test_outputs_are_kept_as_a_front_end_shows_them(messages: list[dict[str, Any]], kept: list[dict[str, Any]]) -> None:
    outputs: list[dict[str, Any]] = []
    for message in messages:
        outcome.add_output(outputs, message)
    assert outputs == kept
