"""Finishes runs: writes the record beside its journal and chains both. Also for runs that nobody finished.

Whatever ended a run, one of these comes to it: the runner, the kernel at its end, or the next command that looks at the
records (`finalise_orphans`). A record is made from the journal alone, so all of them make the same one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from runbook.errors import RecordError
from runbook.parameters import project_root
from runbook.records import outcome, record
from runbook.records.chain import Chain
from runbook.records.chained_lines import private
from runbook.records.journal import Journal, alive_path, fallback_folder, is_alive, journal_path, read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runbook.records.journal import Event

GRACE_SECONDS = 4.0  # an orphaned kernel notices within 2.6 s (measured) that its runner is gone


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that has its record now."""

    run_id: str
    path: Path
    state: str
    reason: str
    exit_code: int
    verdict: str = ""
    told: str = ""
    """All that the error said, with its remedy, where a cell raised one."""
    change: str = ""
    """What came of the run's change, where it had one: what was done, the downtime seen, what to do next."""

    @property
    def text(self) -> str:
        """How it ended, with the rest of what the error said."""
        return "\n".join([*([self.change] if self.change else []), self.sentence, *self.told.strip().splitlines()[1:]])

    @property
    def sentence(self) -> str:
        """How it ended, in one sentence."""
        if self.state == outcome.WHOLE:
            return self.verdict or "UNKNOWN: the notebook ran whole but judged nothing."
        return f"{self.state.upper()}: {self.reason}"


def finalise(journal: Journal, state: str = "", reason: str = "") -> Finished:
    """Given the journal of a run that is over, write its end, its record and its place in the chain.

    Without `state` the end is read from the cells. Raises RecordError when the record cannot be written; the journal is
    then kept, and a later command tries again.
    """
    end_run(journal, state, reason)
    return write(journal.outputs, journal.run_id)


def end_run(journal: Journal, state: str = "", reason: str = "") -> None:
    """Write the run's end to its journal. `state` given by who stopped the run wins over what the cells show."""
    events = read(journal.place).events
    runs = outcome.cell_runs(outcome.source_of(events), events)
    seen, why = outcome.state_of(runs)
    journal.event(
        "run.end",
        state=state or seen,
        reason=reason or why,
        reached=[run.name for run in runs if run.status != outcome.NOT_REACHED],
        not_reached=[run.name for run in runs if run.status == outcome.NOT_REACHED],
    )


def write(outputs: Path, run_id: str) -> Finished:
    """Given a run whose journal has its end, write the record and chain both. Raises RecordError."""
    path = journal_path(outputs, run_id)
    if path is None:
        raise RecordError(f"there is no journal of the run {run_id}", remedy="see ./runbook records verify")
    reading = read(path)
    notebook = record.assemble(
        outcome.source_of(reading.events),
        reading.events,
        reading.problems,
        run_id=run_id,
        base=_notebook_folder(outputs, reading.events),
    )
    content = orjson.dumps(notebook, option=orjson.OPT_INDENT_2) + b"\n"
    target = outputs / f"{run_id}.ipynb"
    try:
        kept = _bring_home(path, outputs, run_id)
        _put(target, content, outputs / ".journal" / f"{run_id}.part")
        Chain(outputs).append(
            "record", name=run_id, record_sha256=record.digest(content), journal_sha256=record.digest(kept.read_bytes())
        )
    except OSError as error:
        raise RecordError(
            f"the record {target} cannot be written: {error.strerror}; its journal is kept in {path}",
            remedy="free space there; the next ./runbook command writes the record from the journal",
        ) from None
    with contextlib.suppress(OSError):
        alive_path(outputs, run_id).unlink(missing_ok=True)
    events = reading.events
    end, verdict, applied = outcome.end_of(events) or {}, outcome.verdict_of(events) or {}, outcome.applied_of(events)
    return Finished(
        run_id,
        target,
        str(end.get("state")),
        str(end.get("reason", "")),
        outcome.exit_code(events),
        str(verdict.get("sentence") or verdict.get("state") or ""),
        next(
            (
                str(event.data.get("evalue"))
                for event in reversed(events)
                if event.kind == "cell.end" and not event.data.get("ok")
            ),
            "",
        ),
        "\n  ".join(text for key in ("sentence", "downtime", "next") if (text := str(applied.get(key, "")))),
    )


def _notebook_folder(outputs: Path, events: Sequence[Event]) -> str:
    """Return the folder of the run's notebook as seen from outputs/."""
    notebook = project_root() / "notebooks" / str(record.header_of(events).get("notebook", ""))
    return Path(os.path.relpath(notebook.parent, outputs)).as_posix()


def _bring_home(path: Path, outputs: Path, run_id: str) -> Path:
    """Bring a journal that had to move back to outputs/."""
    home = outputs / ".journal" / f"{run_id}.jsonl"
    if path != home:
        part = home.with_suffix(".moving")
        try:
            _write_whole(part, path.read_bytes())
        except OSError:
            part.unlink(missing_ok=True)
            raise
        part.replace(home)
        path.unlink()
    return home


def _put(target: Path, content: bytes, part: Path) -> None:
    """Write a file that is there as a whole or not at all."""
    try:
        _write_whole(part, content)
        try:
            os.link(part, target)
        except FileExistsError:  # written before, but its run died before it was chained: not a record yet
            part.replace(target)
        except OSError:  # a file system without hard links
            if target.exists():
                raise
            part.rename(target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write_whole(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def finalise_orphans(outputs: Path) -> list[Finished]:
    """Finish every run whose processes are gone; return those. What cannot be written now is left for the next time."""
    chain = Chain(outputs)
    known = chain.records().keys()
    finished = []
    for run_id in chain.runs():
        if run_id in known:
            continue
        with contextlib.suppress(RecordError):
            done = _finish_orphan(outputs, run_id)
            if done is not None:
                finished.append(done)
    return finished


def _finish_orphan(outputs: Path, run_id: str) -> Finished | None:
    path = journal_path(outputs, run_id)
    if path is None:
        return None
    if is_alive(outputs, run_id) and not _runner_is_gone(outputs, run_id, read(path).events):
        return None
    with _only_one(outputs, run_id) as mine:
        if not mine or run_id in Chain(outputs).records():
            return None
        events = read(path).events
        if outcome.end_of(events) is None:
            journal = Journal(path, run_id, outputs)
            end_run(journal, "died", _last_words(events))
        return write(outputs, run_id)


def _runner_is_gone(outputs: Path, run_id: str, events: Sequence[Event]) -> bool:
    """Wait for the kernel of a killed runner to end, which it does by itself; return whether all are gone."""
    runners = [
        event.data.get("pid") for event in events if event.kind == "run.start" and event.data.get("role") == "runner"
    ]
    if not runners or _runs(runners[0]):
        return False
    deadline = time.monotonic() + GRACE_SECONDS
    while is_alive(outputs, run_id):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _runs(pid: object) -> bool:
    if not isinstance(pid, int):
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextlib.contextmanager
def _only_one(outputs: Path, run_id: str) -> Iterator[bool]:
    """Hold the run for finishing; yields False when another command is at it."""
    descriptor = os.open(outputs / ".journal" / f"{run_id}.finishing", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
        with contextlib.suppress(OSError):
            (outputs / ".journal" / f"{run_id}.finishing").unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _last_words(events: Sequence[Event]) -> str:
    started = [event for event in events if event.kind == "cell.start"]
    ended = [event for event in events if event.kind == "cell.end"]
    where = "between two cells" if len(started) == len(ended) else "in the middle of a cell"
    if not started:
        where = "before the first cell"
    when = events[-1].time if events else "an unknown time"
    return f"its processes ended without a word {where} (killed, or the machine went down); the last sign of it is of {when}"


def under_way(outputs: Path) -> list[str]:
    """Return the ids of the runs that are going on now."""
    chain = Chain(outputs)
    known = chain.records().keys()
    return [run_id for run_id in chain.runs() if run_id not in known and is_alive(outputs, run_id)]


def export_page(record_path: Path, *, wait: bool) -> Path:
    """Given a record, begin to write its HTML page in a process of its own; `wait` for its end. Return the page's path."""
    page = record_path.with_suffix(".html")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "runbook.records.html", str(record_path), str(page)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None if wait else subprocess.DEVNULL,
        start_new_session=not wait,
    )
    if wait and process.wait() != 0:
        raise RecordError(f"{page} cannot be written", remedy=f"the record itself is whole: {record_path}")
    return page


def kept_elsewhere(outputs: Path) -> list[Path]:
    """Return the journals of runs in this folder that lie in the fallback folder, because outputs/ could not be written."""
    runs = set(Chain(outputs).runs())
    return [path for path in sorted(fallback_folder().glob("*.jsonl")) if path.stem in runs]
