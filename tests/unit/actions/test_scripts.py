"""Scripts of the server, run by the bash of this machine: a step that failed leaves no mark that says it is done.

restic and docker are small programs here that end as the real ones do when they fail.
"""

from __future__ import annotations

import datetime as dt
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from runbook.actions import shell
from runbook.actions.backup import server_objects

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SUMMARY = '{"message_type":"summary","total_files_processed":1,"files_restored":1,"snapshot_id":"ab"}'
GOOD, BROKEN, SILENT = f"echo '{SUMMARY}'", f"echo '{SUMMARY}'; exit 3", "exit 0"
WRITES = "import pathlib, sys; pathlib.Path(sys.argv[3]).write_text('{}')"


class Server:
    """A folder that is the server: where the scripts work, and the programs they find."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.work, self.programs = folder, folder / "work", folder / "bin"
        for path in (self.work, self.programs, folder / "restic"):
            path.mkdir()

    def program(self, name: str, text: str) -> None:
        (self.programs / name).write_text(f"#!/bin/bash\n{text}\n")
        (self.programs / name).chmod(0o755)

    def run(self, name: str, *words: str, bare: bool = False, stdin: str = "") -> subprocess.CompletedProcess[str]:
        group = str(os.getgid())
        first = () if bare else (str(self.folder / "restic"), "password", group, "target", "run", str(self.work))
        text = shell.text(f"{name}.sh") if bare else f"{shell.text('repository.sh')}\n{shell.text(f'{name}.sh')}"
        return subprocess.run(
            ["bash", "-c", text, "runbook", *first, *words], input=stdin, capture_output=True, text=True, check=False,
            env={"PATH": f"{self.programs}:{os.environ['PATH']}"},
        )  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


@pytest.mark.parametrize("ends", [BROKEN, SILENT])
@pytest.mark.parametrize(
    ("name", "words", "mark"),
    [
        ("snapshot", ("database", "/a"), "snapshot-database.json"),
        ("recovery_files", ("ab", "database"), "restored-database.json"),
        ("manifest", (WRITES, "manifests", "", "pazpaz-db"), "snapshot-manifest.json"),
    ],
)
def test_a_copy_that_failed_is_made_again(
    server: Server, name: str, words: tuple[str, ...], mark: str, ends: str
) -> None:
    server.program("docker", "echo '{}'")
    words = tuple(str(server.folder / word) if word == "manifests" else word for word in words)
    server.program("restic", ends)
    assert server.run(name, *words).returncode != 0
    assert not (server.work / mark).exists()
    server.program("restic", GOOD)
    done = server.run(name, *words)
    assert done.returncode == 0, done.stderr
    assert (server.work / mark).read_text().strip() == SUMMARY


def test_a_password_that_does_not_open_the_repository_replaces_none(server: Server) -> None:
    file, store = server.folder / "etc" / "password", server.folder / "restic"
    server.program("restic", "while [ $# -gt 0 ]; do if [ $1 = --password-file ]; then grep -qx right $2; exit; fi; shift; done; exit 1")  # fmt: skip
    lay = ("repository_password", str(file), str(store))
    assert server.run(*lay, bare=True, stdin="before there is a repository").returncode == 0
    assert file.stat().st_mode & 0o777 == 0o600
    (store / "config").touch()
    file.write_text("right")
    refused = server.run(*lay, bare=True, stdin="wrong")
    assert refused.returncode == 1
    assert "does not open the repository" in refused.stderr
    assert [path.name for path in file.parent.iterdir() if path.read_text() == "right"] == ["password"]
    assert not file.with_name("password.part").exists()
    file.write_text("wrong")
    assert server.run(*lay, bare=True, stdin="right").returncode == 0
    assert file.read_text() == "right"
    assert file.with_name("password.before").read_text() == "wrong"


def test_a_list_of_objects_that_was_cut_off_is_made_again(server: Server) -> None:
    (server.work / "frozen-uploads.json").write_text('{"frozen_at":1700000000.5}')
    server.program("docker", """echo '{"size": 3}'; exit 1""")
    assert server.run("list_objects", "uploads", "pazpaz-api", "").returncode == 1
    assert not (server.work / "objects.jsonl").exists()
    server.program("docker", """echo '{"size": 3}'; echo '{"size": 4}'""")
    done = server.run("list_objects", "uploads", "pazpaz-api", "")
    assert done.stdout == "2 objects, 7 bytes\n"
    assert (server.work / "objects.jsonl").read_text() == '{"size": 3}\n{"size": 4}\n'


@pytest.mark.parametrize(
    ("found", "code", "said"),
    [
        ("a\nb\n", 0, "2 objects, every one with its SHA-256 as listed\n"),
        ("b\nold\na\n", 0, "1 more are there, deleted or replaced by users while the backup was made"),
        ("a\nB\n", 1, "1 of 2 objects are missing or differ"),
        ("", 1, "2 of 2 objects are missing or differ"),
    ],
)
def test_what_is_listed_must_be_recovered_and_more_is_said(server: Server, found: str, code: int, said: str) -> None:
    listed, mark = server.folder / "listed", server.work / "compared"
    listed.write_text("b\na\n")
    server.program("docker", f"printf %s '{found}'")
    done = server.run("recovery_objects", "pazpaz-api", "", str(listed), str(mark), bare=True)
    assert done.returncode == code, done.stderr
    assert said in done.stdout + done.stderr
    assert mark.exists() == (code == 0)


def test_a_store_that_does_not_answer_is_not_a_comparison(server: Server) -> None:
    (server.folder / "listed").write_text("")
    server.program("docker", "exit 1")
    mark = server.work / "compared"
    assert server.run("recovery_objects", "api", "", str(server.folder / "listed"), str(mark), bare=True).returncode
    assert not mark.exists()


class Gone(Exception):
    """What the client of a store raises."""

    code = "NoSuchKey"


class Item:
    """An object as it is listed; `stored` is when it was stored as it is read, None where it is gone by then."""

    size = 1

    def __init__(self, name: str, listed: int, stored: int | None) -> None:
        self.object_name, self.stored = name, stored
        self.last_modified = dt.datetime.fromtimestamp(listed + 0.5, dt.UTC)


class Answer:
    def __init__(self, stored: int) -> None:
        at = dt.datetime.fromtimestamp(stored, dt.UTC)
        self.headers = {"Last-Modified": at.strftime("%a, %d %b %Y %H:%M:%S GMT")}

    def stream(self, _size: int) -> Iterator[bytes]:
        yield b"x"

    def close(self) -> None: ...

    def release_conn(self) -> None: ...


class Store:
    """A store in which users delete and replace what has just been listed."""

    def __init__(self, *items: Item) -> None:
        self.items = {item.object_name: item for item in items}

    def list_objects(self, _bucket: str, **_options: Any) -> list[Item]:
        return list(self.items.values())

    def get_object(self, _bucket: str, name: str) -> Answer:
        stored = self.items[name].stored
        if stored is None:
            raise Gone
        return Answer(stored)


def test_what_users_delete_or_replace_while_it_is_read_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(
        Item("stays", 100, 100), Item("deleted", 100, None), Item("replaced", 100, 102), Item("later", 500, 500)
    )
    server_objects.show(store, "uploads", 200.0)
    assert capsys.readouterr().out == (
        '{"bucket": "uploads", "key": "stays", "sha256": "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", "size": 1}\n'
    )
    with pytest.raises(KeyError):
        server_objects.sha256(store, "uploads", Item("nobody-knows", 1, 1))
