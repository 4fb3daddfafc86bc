"""Whether the chain, the records, their pages and their journals are as they were written.

Chain, record, page and journal are covered alike: each has a line in the chain with the hash of its bytes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from runbook.records.chained_lines import START, line_hash
from runbook.records.journal import journal_path, read

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.records.chain import Chain


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that does not fit: `name` (record, journal or line) and what was done to it."""

    name: str
    reason: str


def verify(chain: Chain) -> list[Problem]:
    """Return everything that was edited, deleted or inserted since it was written; empty when all is as it was.

    A page that is being written now is waited for.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            fcntl.flock(held.enter_context(chain.path.open("rb")), fcntl.LOCK_SH)
        return [*_lines(chain), *_head(chain), *_files(chain)]


def _lines(chain: Chain) -> list[Problem]:
    problems = []
    seq, prev = -1, START
    for number, line in enumerate(chain.lines(), start=1):
        body = {key: value for key, value in line.items() if key != "hash"}
        if line["hash"] != line_hash(body):
            problems.append(Problem(f"{chain.path.name} line {number}", "was edited"))
        elif line["seq"] != seq + 1 or line["prev"] != prev:
            problems.append(
                Problem(
                    f"{chain.path.name} line {number}",
                    "does not follow the one before: a line was taken out or put in",
                )
            )
        seq, prev = line["seq"], line["hash"]
    return problems


def _head(chain: Chain) -> list[Problem]:
    lines = chain.lines()
    try:
        head = orjson.loads(chain.head_path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return (
            [
                Problem(
                    str(chain.head_path),
                    "the second copy of the chain's head is missing: a cut-off tail would go unseen",
                )
            ]
            if lines
            else []
        )
    except (OSError, ValueError) as error:
        return [Problem(str(chain.head_path), f"cannot be read: {error}")]
    if any(line["seq"] == head["seq"] and line["hash"] == head["hash"] for line in lines):
        return []
    return [
        Problem(
            chain.path.name,
            f"its end was cut off or written anew: line {head['seq'] + 1} is not the one that was written",
        )
    ]


def _files(chain: Chain) -> list[Problem]:
    problems = []
    records, runs = chain.records(), set(chain.runs())
    for run_id, said in records.items():
        problems += _compare(chain.outputs / f"{run_id}.ipynb", f"{run_id}.ipynb", said.get("record_sha256"))
        journal = journal_path(chain.outputs, run_id) or chain.outputs / ".journal" / f"{run_id}.jsonl"
        problems += _compare(journal, f"journal of {run_id}", said.get("journal_sha256"))
    pages = chain.pages()
    for run_id, checksum in pages.items():
        problems += _compare(chain.outputs / f"{run_id}.html", f"{run_id}.html", checksum)
    problems += [
        Problem(path.name, "was inserted: no run here wrote it")
        for path in sorted([*chain.outputs.glob("*.ipynb"), *chain.outputs.glob("*.html")])
        if path.stem not in records
    ]
    problems += [
        Problem(
            f"{run_id}.html", f"nothing says what was written there; `./runbook records open {run_id}` writes it anew"
        )
        for run_id in records
        if run_id not in pages and (chain.outputs / f"{run_id}.html").exists()
    ]
    for path in sorted((chain.outputs / ".journal").glob("*.jsonl")):
        if path.stem not in runs:
            problems.append(Problem(f"journal of {path.stem}", "was inserted: no run here wrote it"))
        elif path.stem not in records:
            problems += [Problem(f"journal of {path.stem}", reason) for reason in read(path).problems]
    problems += [
        Problem(f"journal of {run_id}", "was deleted")
        for run_id in sorted(runs - records.keys())
        if journal_path(chain.outputs, run_id) is None
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
