"""What belongs to a repository, in which order it is carried, and how damage at a place is said."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from runbook import offhost
from runbook.errors import RunbookError
from runbook.offhost.mirror import Repository, folder_of, ordered, parse_listing, problems, wrong
from runbook.offhost.place import FolderPlace

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = {f"{folder}/{hashlib.sha256(word).hexdigest()}": word for folder, word in
           (("index", b"i"), ("snapshots", b"s"), ("keys", b"k"))}  # fmt: skip
PACK = hashlib.sha256(b"pack").hexdigest()
CONTENT |= {f"data/{PACK[:2]}/{PACK}": b"pack", "config": b"c"}
CONFIG = hashlib.sha256(b"c").hexdigest()


def test_locks_and_parts_are_left_out() -> None:
    name = "a" * 64
    text = f"155 config\n10 data/aa/{name}\n7 index/{name}\n1 locks/{name}\n9 data/aa/{name}-tmp-1\n3 snapshots/short\n5 keys/{name}\n"
    assert parse_listing(text) == {"config": 155, f"data/aa/{name}": 10, f"index/{name}": 7, f"keys/{name}": 5}


def test_a_snapshot_appears_after_all_that_it_needs() -> None:
    assert [name.partition("/")[0] for name in ordered(CONTENT)] == ["data", "index", "keys", "config", "snapshots"]


def mirrored(folder: Path) -> tuple[FolderPlace, str, Repository]:
    """A place that holds what CONTENT says."""
    place, name = FolderPlace(folder), folder_of(CONFIG)
    files = {path: len(content) for path, content in CONTENT.items()}
    for path, content in CONTENT.items():
        place.write(f"{name}/{path}", [content])
    place.write(f"{name}/files.json", [json.dumps(files).encode()])
    place.write(f"{name}/mirror.json", [json.dumps({"config_sha256": CONFIG}).encode()])
    return place, name, Repository("/r", files, CONFIG)


def test_nothing_is_said_of_what_is_whole(tmp_path: Path) -> None:
    place, name, repository = mirrored(tmp_path)
    assert problems(place, name, seconds=10) == ""
    assert wrong(place, repository, place.listing(name)) == []


@pytest.mark.parametrize("path", sorted(CONTENT))
def test_each_changed_file_is_noticed(tmp_path: Path, path: str) -> None:
    place, name, repository = mirrored(tmp_path)
    (tmp_path / name / path).write_bytes(b"x" * len(CONTENT[path]))
    assert "is damaged" in problems(place, name, seconds=10)
    assert wrong(place, repository, place.listing(name)) == [path]
    (tmp_path / name / path).write_bytes(b"x" + CONTENT[path])
    assert "missing or cut" in problems(place, name, seconds=10)
    (tmp_path / name / path).unlink()
    assert "missing or cut" in problems(place, name, seconds=10)


def test_what_cannot_be_read_in_time_is_not_called_whole(tmp_path: Path) -> None:
    place, name, _ = mirrored(tmp_path)
    assert "not all of it could be read" in problems(place, name, seconds=-1)


def test_a_place_without_its_list_proves_nothing(tmp_path: Path) -> None:
    place, name, _ = mirrored(tmp_path)
    place.remove(f"{name}/files.json")
    assert "cannot be read" in problems(place, name, seconds=10)


def test_only_known_functions_are_called() -> None:
    assert callable(offhost.function("mirror"))
    assert callable(offhost.function("fill"))
    assert callable(offhost.function("prune"))
    with pytest.raises(RunbookError, match="rm"):
        offhost.function("rm")
