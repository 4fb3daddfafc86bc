"""Mirror, prune and fill between two folders of this machine: what is good at a place outlives what the server has lost.

The server is a folder, too: its commands run here, and its files are read and written here instead of over SFTP.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

from runbook.commands import Command, Result
from runbook.errors import RunbookError
from runbook.offhost import mirror
from runbook.offhost.place import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def name(folder: str, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"data/{digest[:2]}/{digest}" if folder == "data" else f"{folder}/{digest}"


FILES = {name(folder, word): word for folder, word in (
    ("data", b"an old pack"), ("data", b"a newer pack"), ("index", b"i"), ("keys", b"k"), ("snapshots", b"old"), ("snapshots", b"new"),
)} | {"config": b"c"}  # fmt: skip
OLD, NEW = name("data", b"an old pack"), name("data", b"a newer pack")
OLD_COPY, NEW_COPY = name("snapshots", b"old"), name("snapshots", b"new")


class Here:
    """As much of a connection as carrying needs, with this machine as the server."""

    settings = None

    def run_all(self, commands: Mapping[str, Command]) -> dict[str, Result]:
        return {key: self._done(asked) for key, asked in commands.items()}

    def run(self, command: Command) -> Result:
        return self._done(command)

    def _done(self, command: Command) -> Result:
        done = subprocess.run(command.argv, capture_output=True, text=True, check=False)
        return Result(command, done.returncode, done.stdout, done.stderr, 0.0)


class Files:
    """A transfer whose other end is this machine."""

    def __init__(self, _settings: None) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None: ...

    def fetch(self, path: str, *, size: int) -> Iterator[bytes]:
        content = Path(path).read_bytes()
        assert len(content) == size
        yield content

    def send(self, path: str, chunks: Iterable[bytes]) -> None:
        content = b"".join(chunks)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content)


class Carrying:
    """A server's repository, a place that is a folder, and what is done between them."""

    def __init__(self, folder: Path) -> None:
        self.server, self.off = folder / "restic", folder / "off"
        self.catalogue = folder / "catalogue.json"
        self.catalogue.write_text("{}")
        for path, content in FILES.items():
            (self.server / path).parent.mkdir(parents=True, exist_ok=True)
            (self.server / path).write_bytes(content)
        self.place = self.off / mirror.folder_of(hashlib.sha256(b"c").hexdigest())

    def call(self, what: str, **more: Any) -> str:
        arguments = {
            "repository": str(self.server),
            "catalogue": str(self.catalogue),
            "place": str(self.off),
            "options": {},
            "target": "t",
        }
        said: str = getattr(mirror, what)(Here(), arguments | more, lambda _line: None)
        return said  # fmt: skip

    def there(self) -> dict[str, bytes]:
        found = (path for path in self.place.rglob("*") if path.is_file() and path.suffix != ".json")
        return {path.relative_to(self.place).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def carrying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Carrying:
    monkeypatch.setattr(mirror, "Transfer", Files)
    return Carrying(tmp_path)


def test_everything_arrives_once(carrying: Carrying) -> None:
    assert f"{len(FILES)} of them" in carrying.call("mirror")
    assert carrying.there() == FILES
    assert json.loads((carrying.place / "files.json").read_text()) == {path: len(word) for path, word in FILES.items()}
    assert "; 0 of them" in carrying.call("mirror")


@pytest.mark.parametrize("read_back", [True, False])
@pytest.mark.parametrize("call", ["mirror", "prune"])
def test_a_file_that_is_cut_on_the_server_does_not_cost_the_good_one(
    carrying: Carrying, call: str, *, read_back: bool
) -> None:
    carrying.call("mirror")
    (carrying.server / NEW).write_bytes(FILES[NEW][:-1])
    with pytest.raises(Damaged, match="arrived damaged"):
        carrying.call(call, read_back=read_back, gone=[])
    assert carrying.there() == FILES


def test_a_file_that_is_damaged_at_the_place_is_replaced(carrying: Carrying) -> None:
    carrying.call("mirror")
    (carrying.place / OLD).write_bytes(b"an odd pack")
    (carrying.place / NEW).write_bytes(b"a")
    assert "2 that were damaged there were replaced" in carrying.call("mirror")
    assert carrying.there() == FILES


def test_what_may_go_goes_with_what_it_consists_of(carrying: Carrying) -> None:
    carrying.call("mirror")
    for path in (OLD, OLD_COPY):
        (carrying.server / path).unlink()
    assert "2 files" in carrying.call("prune", gone=[OLD_COPY.partition("/")[2]])
    assert carrying.there() == {path: word for path, word in FILES.items() if path not in {OLD, OLD_COPY}}


def test_where_another_copy_is_missing_on_the_server_all_stays(carrying: Carrying) -> None:
    carrying.call("mirror")
    for path in (OLD, OLD_COPY, NEW, NEW_COPY):
        (carrying.server / path).unlink()
    assert "nothing was deleted there" in carrying.call("prune", gone=[OLD_COPY.partition("/")[2]])
    assert carrying.there() == FILES


def test_a_server_without_copies_takes_none_away(carrying: Carrying) -> None:
    carrying.call("mirror")
    for path in (OLD_COPY, NEW_COPY):
        (carrying.server / path).unlink()
    gone = [path.partition("/")[2] for path in (OLD_COPY, NEW_COPY)]
    assert "the server's repository is empty" in carrying.call("prune", gone=gone)
    assert carrying.there() == FILES


def test_the_way_back_brings_what_lacks_and_nothing_that_is_damaged(carrying: Carrying) -> None:
    carrying.call("mirror")
    back = carrying.server.with_name("back")
    (carrying.place / NEW).write_bytes(b"a newer PACK")
    with pytest.raises(RunbookError, match="is damaged"):
        carrying.call("fill", folder=carrying.place.name, repository=str(back))
    assert not (back / NEW).exists()
    (carrying.place / NEW).write_bytes(FILES[NEW])
    carrying.call("fill", folder=carrying.place.name, repository=str(back))
    assert {path: (back / path).read_bytes() for path in FILES} == FILES
    assert "; 0 of them" in carrying.call("fill", folder=carrying.place.name, repository=str(back))
