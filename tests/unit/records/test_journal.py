"""The journal: what is written is on disk, chained and masked; what is torn or edited is told."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import itertools
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.errors import RecordError
from runbook.records.journal import Journal, is_alive, new_run_id, parse, plain, read
from runbook.secrets import redactor

if TYPE_CHECKING:
    from pathlib import Path

HEADER = {"target": "sandbox", "notebook": "04-health/quick"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("RUNBOOK_RUN_ID", raising=False)
    folder = tmp_path / "outputs"
    folder.mkdir()
    return folder


def test_each_line_is_chained_to_the_one_before(outputs: Path) -> None:
    journal = Journal.create(outputs, HEADER)
    journal.event("note", text="first")
    journal.event("note", text="second")
    lines = [json.loads(line) for line in journal.path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == [0, 1, 2]
    assert lines[0]["prev"] == "0" * 64
    for before, after in itertools.pairwise(lines):
        assert after["prev"] == before["hash"]
    body = {key: value for key, value in lines[1].items() if key != "hash"}
    canonical = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert lines[1]["hash"] == hashlib.sha256(canonical).hexdigest()


def test_the_run_id_names_time_target_and_notebook() -> None:
    moment = dt.datetime(2026, 11, 24, 7, 56, 3, tzinfo=dt.UTC)
    first, second = (new_run_id("sandbox@blue", "04-health/quick", moment) for _ in range(2))
    assert first.startswith("20261124T075603Z--sandbox@blue--04-health.quick--")
    assert first != second


def test_a_hostile_target_stays_within_the_folder() -> None:
    name = new_run_id("../../etc/passwd; rm -rf /", "a/../../b")
    assert "/" not in name
    assert not name.split("--")[1].startswith(".")


@given(st.lists(st.dictionaries(st.text(), VALUES, max_size=4), min_size=1, max_size=5))
@settings(max_examples=60)
def test_whatever_is_noted_can_be_read_back(
    tmp_path_factory: pytest.TempPathFactory, given_data: list[dict[str, object]]
) -> None:
    path = tmp_path_factory.mktemp("journal") / "run.jsonl"
    path.touch()
    journal = Journal(path, "run", path.parent)
    for item in given_data:
        journal.event("facts", facts=item)
    reading = read(path)
    assert not reading.problems
    assert not reading.torn
    assert [event.data["facts"] for event in reading.events] == [plain(item) for item in given_data]


def three_lines(folder: Path) -> bytes:
    path = folder / "run.jsonl"
    path.write_bytes(b"")
    journal = Journal(path, "run", folder)
    for word in ("one", "two", "three"):
        journal.event("note", text=word)
    return path.read_bytes()


@given(data=st.data())
@settings(max_examples=150)
def test_any_changed_byte_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    text = three_lines(tmp_path_factory.mktemp("journal"))
    # the last line may be torn by a kill, which is told but is no tampering: change the ones before
    place = data.draw(st.integers(0, text.rindex(b"\n", 0, -1) - 1))
    changed = text[:place] + bytes([text[place] ^ data.draw(st.integers(1, 255))]) + text[place + 1 :]
    reading = parse(changed)
    assert reading.problems


@given(order=st.lists(st.integers(0, 2), max_size=4).filter(lambda order: order != [0, 1, 2][: len(order)]))
@settings(max_examples=60)
def test_lines_taken_out_put_in_or_moved_are_found(tmp_path_factory: pytest.TempPathFactory, order: list[int]) -> None:
    lines = three_lines(tmp_path_factory.mktemp("journal")).splitlines(keepends=True)
    assert parse(b"".join(lines[index] for index in order)).problems


@given(cut=st.integers(1, 120))
@settings(max_examples=40)
def test_a_line_torn_by_a_kill_is_told_and_the_journal_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    text = three_lines(folder)
    last = len(text) - text.rindex(b"\n", 0, -1) - 1
    (folder / "run.jsonl").write_bytes(text[: -min(cut, last - 1)])
    journal = Journal(folder / "run.jsonl", "run", folder)
    journal.event("note", text="four")
    reading = read(folder / "run.jsonl")
    words = [event.data["text"] for event in reading.events]
    # a line that lost nothing but its newline is whole
    assert words in (["one", "two", "four"], ["one", "two", "three", "four"])
    assert len(reading.torn) == (1 if len(words) == 3 else 0)
    assert not reading.problems


def test_secrets_are_masked_before_they_are_written(outputs: Path) -> None:
    redactor.learn("canary-Zq7!x")
    journal = Journal.create(outputs, HEADER)
    journal.event("cell.output", output={"text": "the password is canary-Zq7!x", "canary-Zq7!x": 1})
    assert b"canary-Zq7" not in journal.path.read_bytes()


def test_two_processes_write_one_chain(outputs: Path) -> None:
    journal = Journal.create(outputs, HEADER)
    script = (
        "import sys; from pathlib import Path; from runbook.records.journal import Journal\n"
        "journal = Journal.join(Path(sys.argv[1]), sys.argv[2])\n"
        "for number in range(100): journal.event('note', text=sys.argv[3], number=number)"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", script, str(outputs), journal.run_id, name]) for name in ("a", "b")
    ]
    for number in range(100):
        journal.event("note", text="here", number=number)
    assert [writer.wait() for writer in writers] == [0, 0]
    reading = read(journal.path)
    assert not reading.problems
    assert not reading.torn
    assert len(reading.events) == 301
    for name in ("a", "b", "here"):
        assert [event.data["number"] for event in reading.events if event.data.get("text") == name] == list(range(100))


def test_a_run_is_alive_as_long_as_one_of_its_processes(outputs: Path) -> None:
    journal = Journal.create(outputs, HEADER)
    script = (
        "import sys; from pathlib import Path; from runbook.records.journal import Journal\n"
        "journal = Journal.join(Path(sys.argv[1]), sys.argv[2]); print('ready', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(outputs), journal.run_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    other.stdout.readline()
    journal.release()
    assert is_alive(outputs, journal.run_id)
    other.kill()
    other.communicate()
    assert not is_alive(outputs, journal.run_id)


def test_after_its_end_a_run_is_not_written_to(outputs: Path) -> None:
    journal = Journal.create(outputs, HEADER)
    first = journal.path
    journal.event("run.end", state="whole")
    before = first.read_bytes()
    journal.event("commands", commands=[])
    assert first.read_bytes() == before
    assert journal.path != first
    begun = read(journal.path).events[0]
    assert begun.data["continues"] == first.stem


def test_an_outputs_folder_that_cannot_be_made_is_an_error_with_a_remedy(outputs: Path) -> None:
    (outputs / "file").write_text("no folder")
    with pytest.raises(RecordError) as caught:
        Journal.create(outputs / "file", HEADER)
    assert "nothing was run" in caught.value.remedy


def test_values_that_json_does_not_know_become_plain() -> None:
    @dataclasses.dataclass
    class Point:
        x: float

    assert plain(
        {"a": {3, 1}, "b": Point(float("nan")), "c": b"x", "d": dt.date(2026, 1, 2), 5: 2**70, "e": "\ud800"}
    ) == {
        "a": [1, 3],
        "b": {"x": None},
        "c": "x",
        "d": "2026-01-02",
        "5": str(2**70),
        "e": "?",
    }
    assert orjson.dumps(plain(float("inf"))) == b"null"
