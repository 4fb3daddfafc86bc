"""The index: in step with the folder, quick among ten thousand records, and never more than a copy of them."""

from __future__ import annotations

import datetime as dt
import functools
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from runbook.records import record
from runbook.records.index import Index, numbers, usual_seconds
from runbook.records.journal import Event
from runbook.records.trend import bars, frame, trend_text

if TYPE_CHECKING:
    from pathlib import Path

FIRST = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def write(outputs: Path, number: int, *, verdict: str = "OK", used: float = 40.0, command: str = "df") -> Path:
    """Write a record as a run leaves it."""
    begun = FIRST + dt.timedelta(hours=number)
    stamp = [(begun + dt.timedelta(seconds=second)).isoformat().replace("+00:00", "Z") for second in range(6)]
    data: list[tuple[str, dict[str, Any]]] = [
        ("run.start", {"target": "sandbox", "notebook": "04-health/quick", "operator": "me"}),
        ("commands", {"commands": [{"command": command, "exit_code": 0, "seconds": 0.1}]}),
        ("facts", {"facts": {"filesystems": [{"mount": "/", "used_percent": used, "read_only": False}]}}),
        ("verdict", {"when": "before", "state": verdict, "sentence": f"{verdict}: x", "rows": []}),
        ("run.end", {"state": "whole"}),
    ]
    events = [Event(n, stamp[n], kind, item, "", "") for n, (kind, item) in enumerate(data)]
    path = outputs / f"{begun:%Y%m%dT%H%M%SZ}--sandbox--04-health.quick--{number:06x}.ipynb"
    path.write_bytes(orjson.dumps(record.assemble({"cells": [], "metadata": {}}, events)))
    return path


def test_it_keeps_in_step_and_reads_only_what_changed(tmp_path: Path) -> None:
    paths = [write(tmp_path, number) for number in range(5)]
    with Index(tmp_path) as index:
        assert index.update() == 5
        assert index.update() == 0
        paths[0].unlink()
        write(tmp_path, 1, verdict="CRITICAL")
        write(tmp_path, 7)
        assert index.update() == 2
        names = [entry.name for entry in index.entries()]
        assert names == sorted((path.name for path in tmp_path.glob("*.ipynb")), reverse=True)
        assert [entry.verdict for entry in index.entries(verdict="CRITICAL")] == ["CRITICAL"]
        assert index.entries(target="other") == []


def test_two_commands_bring_it_in_step_at_once(tmp_path: Path) -> None:
    for number in range(200):
        write(tmp_path, number)
    script = "import sys; from pathlib import Path; from runbook.records.index import Index\nwith Index(Path(sys.argv[1])) as index: index.update()"
    started = [subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) for _ in range(2)]
    assert [process.wait() for process in started] == [0, 0]
    with Index(tmp_path) as index:
        assert index.update() == 0
        assert len(index.entries(limit=1000)) == 200


def test_what_another_made_a_moment_ago_is_not_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 1)
    others: list[Index] = []

    class Overtaken(sqlite3.Connection):
        """Between a first look at the version and what follows from it, another command makes the index."""

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            cursor = super().execute(sql, *values)
            if sql == "PRAGMA user_version" and not others:
                monkeypatch.undo()
                others.append(Index(tmp_path))
                others[0].update()
            return cursor

    monkeypatch.setattr(sqlite3, "connect", functools.partial(sqlite3.connect, factory=Overtaken))
    with Index(tmp_path) as index, others[0] as other:
        assert index.update() == 0, "the other has read the record"
        assert len(index.entries()) == len(other.entries()) == 1


def test_search_finds_commands_and_forgets_what_is_gone(tmp_path: Path) -> None:
    path = write(tmp_path, 1, command="journalctl --unit 'certbot.timer'")
    write(tmp_path, 2)
    with Index(tmp_path) as index:
        index.update()
        assert [entry.name for entry in index.search("certbot journalctl")] == [path.name]
        assert index.search('"; DROP TABLE records; --') == []
        assert index.search("  ") == []
        path.unlink()
        index.update()
        assert index.search("certbot") == []


def test_a_trend_of_a_number_and_a_frame_of_it(tmp_path: Path) -> None:
    for number, used in enumerate([40.0, 45.5, 50.0]):
        write(tmp_path, number, used=used)
    with Index(tmp_path) as index:
        index.update()
        assert index.paths("used") == ["filesystems./.used_percent"]
        points = index.trend("filesystems./.used_percent", target="sandbox")
    assert [value for _, value, _ in points] == [40.0, 45.5, 50.0]
    table = frame(tmp_path, "filesystems./.used_percent")
    assert table["value"].tolist() == [40.0, 45.5, 50.0]
    assert str(table["time"].dt.tz) == "UTC"
    assert "lowest 40, median 45.5, highest 50, last 50" in trend_text("x", points)
    assert bars([1, 2, 3]) == "▁▅█"


def test_a_broken_record_or_index_stops_nobody(tmp_path: Path) -> None:
    write(tmp_path, 1)
    (tmp_path / "broken.ipynb").write_text("{")
    (tmp_path / ".index.sqlite").write_text("not a database, and long enough to be looked at" * 100)
    with Index(tmp_path) as index:
        index.update()
        assert len(index.entries()) == 1


def test_the_usual_time_of_a_run(tmp_path: Path) -> None:
    assert usual_seconds(tmp_path, "04-health/quick", "sandbox") is None
    write(tmp_path, 1)
    with Index(tmp_path) as index:
        index.update()
    assert usual_seconds(tmp_path, "04-health/quick", "sandbox") == pytest.approx(4.0)
    assert usual_seconds(tmp_path, "04-health/quick", "other") is None


def test_numbers_are_named_by_what_they_are_about() -> None:
    fact = {
        "disks": [{"mount": "/", "used": 1}, {"mount": "/srv", "used": 2.5}],
        "plain": [3],
        "flag": True,
        "text": "4",
    }
    assert dict(numbers(fact)) == {"disks./.used": 1.0, "disks./srv.used": 2.5, "plain.0": 3.0}


@pytest.mark.bench
def test_ten_thousand_records(tmp_path: Path) -> None:
    for number in range(10_000):
        write(tmp_path, number, used=40 + number % 20)
    with Index(tmp_path) as index:
        begun = time.perf_counter()
        index.update()
        built = time.perf_counter() - begun
    begun = time.perf_counter()
    with Index(tmp_path) as index:
        assert index.update() == 0
        assert len(index.entries(limit=30)) == 30
        assert len(index.search("df sandbox", limit=30)) == 30
        assert len(index.trend("filesystems./.used_percent")) == 10_000
    asked = time.perf_counter() - begun
    print(f"\n10,000 records: index built in {built:.1f} s; in step, list, search and one trend in {asked:.3f} s")
    assert asked < 0.5
