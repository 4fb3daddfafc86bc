"""What a rotation keeps, on real files: safe to repeat, whole or not at all, root's alone, and gone when it is confirmed."""

from __future__ import annotations

import ast
import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from runbook.facts import rotation
from runbook.facts.rotation_kept import Kept
from runbook.facts.rotation_lines import Wrong, value_of
from runbook.facts.rotation_services import Rotation

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "A=1\nPASSWORD=old-value-of-it\nPLACE='redis://:old-value-of-it@redis:6379/0'\n"


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    (tmp_path / "stack").mkdir()
    env = tmp_path / "stack" / ".env.production"
    env.write_text(TEXT)
    env.chmod(0o640)
    folder = tmp_path / "work"
    folder.mkdir()
    settings: dict[str, Any] = {
        "secret": "redis-password", "stamp": "20261124T110500Z", "env_file": str(env), "log": str(tmp_path / "rotations.jsonl"),
        "variables": ["PASSWORD"], "urls": ["PLACE"], "form": "hex", "role": "",
    }  # fmt: skip
    return Kept(settings, folder)


def files(kept: Kept) -> set[str]:
    return {path.name for path in kept.folder.iterdir()}


def test_the_way_there_and_back_gives_the_same_file(kept: Kept) -> None:
    kept.note("begun")
    kept.make()
    kept.write_env()
    new = kept.value("new")
    assert new not in TEXT
    assert value_of(kept.text(), "PASSWORD") == new
    assert kept.text().count(new) == 2
    assert stat.S_IMODE(kept.env.stat().st_mode) == 0o640
    kept.env_is("new")
    kept.restore_env()
    assert kept.text() == TEXT
    kept.env_is("old")
    kept.undone()
    assert files(kept) == set()
    assert kept.state() == "undone"


def test_values_are_for_root_alone_and_printed_nowhere(kept: Kept) -> None:
    said = [kept.note("begun"), kept.make(), kept.write_env(), kept.restore_env(), kept.note("rotated"), kept.forget()]
    assert "old-value" not in " ".join(said)
    kept.make()
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept.folder.iterdir()} == {0o600}
    assert kept.value("new") not in kept.log.read_text() + " ".join(said)
    assert "old-value" not in kept.log.read_text()


def test_every_step_can_run_twice_and_keeps_the_first_value(kept: Kept) -> None:
    kept.make()
    first = kept.value("new")
    kept.write_env()
    kept.make()
    kept.write_env()
    assert (kept.value("new"), kept.value("old")) == (first, "old-value-of-it")
    kept.note("begun")
    kept.note("begun")
    assert len(kept.log.read_text().splitlines()) == 1


def test_a_half_written_file_of_a_crash_is_no_hindrance_and_does_not_stay(kept: Kept) -> None:
    part = kept.env.with_name(".env.production.runbook-part")
    part.write_text("half")
    kept.make()
    kept.write_env()
    assert not part.exists()
    part.write_text("half")
    kept.forget()
    assert not part.exists()


def test_other_lines_that_changed_meanwhile_stay(kept: Kept) -> None:
    kept.make()
    kept.write_env()
    kept.env.write_text(kept.text().replace("A=1", "A=2") + "B=3\n")
    kept.restore_env()
    assert kept.text() == TEXT.replace("A=1", "A=2") + "B=3\n"


def test_nothing_to_put_back_changes_nothing(kept: Kept) -> None:
    assert kept.restore_env() == "nothing was changed"
    assert kept.text() == TEXT


def test_without_a_new_value_no_row_can_be_under_it(kept: Kept) -> None:
    rotation_of_key = Rotation(kept.settings | {"sealed": {"check": ["true"]}}, kept.folder)
    with pytest.raises(Wrong, match="no new value yet"):
        rotation_of_key.rows("new")
    assert rotation_of_key.rows("old") == "nothing was changed"


def test_what_was_confirmed_is_not_taken_back(kept: Kept) -> None:
    kept.make()
    kept.write_env()
    kept.note("rotated")
    new = kept.value("new")
    kept.confirm()
    assert files(kept) == {"confirmed"}
    assert kept.value("new") == new, "cut off here, it can still be proven and noted"
    with pytest.raises(Wrong, match="confirmed"):
        kept.undone()
    kept.note("finished")
    for back in (kept.restore_env, kept.undone):
        with pytest.raises(Wrong, match="confirmed"):
            back()
    assert kept.state() == "finished"


def test_a_log_torn_by_a_crash_is_written_on(kept: Kept) -> None:
    kept.log.write_text('{"secret": "redis-pass')
    kept.note("begun")
    assert kept.state() == "begun"
    assert json.loads(kept.log.read_text().splitlines()[-1])["run"] == "20261124T110500Z"


def test_a_file_that_says_two_things_is_refused_before_anything_is_kept(kept: Kept) -> None:
    kept.env.write_text(TEXT.replace(":old-value", ":other-value"))
    with pytest.raises(Wrong, match="the password in PLACE is not the one in PASSWORD"):
        kept.make()
    assert files(kept) == set()


def test_the_program_is_one_text_for_an_old_python() -> None:
    tree = ast.parse(rotation.PROGRAM, feature_version=(3, 8))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name and name.startswith("runbook")}
    assert "def main(" in rotation.PROGRAM
