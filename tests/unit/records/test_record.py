"""The record as a notebook: valid, complete, honest, and readable with scrapbook."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runbook.execution.runner import without_slow_grammar
from runbook.records import banner, record
from runbook.records.journal import Event

if TYPE_CHECKING:
    from pathlib import Path

SOURCE: dict[str, Any] = {
    "cells": [
        {"cell_type": "markdown", "id": "purpose", "metadata": {}, "source": ["# Is it up?\n", "text"]},
        {
            "cell_type": "code",
            "id": "parameters",
            "metadata": {"tags": ["parameters"]},
            "source": 'target: str = "x"',
            "outputs": [{}],
        },
        {"cell_type": "markdown", "id": "h", "metadata": {}, "source": "## Ask"},
        {"cell_type": "code", "id": "ask", "metadata": {}, "source": "ask()", "outputs": []},
        {"cell_type": "markdown", "id": "h2", "metadata": {}, "source": "## Then"},
        {"cell_type": "code", "id": "then", "metadata": {}, "source": "then()", "outputs": []},
    ],
    "metadata": {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "runbook": {"procedures": ["health.quick"], "kind": "read"},
    },
    "nbformat": 4,
    "nbformat_minor": 5,
}


def journal(*items: tuple[str, dict[str, Any]]) -> list[Event]:
    return [
        Event(number, f"2026-11-24T07:00:{number:02d}.000000Z", kind, data, "", "")
        for number, (kind, data) in enumerate(items)
    ]


WHOLE = journal(
    ("run.start", {"target": "sandbox", "notebook": "04-health/quick", "parameters": {"target": "sandbox"}, "operator": "me"}),
    ("cell.start", {"id": "ask", "source": "ask()", "count": 2}),
    ("commands", {"commands": [{"name": "a", "command": "echo 'a|b' `x`", "exit_code": 0, "meaning": "ok", "seconds": 0.012, "changes": False}]}),
    ("facts", {"facts": {"disk": {"used_percent": 40.5}, "none": None}, "seconds": 0.1}),
    ("cell.output", {"id": "ask", "output": {"output_type": "execute_result", "data": {"text/plain": "42"}, "metadata": {}, "execution_count": 2}}),
    ("cell.end", {"id": "ask", "ok": True, "seconds": 0.2}),
    ("cell.start", {"id": "then", "source": "then()", "count": 3}),
    ("verdict", {"when": "before", "state": "WARNING", "sentence": "WARNING: 1 of 2", "rows": [{"state": "WARNING"}]}),
    ("outcome", {"state": "WARNING", "note": "looked into <it>", "next": ["08-troubleshoot/disk-full"]}),
    ("cell.end", {"id": "then", "ok": True, "seconds": 0.3}),
    ("run.end", {"state": "whole", "reason": ""}),
)  # fmt: skip


def test_it_is_a_valid_notebook_and_the_same_each_time() -> None:
    without_slow_grammar()
    import nbformat  # noqa: PLC0415 (after the line above)

    made = record.assemble(SOURCE, WHOLE, run_id="r")
    nbformat.validate(nbformat.from_dict(made))  # type: ignore[no-untyped-call] # nbformat ships no types for it
    assert json.dumps(made) == json.dumps(record.assemble(SOURCE, WHOLE, run_id="r"))


def test_it_holds_what_the_contract_names() -> None:
    told = record.assemble(SOURCE, WHOLE, run_id="r")["metadata"]["runbook"]
    assert told["header"]["operator"] == "me"
    assert told["procedures"] == ["health.quick"]
    assert (told["state"], told["verdict"], told["exit_code"]) == ("whole", "WARNING", 1)
    assert told["commands"][0]["exit_code"] == 0
    assert told["next"] == ["08-troubleshoot/disk-full"]
    assert told["notes"] == ["looked into <it>"]
    assert [cell["status"] for cell in told["cells"]] == ["ran before recording began", "ok", "ok"]


def test_values_given_to_this_run_are_shown_below_the_defaults() -> None:
    cells = record.assemble(SOURCE, WHOLE)["cells"]
    place = next(number for number, cell in enumerate(cells) if cell["id"] == "parameters")
    assert cells[place + 1]["source"].endswith("target = 'sandbox'")


def test_outputs_of_an_earlier_run_in_the_source_are_gone() -> None:
    cells = {cell["id"]: cell for cell in record.assemble(SOURCE, WHOLE)["cells"]}
    assert cells["parameters"]["outputs"] == []
    assert cells["ask"]["outputs"][0]["data"] == {"text/plain": "42"}


def test_a_command_stays_within_its_cell_of_the_table() -> None:
    text = banner.commands_text(WHOLE[2].data["commands"])
    (row,) = [line for line in text.splitlines() if "echo" in line]
    assert r"`` echo 'a\|b' `x` ``" in row
    assert row.replace(r"\|", "").count("|") == 7


def test_half_a_run_says_so_on_top_and_in_its_cells() -> None:
    half = [*WHOLE[:7], *journal(("run.end", {"state": "kernel died", "reason": "the kernel was killed by signal 9"}))]
    made = record.assemble(SOURCE, half)
    top = made["cells"][0]["source"]
    assert top.startswith("# NOT WHOLE (kernel died)")
    assert "killed by signal 9" in top
    cells = {cell["id"]: cell for cell in made["cells"]}
    assert "INTERRUPTED" in cells["then"]["outputs"][-1]["text"]
    assert made["metadata"]["runbook"]["exit_code"] == 5


def test_a_cell_that_was_not_reached_says_so() -> None:
    made = record.assemble(SOURCE, [*WHOLE[:6], *journal(("run.end", {"state": "interrupted", "reason": "Ctrl-C"}))])
    cells = {cell["id"]: cell for cell in made["cells"]}
    assert "NOT REACHED" in cells["then"]["outputs"][-1]["text"]
    assert "Not reached (1): Then" in made["cells"][0]["source"]


def test_a_tampered_journal_is_told_in_the_record() -> None:
    made = record.assemble(SOURCE, WHOLE, ["line 3 was edited: its hash does not fit"])
    assert "tampered" in made["cells"][0]["source"]
    assert made["metadata"]["runbook"]["journal_problems"]


def test_scrapbook_reads_the_scraps(tmp_path: Path) -> None:
    without_slow_grammar()
    import scrapbook  # noqa: PLC0415 (after the line above; it is slow)

    path = tmp_path / "record.ipynb"
    made = record.assemble(SOURCE, WHOLE)
    path.write_text(json.dumps(made))
    opened = scrapbook.read_notebook(str(path))
    scraps = opened.scraps
    assert opened.parameters == made["metadata"]["runbook"]["header"]["parameters"]
    assert opened.parameters
    assert scraps["verdict"].data == "WARNING"
    assert scraps["facts"].data == {"disk": {"used_percent": 40.5}, "none": None}
    assert scraps["run"].data["header"]["target"] == "sandbox"
    assert {name: scrap.data for name, scrap in scraps.items()} == record.scraps_of(made)


def test_links_lead_from_the_record_to_the_notebooks() -> None:
    source = {
        **SOURCE,
        "cells": [
            {
                "cell_type": "markdown",
                "id": "m",
                "metadata": {},
                "source": "[a](quick.ipynb) [b](https://x.test/y) [c](#here)",
            }
        ],
    }
    html = '<a href="../08-x/y.ipynb">y</a><a href="https://x.test">x</a>'
    shown = {"output_type": "display_data", "data": {"text/html": html}, "metadata": {}}
    extra = journal(
        ("cell.start", {"id": "z", "source": "z", "count": 1}), ("cell.output", {"id": "z", "output": shown})
    )
    made = record.assemble(source, extra, base="../notebooks/04-health")
    cells = {cell["id"]: cell for cell in made["cells"]}
    assert cells["m"]["source"] == "[a](../notebooks/04-health/quick.ipynb) [b](https://x.test/y) [c](#here)"
    assert cells["z"]["outputs"][0]["data"]["text/html"] == (
        '<a href="../notebooks/08-x/y.ipynb">y</a><a href="https://x.test">x</a>'
    )


def test_what_is_wrong_stands_first_with_its_evidence_and_what_to_open() -> None:
    rows = [
        {"state": "CRITICAL", "subject": "api", "reason": "it answers 500", "evidence": "GET /x | 500", "next": "04-health/log-scan"},
        {"state": "WARNING", "subject": "disk", "reason": "fills up", "evidence": "", "next": "08-troubleshoot/not-written"},
        {"state": "OK", "subject": "db", "reason": "answers"},
    ]  # fmt: skip
    assert banner.findings_text(rows, "04-health/quick") == [
        "1. **CRITICAL** api: it answers 500",
        "   - evidence: ` GET /x \\| 500 `",
        "   - open: [04-health/log-scan](../04-health/log-scan.ipynb)",
        "2. **WARNING** disk: fills up",
        "   - open: 08-troubleshoot/not-written (planned)",
        "",
    ]
    assert banner.findings_text(rows[2:], "04-health/quick") == []
    alike = banner.findings_text([*rows[:1], *rows[:1]], "00-start-here")
    assert alike[0] == "1. **CRITICAL** api: it answers 500 (2 checks)"
    many = [rows[0] | {"subject": f"part {number}"} for number in range(9)]
    assert "And 3 more" in banner.findings_text(many, "00-start-here")[-2]
