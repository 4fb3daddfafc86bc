"""The last good record: found among the others, and compared with what is now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from test_index import write

from runbook.records.last_good import since_last_good

if TYPE_CHECKING:
    from pathlib import Path

NOW = {"filesystems": [{"mount": "/", "used_percent": 90.0, "read_only": True}]}


def test_it_tells_what_changed_since_the_newest_record_that_said_ok(tmp_path: Path) -> None:
    write(tmp_path, 1, used=10.0)
    good = write(tmp_path, 2, used=40.0)
    write(tmp_path, 3, verdict="CRITICAL", used=89.0)
    since = since_last_good(tmp_path, "04-health/quick", "sandbox", NOW)
    assert (since.name, since.started[:13]) == (good.name, "2026-01-01T02")
    told = {change.what: (change.was, change.now) for change in since.changes}
    assert told == {"filesystems./.used_percent": ("40.0 %", "90.0 %"), "filesystems./.read_only": ("no", "yes")}


def test_without_a_good_record_there_is_nothing_to_tell(tmp_path: Path) -> None:
    write(tmp_path, 1, verdict="WARNING")
    assert since_last_good(tmp_path, "04-health/quick", "sandbox", NOW).changes == ()
    good = write(tmp_path, 2)
    assert since_last_good(tmp_path, "04-health/quick", "another", NOW).name == ""
    since_last_good(tmp_path, "04-health/quick", "sandbox", NOW)  # it stands in the index now
    good.write_text("{", encoding="utf-8")
    assert since_last_good(tmp_path, "04-health/quick", "sandbox", NOW).changes == ()
