"""A record as text for a terminal: what a person at a console needs who has no browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook.records.banner import to_the_second
from runbook.screen import clean, columns

if TYPE_CHECKING:
    from collections.abc import Sequence


def text(record: dict[str, Any], *, name: str, notes: Sequence[dict[str, Any]] = ()) -> str:
    """Given a record, its name, and the notes added later, return what it says: state, what is wrong (worst first), what was changed; then who and when; then the cells."""
    told = record["metadata"]["runbook"]
    header = told["header"]
    whole = told["state"] == "whole"
    lines = [
        f"{told['verdict'] if whole else told['state'].upper()}: {header.get('notebook')} on {header.get('target')}"
    ]
    if not whole:
        lines += ["", f"This run did not come to its end: {clean(told['reason'])}"]
    for when in ("after", "before"):
        if told.get(when):
            lines += ["", *_verdict(when, told[when])]
    if told.get("applied"):
        lines += ["", f"change: {told['applied'].get('state')}", *_change(told)]
    if told["next"]:
        lines += ["", f"next: {clean(', '.join(map(str, told['next'])))}"]
    lines += [
        "",
        name,
        f"from {to_the_second(told['started'])} to {to_the_second(told['ended'])} (UTC), operator {header.get('operator', 'unknown')}, exit code {told['exit_code']}",
        f"parameters: {', '.join(f'{key}={value!r}' for key, value in (header.get('parameters') or {}).items())}",
        "",
        columns(("cell", "what became of it", "took (s)"), [_cell(item) for item in told["cells"]]),
    ]
    commands = [
        (item.get("exit_code"), f"{float(item.get('seconds') or 0):.2f}", item.get("command", ""))
        for item in told["commands"]
    ]
    if commands:
        lines += ["", columns(("exit code", "took (s)", "command"), commands)]
    lines += [f"\nnote of the run: {clean(note)}" for note in told["notes"]]
    lines += [f"\nnote of {note['time'][:19]} by {clean(note['operator'])}: {clean(note['text'])}" for note in notes]
    return "\n".join(lines)


def _change(told: dict[str, Any]) -> list[str]:
    applied, plan = told["applied"], told.get("plan") or {}
    said = [clean(str(applied.get(key))) for key in ("sentence", "downtime", "next") if applied.get(key)]
    words = {True: "done", False: "FAILED", None: "begun, end not seen"}
    steps = [
        (step["number"], step["phase"], step["name"], words[step["ok"]], "" if step["seconds"] is None else f"{step['seconds']:.1f}")
        for step in told.get("steps", ())
    ]  # fmt: skip
    if not steps:
        steps = [
            (number, "plan", step["name"], "not begun", "") for number, step in enumerate(plan.get("steps", ()), 1)
        ]
    return [*said, *([columns(("no.", "phase", "step", "outcome", "took (s)"), steps)] if steps else [])]


def _cell(item: dict[str, Any]) -> tuple[str, str, str]:
    seconds = item.get("seconds")
    return item["name"], item["status"], "" if seconds is None else f"{seconds:.2f}"


def _verdict(when: str, judged: dict[str, Any]) -> list[str]:
    rows = judged.get("rows", ())  # each cause, then what follows from it
    shown = [row for row in rows if row.get("state") != "OK" or row.get("known") or row.get("history")]
    told = [f"{when}: {clean(judged.get('sentence') or judged.get('state'))}"]
    if shown:
        cells = [
            (
                row["state"],
                ("- " if row.get("cause") else "") + row["check"],
                row["subject"],
                row["reason"] + _known(row),
            )
            for row in shown
        ]
        told.append(columns(("state", "check", "subject", "reason"), cells))
    return told


def _known(row: dict[str, Any]) -> str:
    accepted = f" [accepted: {row['known']}]" if row.get("known") else ""
    return accepted + (f" [history: {row['history']}]" if row.get("history") else "")
