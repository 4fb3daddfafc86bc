"""How a run ended, read from its journal alone: which cells were reached, the state, the exit code. Pure.

A state is one of
    whole         every code cell of the notebook ran, and none raised
    refused       a guard, a parameter or a lock said no before anything was changed
    failed        a cell raised
    interrupted   Ctrl-C or SIGTERM
    timed out     a cell was stopped after its timeout
    kernel died   the kernel was killed or crashed
    died          the processes of the run are gone without a word (killed, or the machine went down)
    incomplete    the kernel ended in order before the last cell
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runbook.errors import EXIT_FAILED, EXIT_REFUSED
from runbook.verdict import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runbook.records.journal import Event

WHOLE, REFUSED, FAILED, INCOMPLETE = "whole", "refused", "failed", "incomplete"
BAD_CHANGES = frozenset({"failed", "rolled back", "worse"})
OK, INTERRUPTED, NOT_REACHED, BEFORE = "ok", "interrupted", "not reached", "ran before recording began"


@dataclass(slots=True)
class CellRun:
    """What one cell did: `status` is ok, failed, interrupted, not reached, or ran before recording began."""

    cell: dict[str, Any]
    heading: str
    status: str = NOT_REACHED
    source: str = ""
    begun: str = ""
    seconds: float | None = None
    count: int | None = None
    outputs: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, Any] = field(default_factory=dict)
    extra: bool = False

    @property
    def name(self) -> str:
        """How a person finds the cell: its heading, else its id."""
        return self.heading or str(self.cell.get("id", "a cell"))


def text_of(cell: dict[str, Any]) -> str:
    """Return a cell's source as one text (nbformat keeps a text or a list of lines)."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def heading_of(cell: dict[str, Any]) -> str:
    """Return the first heading of a Markdown cell, without its marks; empty when there is none."""
    if cell.get("cell_type") != "markdown":
        return ""
    return next((line.lstrip("#").strip() for line in text_of(cell).splitlines() if line.startswith("#")), "")


def is_code(cell: dict[str, Any]) -> bool:
    """Return whether the cell is code and holds any (blank cells are never run)."""
    return cell.get("cell_type") == "code" and bool(text_of(cell).strip())


def tags_of(cell: dict[str, Any]) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.get("metadata", {}).get("tags", []))


def without_outputs(notebook: dict[str, Any]) -> dict[str, Any]:
    """Return a notebook without the outputs and counts of an earlier run."""
    empty: dict[str, Any] = {"outputs": [], "execution_count": None}
    return notebook | {
        "cells": [cell | empty if cell.get("cell_type") == "code" else cell for cell in notebook["cells"]]
    }


def commands_of(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Return every command that went to the server, in order (an event holds those of one round trip)."""
    return [item for event in events if event.kind == "commands" for item in event.data["commands"]]


def source_of(events: Sequence[Event]) -> dict[str, Any]:
    """Return the notebook that was run, as the journal keeps it; one without cells when it does not.

    The runner's word (with its parameters injected) comes later than the file's.
    """
    found = next((event.data["notebook"] for event in reversed(events) if event.kind == "source"), None)
    return found or {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


def cell_runs(notebook: dict[str, Any], events: Iterable[Event]) -> list[CellRun]:
    """Given the source notebook and the events, return what each code cell did, in the notebook's order.

    A cell that ran more than once counts with its last run. Cells that are not in the source come last.
    """
    runs: list[CellRun] = []
    heading = ""
    for cell in notebook["cells"]:
        heading = heading_of(cell) or heading
        if is_code(cell):
            runs.append(CellRun(cell, heading, source=text_of(cell)))
    current: CellRun | None = None
    first: CellRun | None = None
    for event in events:
        if event.kind == "cell.start":
            current = _begin(runs, event)
            first = first or current
        elif current is not None and event.kind == "cell.output":
            add_output(current.outputs, event.data["output"])
        elif current is not None and event.kind == "cell.end":
            _end(current, event.data)
            current = None
    _mark_before(runs, first)
    return runs


def _begin(runs: list[CellRun], event: Event) -> CellRun:
    given, source = event.data.get("id"), event.data.get("source", "")
    by_id = (run for run in runs if given and run.cell.get("id") == given)
    fresh = (run for run in runs if run.source == source and run.status == NOT_REACHED)
    again = (run for run in runs if run.source == source)
    run = next(by_id, None) or next(fresh, None) or next(again, None)
    if run is None:
        run = CellRun({"cell_type": "code", "id": given or "", "metadata": {}, "source": source}, "", extra=True)
        runs.append(run)
    run.status, run.source, run.begun = INTERRUPTED, source, event.time
    run.count, run.seconds, run.outputs, run.error = event.data.get("count"), None, [], {}
    return run


def _end(run: CellRun, data: dict[str, Any]) -> None:
    run.seconds = data.get("seconds")
    if data.get("ok"):
        run.status = OK
    else:
        run.status = INTERRUPTED if data.get("ename") == "KeyboardInterrupt" else FAILED
        run.error = data


def _mark_before(runs: list[CellRun], first: CellRun | None) -> None:
    """Cells above the first recorded one hold the parameters; the setup cell could not have read them had they not run."""
    if first is None or first.extra:
        return
    for run in runs:
        if run is first:
            return
        if run.status == NOT_REACHED and {"parameters", "injected-parameters"} & set(tags_of(run.cell)):
            run.status = BEFORE


def add_output(outputs: list[dict[str, Any]], output: dict[str, Any]) -> None:
    """Given a cell's outputs so far, add the next message as a notebook front end would."""
    kind = output["output_type"]
    if outputs and outputs[-1].get("output_type") == "clear_output" and kind != "clear_output":
        outputs.clear()
    if kind == "clear_output":
        if output.get("wait"):
            outputs.append(output)
        else:
            outputs.clear()
    elif kind == "update_display_data":
        for shown in outputs:
            if shown.get("display_id") == output.get("display_id"):
                shown["data"], shown["metadata"] = output["data"], output["metadata"]
    elif kind == "stream" and outputs and outputs[-1].get("name") == output["name"]:
        outputs[-1] = {**outputs[-1], "text": outputs[-1]["text"] + output["text"]}
    else:
        outputs.append(dict(output))


def end_of(events: Sequence[Event]) -> dict[str, Any] | None:
    """Return the data of the run's end; None when it has none."""
    return next((event.data for event in reversed(events) if event.kind == "run.end"), None)


def state_of(runs: Sequence[CellRun]) -> tuple[str, str]:
    """Given what the cells did, return (state, reason) of a run that nobody stopped."""
    for run in runs:
        if run.status == FAILED:
            refused = run.error.get("exit_code") == EXIT_REFUSED
            first_line = str(run.error.get("evalue", "")).strip().splitlines() or [""]
            return (
                REFUSED if refused else FAILED,
                f"{run.name}: {run.error.get('ename')}: {first_line[0]}",
            )
        if run.status == INTERRUPTED:
            return "interrupted", f"{run.name} was interrupted"
    missed = [run.name for run in runs if run.status == NOT_REACHED]
    if missed:
        return INCOMPLETE, f"not reached: {', '.join(missed)}"
    return WHOLE, ""


def verdict_of(events: Sequence[Event]) -> dict[str, Any] | None:
    """Return the data of the verdict that counts: the last one."""
    return next((event.data for event in reversed(events) if event.kind == "verdict"), None)


def applied_of(events: Sequence[Event]) -> dict[str, Any]:
    """Return what came of the run's change; empty where it came to none."""
    return next((event.data for event in reversed(events) if event.kind == "applied"), {})


def steps_of(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Return the steps that were begun, in order; `ok` is None for one whose end nobody saw."""
    steps: list[dict[str, Any]] = []
    for event in events:
        if event.kind == "step.start":
            steps.append({**event.data, "begun": event.time, "ok": None, "seconds": None, "output": ""})
        elif event.kind == "step.end":
            for step in steps:
                if step["ok"] is None and (step["name"], step["phase"]) == (event.data["name"], event.data["phase"]):
                    step |= {key: event.data[key] for key in ("ok", "seconds", "output")}
    return steps


def exit_code(events: Sequence[Event]) -> int:
    """Given a run's events, return the exit code of `./runbook run`.

    0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (also: whole, but nothing was judged), 4 refused, 5 failed, stopped, killed or
    without an end; also where the change itself failed or was rolled back, whatever the checks say.
    """
    end = end_of(events)
    if end is None:
        return EXIT_FAILED
    if end.get("state") == REFUSED:
        changed = any(event.kind == "step.start" and event.data.get("changes") for event in events)
        return EXIT_FAILED if changed else EXIT_REFUSED
    if end.get("state") != WHOLE or applied_of(events).get("state") in BAD_CHANGES:
        return EXIT_FAILED
    verdict = verdict_of(events)
    if verdict is None:
        return State.UNKNOWN.value
    try:
        return State[str(verdict.get("state"))].value
    except KeyError:
        return State.UNKNOWN.value
