"""The chain over all records of an outputs folder: `outputs/.chain.jsonl`.

Every run, every finished record, every page and every note adds a line that names the SHA-256 of what was written, and
the hash of the line before. The head of the chain is kept a second time in the operator's state folder, so that a tail
that was cut off is noticed as well. Whoever can write both places could forge both: a copy of the head elsewhere
(`./runbook records verify` prints it) settles that too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from typing import TYPE_CHECKING, Any

import orjson

from runbook.records.chained_lines import PRIVATE_FOLDER, append_line, private, state_folder, utc_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Chain:
    """The chain of one outputs folder."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self.path = outputs / ".chain.jsonl"

    @property
    def head_path(self) -> Path:
        """The file in the operator's state folder that remembers the head."""
        name = hashlib.sha256(str(self.outputs.resolve()).encode()).hexdigest()[:16]
        return state_folder() / "heads" / f"{name}.json"

    def append(self, kind: str, **data: Any) -> dict[str, Any]:
        """Add a line and remember it as the head; return it. Raises OSError when there is no room."""
        with self.locked() as descriptor:
            return self._append(descriptor, kind, data)

    def add_page(self, run_id: str, written: Path, page: Path) -> None:
        """Given the page of a record, written whole beside its place, note its checksum and put it there, as one act.

        Raises OSError when there is no room.
        """
        with self.locked() as descriptor:
            self._append(
                descriptor, "page", {"name": run_id, "page_sha256": hashlib.sha256(written.read_bytes()).hexdigest()}
            )
            written.replace(page)

    @contextlib.contextmanager
    def locked(self) -> Iterator[int]:
        """Open the chain and keep everybody else from adding to it meanwhile; yield the file's descriptor. Raises OSError."""
        descriptor = private(str(self.path), os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)

    def _append(self, descriptor: int, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        line = append_line(descriptor, None, {"time": utc_now(), "kind": kind, "data": data})
        self._remember(line)
        return line

    def _remember(self, line: dict[str, Any]) -> None:
        head = {"outputs": str(self.outputs.resolve()), "seq": line["seq"], "hash": line["hash"]}
        with contextlib.suppress(OSError):  # a second copy: where it cannot be kept, `verify` says that it is missing
            self.head_path.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            part = self.head_path.with_suffix(f".{os.getpid()}")
            with open(part, "wb", opener=private) as file:
                file.write(orjson.dumps(head))
            part.replace(self.head_path)

    def lines(self) -> list[dict[str, Any]]:
        """Return all whole lines, without checking them."""
        found = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for text in self.path.read_bytes().split(b"\n"):
                with contextlib.suppress(ValueError):
                    found.append(orjson.loads(text))
        return [
            line for line in found if isinstance(line, dict) and {"seq", "kind", "data", "hash", "prev"} <= line.keys()
        ]

    def records(self) -> dict[str, dict[str, Any]]:
        """Return what the chain says of each finished record, by run id."""
        return {line["data"]["name"]: line["data"] for line in self.lines() if line["kind"] == "record"}

    def pages(self) -> dict[str, str]:
        """Return the SHA-256 of each record's page as it was written last, by run id."""
        return {line["data"]["name"]: line["data"]["page_sha256"] for line in self.lines() if line["kind"] == "page"}

    def runs(self) -> list[str]:
        """Return the ids of all runs that were begun here."""
        return [line["data"]["name"] for line in self.lines() if line["kind"] == "run"]

    def notes(self, run_id: str) -> list[dict[str, Any]]:
        """Return the notes that were added to a record later: time, operator, text."""
        return [
            {"time": line["time"], **line["data"]}
            for line in self.lines()
            if line["kind"] == "note" and line["data"]["name"] == run_id
        ]
