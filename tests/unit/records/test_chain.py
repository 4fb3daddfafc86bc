"""The chain over records: what is edited, deleted, inserted or cut off is found; notes break nothing."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from runbook.records import archive
from runbook.records.chain import Chain
from runbook.records.html import export
from runbook.records.index import Index
from runbook.records.journal import Journal
from runbook.records.verify import verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def run(outputs: Path) -> str:
    journal = Journal.create(outputs, {"target": "sandbox", "notebook": "04-health/quick"})
    journal.event("cell.start", id="a", source="1", count=1)
    journal.event("cell.end", id="a", ok=True, seconds=0.1)
    journal.event("verdict", when="before", state="OK", sentence="OK: the only check passed.", rows=[])
    return archive.finalise(journal).run_id


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("RUNBOOK_RUN_ID", raising=False)
    folder = tmp_path / "outputs"
    folder.mkdir()
    for _ in range(3):
        run(folder)
    return folder


def names(outputs: Path) -> list[str]:
    return sorted(path.name for path in outputs.glob("*.ipynb"))


def export_page(outputs: Path, number: int) -> Path:
    """Write the page of a record, and see that all is well with it."""
    record = outputs / names(outputs)[number]
    page = export(record, record.with_suffix(".html"))
    assert verify(Chain(outputs)) == []
    return page


def test_three_runs_verify(outputs: Path) -> None:
    assert verify(Chain(outputs)) == []
    assert len(names(outputs)) == 3


def edit_record(outputs: Path) -> str:
    path = outputs / names(outputs)[1]
    path.write_text(path.read_text().replace("OK: the only", "OK: every"))
    return "edited"


def delete_record(outputs: Path) -> str:
    (outputs / names(outputs)[1]).unlink()
    return "deleted"


def edit_page(outputs: Path) -> str:
    """The page is what an owner reads."""
    page = export_page(outputs, 1)
    page.write_text(page.read_text().replace("OK: the only", "OK: every"))
    return "edited"


def delete_page(outputs: Path) -> str:
    export_page(outputs, 1).unlink()
    return "deleted"


def insert_page(outputs: Path) -> str:
    shutil.copy(export_page(outputs, 1), outputs / "20260101T000000Z--sandbox--04-health.quick--abcdef.html")
    return "inserted"


def page_that_nobody_noted(outputs: Path) -> str:
    (outputs / names(outputs)[0]).with_suffix(".html").write_text("<p>OK</p>")
    return "nothing says what was written"


def insert_record(outputs: Path) -> str:
    shutil.copy(outputs / names(outputs)[1], outputs / "20260101T000000Z--sandbox--04-health.quick--abcdef.ipynb")
    return "inserted"


def edit_journal(outputs: Path) -> str:
    path = min((outputs / ".journal").glob("*.jsonl"))
    path.write_text(path.read_text().replace('"state":"OK"', '"state":"NO"'))
    return "edited"


def delete_journal(outputs: Path) -> str:
    min((outputs / ".journal").glob("*.jsonl")).unlink()
    return "deleted"


def insert_journal(outputs: Path) -> str:
    path = min((outputs / ".journal").glob("*.jsonl"))
    shutil.copy(path, path.with_name("20260101T000000Z--sandbox--x--abcdef.jsonl"))
    return "inserted"


def edit_chain(outputs: Path) -> str:
    path = outputs / ".chain.jsonl"
    path.write_text(path.read_text().replace('"seq":2', '"seq":7', 1))
    return "edited"


def take_a_line_out_of_the_chain(outputs: Path) -> str:
    path = outputs / ".chain.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2] + lines[3:]))
    return "taken out"


def cut_the_chain_and_all_it_names(outputs: Path) -> str:
    """The last run vanishes without a trace in the folder: only the second copy of the head tells."""
    path = outputs / ".chain.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-2]))
    name = json.loads(lines[-1])["data"]["name"]
    (outputs / f"{name}.ipynb").unlink()
    (outputs / ".journal" / f"{name}.jsonl").unlink()
    return "cut off"


def delete_chain(outputs: Path) -> str:
    (outputs / ".chain.jsonl").unlink()
    return "cut off"


@pytest.mark.parametrize(
    "tamper",
    [
        edit_record, delete_record, insert_record, edit_page, delete_page, insert_page, page_that_nobody_noted, edit_journal, delete_journal, insert_journal, edit_chain,
        take_a_line_out_of_the_chain, cut_the_chain_and_all_it_names, delete_chain,
    ],
)  # fmt: skip
def test_tampering_is_found(outputs: Path, tamper: Callable[[Path], str]) -> None:
    expected = tamper(outputs)
    assert any(expected in problem.reason for problem in verify(Chain(outputs)))


def test_finishing_orphans_does_not_adopt_an_inserted_journal(outputs: Path) -> None:
    insert_journal(outputs)
    assert archive.finalise_orphans(outputs) == []
    assert len(names(outputs)) == 3


def test_a_note_is_kept_and_breaks_nothing(outputs: Path) -> None:
    chain = Chain(outputs)
    run_id = names(outputs)[0].removesuffix(".ipynb")
    before = (outputs / f"{run_id}.ipynb").read_bytes()
    chain.append("note", name=run_id, operator="me", text="seen; harmless")
    assert verify(chain) == []
    assert [note["text"] for note in chain.notes(run_id)] == ["seen; harmless"]
    assert (outputs / f"{run_id}.ipynb").read_bytes() == before


def test_a_run_that_died_gets_a_record_that_says_so(outputs: Path) -> None:
    journal = Journal.create(outputs, {"target": "sandbox", "notebook": "04-health/quick"})
    notebook = {
        "cells": [{"cell_type": "code", "id": name, "metadata": {}, "source": name} for name in "abc"],
        "metadata": {},
    }
    journal.event("source", notebook=notebook)
    journal.event("cell.start", id="a", source="a", count=1)
    journal.event("cell.end", id="a", ok=True, seconds=0.1)
    journal.event("verdict", when="before", state="OK", sentence="OK", rows=[])
    journal.event("cell.start", id="b", source="b", count=2)
    with journal.path.open("ab") as file:
        file.write(b'{"seq":9,"ti')  # torn by the kill
    journal.release()  # as the operating system does for a process that dies
    (done,) = archive.finalise_orphans(outputs)
    assert (done.state, done.exit_code) == ("died", 5)
    assert "in the middle of a cell" in done.reason
    record = json.loads(done.path.read_text())
    told = record["metadata"]["runbook"]
    assert [cell["status"] for cell in told["cells"]] == ["ok", "interrupted", "not reached"]
    assert record["cells"][0]["source"].startswith("# NOT WHOLE (died)")
    assert "Not reached (1): c" in record["cells"][0]["source"]
    assert verify(Chain(outputs)) == []
    assert archive.finalise_orphans(outputs) == []


def test_a_run_that_goes_on_is_left_alone(outputs: Path) -> None:
    journal = Journal.create(outputs, {"target": "sandbox", "notebook": "04-health/quick"})
    assert archive.finalise_orphans(outputs) == []
    assert archive.under_way(outputs) == [journal.run_id]
    assert verify(Chain(outputs)) == []


def test_a_record_written_but_not_chained_before_the_crash_is_chained_by_the_next_command(outputs: Path) -> None:
    journal = Journal.create(outputs, {"target": "sandbox", "notebook": "04-health/quick"})
    archive.end_run(journal)
    (outputs / f"{journal.run_id}.ipynb").write_text("half of a rec")
    (done,) = archive.finalise_orphans(outputs)
    assert json.loads(done.path.read_text())["nbformat"] == 4
    assert verify(Chain(outputs)) == []


def test_the_record_is_there_as_a_whole_and_readable_by_its_owner_only_files_are_left(outputs: Path) -> None:
    left = {path.suffix for path in (outputs / ".journal").iterdir()}
    assert left == {".jsonl"}
    assert all(os.stat(path).st_size > 1000 for path in outputs.glob("*.ipynb"))  # noqa: PTH116 (the size on disk is what is asked)


def test_a_page_written_anew_is_the_one_that_counts(outputs: Path) -> None:
    export_page(outputs, 1).write_text("<p>edited</p>")
    assert "<p>edited</p>" not in export_page(outputs, 1).read_text()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
@pytest.mark.usefixtures("outputs")  # for its state folder
def test_everything_is_for_its_owner_only_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Folders of the records themselves are the owner's business; what lies in them is closed."""
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    before = os.umask(umask)
    try:
        run_id = run(fresh)
        export(fresh / f"{run_id}.ipynb", fresh / f"{run_id}.html")
        with Index(fresh) as index:
            index.update()
            modes = {path: path.stat().st_mode & 0o777 for path in fresh.rglob("*")}
        heads = [path.stat().st_mode & 0o777 for path in Chain(fresh).head_path.parent.iterdir()]
    finally:
        os.umask(before)
    assert len(modes) >= 5
    assert {path.name: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}
    assert not any(mode & 0o077 for mode in heads)
    assert verify(Chain(fresh)) == []
