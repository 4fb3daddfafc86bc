"""Places off the server: a folder and a URL behave alike, and a file is whole or absent."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from runbook.errors import RunbookError, SecretError
from runbook.offhost.place import Damaged, at, shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runbook.offhost.place import Place

WORD = hashlib.sha256(b"one two").hexdigest()


@pytest.fixture(params=["folder", "local", "memory"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return at(str(tmp_path / "copies") if request.param == "folder" else f"{request.param}://{tmp_path}/copies")


def test_what_is_written_is_listed_and_read(here: Place) -> None:
    assert here.folders() == []
    assert here.listing("repository-1") == {}
    here.write("repository-1/data/00/a", [b"one", b" two"], sha256=WORD)
    here.write("repository-1/config", [b"c"])
    assert here.folders() == ["repository-1"]
    assert here.listing("repository-1") == {"data/00/a": 7, "config": 1}
    assert b"".join(here.read("repository-1/data/00/a")) == b"one two"
    here.remove("repository-1/config")
    here.remove("repository-1/config")
    assert list(here.listing("repository-1")) == ["data/00/a"]


def test_a_file_that_arrives_damaged_is_not_kept(here: Place) -> None:
    here.write("r/a", [b"old"])
    with pytest.raises(Damaged, match="arrived damaged"):
        here.write("r/a", [b"one", b"two"], sha256=WORD)
    with pytest.raises(Damaged):
        here.write("r/b", [b"onetwo"], sha256=WORD)
    assert here.listing("r") == {"a": 3}
    assert b"".join(here.read("r/a")) == b"old"


def test_a_file_that_was_cut_off_is_not_there(here: Place) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionError("cut")

    with pytest.raises((ConnectionError, RunbookError)):
        here.write("r/a", broken(), sha256=WORD)
    assert here.listing("r") == {}
    here.write("r/a", [b"one two"], sha256=WORD)
    assert here.listing("r") == {"a": 7}


def test_a_kind_of_place_that_nobody_knows_is_refused() -> None:
    with pytest.raises(RunbookError, match="cannot be used here"):
        at("nowhere://bucket/x")


def test_keys_are_resolved_where_they_are_references(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("COPIES_KEY", raising=False)
    with pytest.raises(SecretError, match="COPIES_KEY"):
        at(f"local://{tmp_path}", {"key": "env:COPIES_KEY"})


def test_a_place_in_the_home_is_shown_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert shown(f"{tmp_path}/copies") == "~/copies"
    assert shown("/mnt/copies") == "/mnt/copies"
    assert shown("s3://bucket/x") == "s3://bucket/x"
