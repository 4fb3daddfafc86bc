"""The chain over all records of an outputs folder: `outputs/.chain.jsonl`.

Every run, every finished record and every note adds a line that names the SHA-256 of the record and of its journal, and
the hash of the line before. The head of the chain is kept a second time in the operator's state folder, so that a tail
that was cut off is noticed as well. Whoever can write both places could forge both: a copy of the head elsewhere
(`./runbook records verify` prints it) settles that too.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (a dataclass field's type)
from typing import Any

import orjson

from runbook.records.journal import START, append_line, journal_path, line_hash, read, state_folder, utc_now


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not fit: `name` (record, journal or line) and what was done to it."""

    name: str
    reason: str


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
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            line = append_line(descriptor, None, {"time": utc_now(), "kind": kind, "data": data})
            self._remember(line)
        finally:
            os.close(descriptor)
        return line

    def _remember(self, line: dict[str, Any]) -> None:
        head = {"outputs": str(self.outputs.resolve()), "seq": line["seq"], "hash": line["hash"]}
        with contextlib.suppress(OSError):  # a second copy: where it cannot be kept, `verify` says that it is missing
            self.head_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part = self.head_path.with_suffix(f".{os.getpid()}")
            part.write_bytes(orjson.dumps(head))
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

    def verify(self) -> list[Problem]:
        """Return everything that was edited, deleted or inserted since it was written; empty when all is as it was."""
        return [*self._verify_lines(), *self._verify_head(), *self._verify_files()]

    def _verify_lines(self) -> list[Problem]:
        problems = []
        seq, prev = -1, START
        for number, line in enumerate(self.lines(), start=1):
            body = {key: value for key, value in line.items() if key != "hash"}
            if line["hash"] != line_hash(body):
                problems.append(Problem(f"{self.path.name} line {number}", "was edited"))
            elif line["seq"] != seq + 1 or line["prev"] != prev:
                problems.append(
                    Problem(
                        f"{self.path.name} line {number}",
                        "does not follow the one before: a line was taken out or put in",
                    )
                )
            seq, prev = line["seq"], line["hash"]
        return problems

    def _verify_head(self) -> list[Problem]:
        lines = self.lines()
        try:
            head = orjson.loads(self.head_path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return (
                [
                    Problem(
                        str(self.head_path),
                        "the second copy of the chain's head is missing: a cut-off tail would go unseen",
                    )
                ]
                if lines
                else []
            )
        except (OSError, ValueError) as error:
            return [Problem(str(self.head_path), f"cannot be read: {error}")]
        if any(line["seq"] == head["seq"] and line["hash"] == head["hash"] for line in lines):
            return []
        return [
            Problem(
                self.path.name,
                f"its end was cut off or written anew: line {head['seq'] + 1} is not the one that was written",
            )
        ]

    def _verify_files(self) -> list[Problem]:
        problems = []
        records, runs = self.records(), set(self.runs())
        for run_id, said in records.items():
            problems += _compare(self.outputs / f"{run_id}.ipynb", f"{run_id}.ipynb", said.get("record_sha256"))
            journal = journal_path(self.outputs, run_id) or self.outputs / ".journal" / f"{run_id}.jsonl"
            problems += _compare(journal, f"journal of {run_id}", said.get("journal_sha256"))
        problems += [
            Problem(path.name, "was inserted: no run here wrote it")
            for path in sorted(self.outputs.glob("*.ipynb"))
            if path.stem not in records
        ]
        for path in sorted((self.outputs / ".journal").glob("*.jsonl")):
            if path.stem not in runs:
                problems.append(Problem(f"journal of {path.stem}", "was inserted: no run here wrote it"))
            elif path.stem not in records:
                problems += [Problem(f"journal of {path.stem}", reason) for reason in read(path).problems]
        problems += [
            Problem(f"journal of {run_id}", "was deleted")
            for run_id in sorted(runs - records.keys())
            if journal_path(self.outputs, run_id) is None
        ]
        return problems


def _compare(path: Path, name: str, expected: str | None) -> list[Problem]:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return [Problem(name, "was deleted")]
    except OSError as error:
        return [Problem(name, f"cannot be read: {error.strerror}")]
    return [] if found == expected else [Problem(name, "was edited after it was written")]
