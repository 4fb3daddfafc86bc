"""The record of a run as a notebook, put together from its journal. Pure: `assemble(source, events)`.

The record holds the notebook that was run with the outputs of this run, each code cell marked with what became of it, a
banner on top, the commands that went to the server, and scraps that scrapbook reads. `metadata.runbook` has the same as
JSON: header, verdicts, outcome, commands, next step, exit code.
"""

from __future__ import annotations

import copy
import datetime as dt
import hashlib
import posixpath
import re
from typing import TYPE_CHECKING, Any

from runbook.records import outcome
from runbook.records.banner import banner, commands_text, steps_text
from runbook.records.links import anchor_cell
from runbook.records.outcome import BEFORE, NOT_REACHED, OK, WHOLE, CellRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook.records.journal import Event

SCRAP_TYPE = (
    "application/scrapbook.scrap.json+json"  # as scrapbook 0.5 writes and reads it, with version 1 of its payload
)
FORMAT = 1


def header_of(events: Sequence[Event]) -> dict[str, Any]:
    """Return the run's header: what runner and kernel said at its start, the later word winning."""
    header: dict[str, Any] = {}
    for event in events:
        if event.kind == "run.start":
            header |= {key: value for key, value in event.data.items() if key not in {"pid", "role"}}
    return header


def summary(events: Sequence[Event], runs: Sequence[CellRun], problems: Sequence[str] = ()) -> dict[str, Any]:
    """Return `metadata.runbook` of the record: all that is known of the run, as plain JSON."""
    end = outcome.end_of(events) or {"state": "under way", "reason": ""}
    verdicts = [event.data for event in events if event.kind == "verdict"]
    last = outcome.verdict_of(events)
    return {
        "format": FORMAT,
        "header": header_of(events),
        "started": events[0].time if events else "",
        "ended": events[-1].time if events else "",
        "state": end.get("state"),
        "reason": end.get("reason", ""),
        "verdict": (last or {}).get("state", "UNKNOWN"),
        "before": next((item for item in verdicts if item.get("when", "before") == "before"), None),
        "after": next((item for item in reversed(verdicts) if item.get("when") == "after"), None),
        "plan": _last(events, "plan"),
        "applied": outcome.applied_of(events),
        "steps": outcome.steps_of(events),
        "outcome": _last(events, "outcome"),
        "next": (_last(events, "outcome") or {}).get("next", []),
        "notes": [text for event in events if event.kind in {"note", "outcome"} if (text := event.data.get("note"))],
        "commands": outcome.commands_of(events),
        "cells": [
            {"id": run.cell.get("id"), "name": run.name, "status": run.status, "seconds": run.seconds} for run in runs
        ],
        "exit_code": outcome.exit_code(events),
        "journal_events": len(events),
        "journal_problems": list(problems),
    }


def _last(events: Sequence[Event], kind: str) -> dict[str, Any] | None:
    return next((event.data for event in reversed(events) if event.kind == kind), None)


def facts_of(events: Sequence[Event]) -> dict[str, Any]:
    """Return the facts of the run by name; of those gathered more than once, the last."""
    facts: dict[str, Any] = {}
    for event in events:
        if event.kind == "facts":
            facts |= event.data.get("facts") or {key: value for key, value in event.data.items() if key != "seconds"}
    return facts


def assemble(
    notebook: dict[str, Any], events: Sequence[Event], problems: Sequence[str] = (), *, run_id: str = "", base: str = ""
) -> dict[str, Any]:
    """Given the source notebook and the events of a run, return the record as nbformat 4.5 JSON.

    `problems` are what the reader found wrong with the journal itself; the record shows them. `base` is the notebook's
    folder as seen from the record, so that links to other notebooks lead there from here.
    """
    runs = outcome.cell_runs(notebook, events)
    told = summary(events, runs, problems)
    by_cell = {id(run.cell): run for run in runs}
    cells = [_markdown("runbook-banner", banner(told, runs))]
    for cell in notebook["cells"]:
        run = by_cell.get(id(cell))
        cells.append(_ran(run) if run is not None else _clean(cell))
        if "parameters" in outcome.tags_of(cell) and not _has_injected(notebook):
            cells += _injected(cell, told["header"])
    extra = [run for run in runs if run.extra]
    if extra:
        cells.append(
            _markdown("runbook-extra", "## Also run\nThese cells are not in the notebook as it lies in `notebooks/`.")
        )
        cells += [_ran(run) for run in extra]
    if told["steps"]:
        cells.append(_markdown("runbook-steps", steps_text(told["steps"])))
    cells.append(_markdown("runbook-commands", commands_text(told["commands"])))
    cells.append(_scraps(told, facts_of(events)))
    metadata = {
        key: value for key, value in notebook.get("metadata", {}).items() if key in {"kernelspec", "language_info"}
    }
    metadata["runbook"] = notebook.get("metadata", {}).get("runbook", {}) | told | {"run_id": run_id}
    metadata["papermill"] = papermill_metadata(told, run_id)
    _name_cells(cells)
    if base:
        for cell in cells:
            _relink(cell, base)
    cells = [anchor_cell(cell, str(told["header"].get("notebook", ""))) for cell in cells]
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def papermill_metadata(told: dict[str, Any], run_id: str) -> dict[str, Any]:
    """Given the summary of a run, return what papermill's own metadata holds, for programs that read records by it.

    scrapbook takes `parameters` and `input_path` from here. Secrets are never parameters. Whether the run came to its end
    is what the journal says, not what papermill saw.
    """
    header = told["header"]
    return {
        "parameters": header.get("parameters") or {},
        "default_parameters": {},
        "environment_variables": {},
        "version": (header.get("versions") or {}).get("papermill"),
        "input_path": f"notebooks/{header['notebook']}.ipynb" if header.get("notebook") else None,
        "output_path": f"{run_id}.ipynb" if run_id else None,
        "start_time": told["started"],
        "end_time": told["ended"],
        "duration": duration_seconds(told["started"], told["ended"]),
        "exception": None if told["state"] == WHOLE else True,
    }


def duration_seconds(started: str, ended: str) -> float | None:
    """Given two times as journals have them, return the seconds between them; None where one is missing."""
    if not started or not ended:
        return None
    return (dt.datetime.fromisoformat(ended) - dt.datetime.fromisoformat(started)).total_seconds()


RELATIVE = (
    r"(?![a-z][a-z0-9+.-]*:|[/#])"  # neither an address with its scheme, nor an absolute path, nor a place on the page
)
MARKDOWN_LINK = re.compile(rf"(\]\()({RELATIVE}[^)\s]+)(\))")
HTML_LINK = re.compile(rf'(<a\b[^>]*\bhref=")({RELATIVE}[^"]+)(")')


def _relink(cell: dict[str, Any], base: str) -> None:
    """Make relative links of a cell start from the record instead of from the notebook."""

    def moved(match: re.Match[str]) -> str:
        return match[1] + posixpath.normpath(posixpath.join(base, match[2])) + match[3]

    if cell["cell_type"] == "markdown":
        cell["source"] = MARKDOWN_LINK.sub(moved, cell["source"])
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        for kind, link in (("text/html", HTML_LINK), ("text/markdown", MARKDOWN_LINK)):
            if kind in data:
                text = data[kind] if isinstance(data[kind], str) else "".join(data[kind])
                output["data"] = data = data | {kind: link.sub(moved, text)}


def _name_cells(cells: list[dict[str, Any]]) -> None:
    """Give every cell an id of its own (nbformat 4.5 wants one)."""
    seen: set[str] = set()
    for number, cell in enumerate(cells):
        name = str(cell.get("id") or f"cell-{number}")
        while name in seen:
            name = f"{name[:56]}-{number}"
        seen.add(name)
        cell["id"] = name


def _clean(cell: dict[str, Any]) -> dict[str, Any]:
    """A cell as it stands in the source, without outputs of an earlier run."""
    kept = copy.deepcopy(cell)
    kept["source"] = outcome.text_of(cell)
    if kept.get("cell_type") == "code":
        kept |= {"outputs": [], "execution_count": None}
    return kept


def _ran(run: CellRun) -> dict[str, Any]:
    cell = _clean(run.cell)
    cell["source"] = run.source
    cell.setdefault("metadata", {})
    cell["metadata"]["runbook"] = {"status": run.status, "begun": run.begun, "seconds": run.seconds}
    cell["execution_count"] = run.count
    cell["outputs"] = [
        {key: value for key, value in output.items() if key != "display_id"}
        for output in run.outputs
        if output["output_type"] != "clear_output"
    ]
    if run.status not in {OK, BEFORE}:
        mark = {NOT_REACHED: "NOT REACHED: this cell did not run."}.get(
            run.status, f"{run.status.upper()}: this cell did not end well."
        )
        cell["outputs"].append({"output_type": "stream", "name": "stderr", "text": f"{mark}\n"})
    return cell


def _has_injected(notebook: dict[str, Any]) -> bool:
    return any("injected-parameters" in outcome.tags_of(cell) for cell in notebook["cells"])


def _injected(cell: dict[str, Any], header: dict[str, Any]) -> list[dict[str, Any]]:
    """The values that this run had, where they were not given by the runner (papermill's cell ran before recording)."""
    given = header.get("parameters")
    if not isinstance(given, dict) or not given:
        return []
    lines = "".join(f"{name} = {value!r}\n" for name, value in given.items())
    return [
        {
            "cell_type": "code",
            "id": f"{cell.get('id', 'parameters')}-of-this-run",
            "metadata": {"tags": ["injected-parameters"], "runbook": {"status": BEFORE}},
            "source": f"# Parameters of this run\n{lines}".rstrip(),
            "outputs": [],
            "execution_count": None,
        }
    ]


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {"tags": ["runbook-record"]}, "source": text}


def _scraps(told: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    scraps = {
        "run": {key: told[key] for key in ("header", "started", "ended", "state", "reason", "exit_code")},
        "verdict": told["verdict"],
        # scrapbook's schema takes no null: what there is not is empty
        "before": told["before"] or {},
        "after": told["after"] or {},
        "plan": told["plan"] or {},
        "applied": told["applied"],
        "steps": told["steps"],
        "commands": told["commands"],
        "next": told["next"] or [],
        "facts": facts,
    }
    return {
        "cell_type": "code",
        "id": "runbook-scraps",
        "metadata": {"tags": ["runbook-record", "runbook-scraps"]},
        "source": f"# the scraps of this run, for scrapbook.read_notebook(...).scraps: {', '.join(scraps)}",
        "execution_count": None,
        "outputs": [scrap(name, data) for name, data in scraps.items()],
    }


def scrap(name: str, data: Any) -> dict[str, Any]:
    """Given a name and plain JSON, return the output that scrapbook reads as a scrap."""
    return {
        "output_type": "display_data",
        "metadata": {"scrapbook": {"name": name, "data": True, "display": False}},
        "data": {SCRAP_TYPE: {"name": name, "data": data, "encoder": "json", "version": 1}},
    }


def scraps_of(record: dict[str, Any]) -> dict[str, Any]:
    """Given a record, return its scraps by name, as scrapbook would, without its import."""
    found = {}
    for cell in record.get("cells", ()):
        if "runbook-scraps" in outcome.tags_of(cell):
            for output in cell["outputs"]:
                payload = output.get("data", {}).get(SCRAP_TYPE)
                if payload:
                    found[payload["name"]] = payload["data"]
    return found


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file's content, as the chain names it."""
    return hashlib.sha256(content).hexdigest()
