"""The append-only log of a run: the truth about it, whatever happens to the process.

`outputs/.journal/<run id>.jsonl` holds one JSON object a line. Every line carries `seq` (from 0), `time` (UTC), `kind`,
`data`, `prev` (hash of the line before) and `hash` (SHA-256 over the line's canonical JSON without it), and is on disk
before `event` returns. Secrets are masked before a line is written.

Several processes append to one journal (the runner and its kernel): each append takes a lock, reads the last line and
chains to it. A line torn by a kill is left standing; the next append begins on a line of its own, and `read` tells of it.
Where the disk is full the journal moves to `fallback_folder()` as a whole, and goes on there.

While a process takes part in a run it holds a lock on `<run id>.alive`, which the kernel of the operating system drops
when that process ends in whatever way: so a run that nobody finished is told from one that is going on.

Longer than 300 lines: writing, locking and reading of one format are judged together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import errno
import fcntl
import json
import math
import os
import re
import secrets as random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from runbook.errors import RecordError
from runbook.records.chain import Chain
from runbook.records.chained_lines import PRIVATE_FOLDER, START, append_line, line_hash, private, state_folder, utc_now
from runbook.secrets import redactor

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN_ID_VARIABLE = "RUNBOOK_RUN_ID"
OUTPUTS_VARIABLE = "RUNBOOK_OUTPUTS"
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.ENOENT, errno.EFBIG})
WIDEST_INTEGER = 2**63


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a journal. `time` is UTC in ISO 8601 with microseconds."""

    seq: int
    time: str
    kind: str
    data: dict[str, Any]
    prev: str
    hash: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a journal's file says: the whole events, and what is wrong with it (torn lines are no tampering)."""

    events: tuple[Event, ...]
    torn: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def new_run_id(target: str, notebook: str, when: dt.datetime | None = None) -> str:
    """Given a target and a notebook, return a name for a run that sorts by time: the stem of its record."""
    moment = (when or dt.datetime.now(dt.UTC)).strftime("%Y%m%dT%H%M%SZ")
    return "--".join([moment, _slug(target), _slug(notebook.replace("/", ".")), random.token_hex(3)])


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._@-]+", "-", text).strip("-.")[:80] or "unnamed"


def outputs_folder() -> Path:
    """Return the folder of the records: RUNBOOK_OUTPUTS, or outputs/ of the checkout."""
    from runbook.parameters import project_root  # noqa: PLC0415 (slow; whoever asks for the folder has it already)

    return Path(os.environ.get(OUTPUTS_VARIABLE) or project_root() / "outputs")


def fallback_folder() -> Path:
    """Return where journals go on when outputs/ cannot be written."""
    return state_folder() / "journal"


def plain(value: Any) -> Any:
    """Given any value, return JSON types: NaN is null, a set is a sorted list, what is unknown is its text."""
    try:
        return orjson.loads(orjson.dumps(value, default=_plain_object, option=orjson.OPT_NON_STR_KEYS))
    except TypeError:  # integers beyond 64 bits and lone surrogates, which orjson refuses
        return _plain_slowly(json.loads(json.dumps(value, default=_plain_object, skipkeys=True)))


def _plain_object(value: Any) -> Any:
    for method, options in (("model_dump", {"mode": "json"}), ("as_json", {}), ("item", {}), ("isoformat", {})):
        call = getattr(value, method, None)
        if callable(call):
            with contextlib.suppress(TypeError, ValueError):
                return call(**options)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _plain_slowly(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain_slowly(key): _plain_slowly(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_slowly(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) >= WIDEST_INTEGER:
        return str(value)
    return value


@dataclass
class Journal:
    """One run's journal, open for appending. Make it with `create`, or `join` one that another process made."""

    path: Path
    run_id: str
    outputs: Path
    header: dict[str, Any] = field(default_factory=dict)
    closed: bool = False
    head: tuple[int, str] | None = None
    size: int = -1
    alive: int = -1
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @classmethod
    def create(cls, outputs: Path, header: dict[str, Any]) -> Journal:
        """Given the outputs folder and the header of a run, write its first event and return its journal.

        Where RUNBOOK_RUN_ID names a run that the runner began, join that one. Raises RecordError.
        """
        joined = os.environ.get(RUN_ID_VARIABLE)
        if joined:
            journal = cls.join(Path(os.environ.get(OUTPUTS_VARIABLE) or outputs), joined)
            if not journal.closed:
                journal.header |= plain(header)
                journal.event("run.start", **(header | {"pid": os.getpid(), "role": "kernel"}))
                return journal
            outputs = journal.outputs  # that run is over: what follows in the same kernel is another one
        return cls.begin(Path(outputs), header)

    @classmethod
    def begin(cls, outputs: Path, header: dict[str, Any]) -> Journal:
        """Given the outputs folder and the header of a run, begin a new run there. Raises RecordError."""
        run_id = new_run_id(str(header.get("target", "none")), str(header.get("notebook", "none")))
        folder = outputs / ".journal"
        path = folder / f"{run_id}.jsonl"
        try:
            folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            os.close(private(str(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            journal = cls(path, run_id, outputs, plain(header))
            journal._hold()
            Chain(outputs).append("run", name=run_id)
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
                alive_path(outputs, run_id).unlink(missing_ok=True)
            raise RecordError(
                f"{outputs} cannot be written: {error.strerror}",
                remedy="free space there or mend the folder's rights, or name another folder with --outputs; nothing was run",
            ) from None
        journal.event("run.start", **({"role": "kernel"} | header | {"pid": os.getpid()}))
        return journal

    @classmethod
    def join(cls, outputs: Path, run_id: str) -> Journal:
        """Given a run that another process began, return its journal for appending. Raises RecordError."""
        path = journal_path(outputs, run_id)
        if path is None:
            raise RecordError(f"there is no journal of the run {run_id} in {outputs}", remedy="start the run anew")
        events = read(path).events
        header: dict[str, Any] = {}
        for event in events:
            if event.kind == "run.start":
                header |= event.data
        journal = cls(path, run_id, outputs, header, closed=any(event.kind == "run.end" for event in events))
        if not journal.closed:
            journal._hold()
        return journal

    def event(self, kind: str, /, **data: Any) -> dict[str, Any]:
        """Write one event and return its line once it is on disk. Raises RecordError where no place takes it."""
        clean = redactor.value(plain(data))
        with self._lock:
            if self.closed:
                self._continue()
            try:
                line = self._append(kind, clean)
            except OSError as error:
                if error.errno not in NO_ROOM or self.path == self.fallback:
                    raise RecordError(
                        f"the journal {self.path} cannot be written: {error.strerror}",
                        remedy="free space, then run again",
                    ) from None
                self._move(error.strerror or str(error))
                line = self._append(kind, clean)
            if kind == "run.end":
                self.closed = True
                self.release()
            return line

    @property
    def fallback(self) -> Path:
        """Where this journal goes on when outputs/ cannot be written."""
        return fallback_folder() / f"{self.run_id}.jsonl"

    @property
    def place(self) -> Path:
        """Where the journal is now (another process of this run may have had to move it)."""
        return self.fallback if self.fallback.exists() else self.path

    def _append(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        fields = {"time": utc_now(), "kind": kind, "data": data}
        with self._locked() as descriptor:
            head = self.head if os.fstat(descriptor).st_size == self.size else None
            line = append_line(descriptor, head, fields)
            self.head, self.size = (line["seq"], line["hash"]), os.fstat(descriptor).st_size
        return line

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        """Open and lock the journal; where another process of this run has moved it, the one it was moved to."""
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if self.path == self.fallback or not self.fallback.exists():
                    yield descriptor
                    return
                self.path, self.head, self.size = self.fallback, None, -1
            finally:
                os.close(descriptor)

    def _move(self, reason: str) -> None:
        """Take the whole lines to the fallback folder and go on there."""
        was, place = self.path, self.fallback
        try:
            place.parent.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
            with self._locked() as descriptor:
                if self.path == place:  # the other process was faster
                    return
                kept = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
                part = place.with_suffix(f".{os.getpid()}")
                with open(part, "wb", opener=private) as file:
                    file.write(kept[: kept.rfind(b"\n") + 1])
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(place)
        except OSError as error:
            raise RecordError(
                f"{was} cannot be written ({reason}), nor can {place} ({error.strerror})",
                remedy="free space, then run again",
            ) from None
        self._append("journal.moved", {"from": str(was), "reason": reason, "outputs": str(self.outputs.resolve())})

    def _continue(self) -> None:
        """After its end a run is not written to: what still happens in this process begins another run."""
        header = {key: value for key, value in self.header.items() if key not in {"pid", "role"}}
        successor = Journal.begin(self.outputs, header | {"continues": self.run_id})
        self.path, self.run_id, self.header = successor.path, successor.run_id, successor.header
        self.head, self.size, self.alive, self.closed = successor.head, successor.size, successor.alive, False

    def _hold(self) -> None:
        self.alive = os.open(alive_path(self.outputs, self.run_id), os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(self.alive, fcntl.LOCK_SH)

    def release(self) -> None:
        """Say that this process takes no further part in the run."""
        if self.alive >= 0:
            os.close(self.alive)
            self.alive = -1


def alive_path(outputs: Path, run_id: str) -> Path:
    """Return the file that the processes of a run hold locked."""
    return outputs / ".journal" / f"{run_id}.alive"


def is_alive(outputs: Path, run_id: str) -> bool:
    """Return whether some process still takes part in the run."""
    try:
        descriptor = os.open(alive_path(outputs, run_id), os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def journal_path(outputs: Path, run_id: str) -> Path | None:
    """Return where the journal of a run is: the fallback folder first (it holds all that outputs/ holds, and more)."""
    for folder in (fallback_folder(), outputs / ".journal"):
        path = folder / f"{run_id}.jsonl"
        if path.exists():
            return path
    return None


def read(path: Path) -> Reading:
    """Given a journal's file, return its events and what is wrong with it. Raises RecordError when it cannot be read."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise RecordError(
            f"{path} cannot be read: {error.strerror}", remedy="check the file's owner and mode"
        ) from None
    return parse(text)


def parse(text: bytes) -> Reading:
    """Given a journal's bytes, return its events in order, the torn lines, and every break of the chain."""
    events: list[Event] = []
    torn: list[str] = []
    problems: list[str] = []
    seq, prev = -1, START
    for number, line in _lines(text):
        try:
            found = orjson.loads(line)
            body = {key: value for key, value in found.items() if key != "hash"}
            event = Event(found["seq"], found["time"], found["kind"], found["data"], found["prev"], found["hash"])
        except (ValueError, KeyError, TypeError, AttributeError):
            torn.append(f"line {number} is torn after {len(line)} bytes")
            continue
        if event.hash != line_hash(body):
            problems.append(f"line {number} was edited: its hash does not fit")
        elif event.prev != prev or event.seq != seq + 1:
            problems.append(f"line {number} does not follow line {number - 1}: a line was taken out, put in or moved")
        seq, prev = event.seq, event.hash
        events.append(event)
    return Reading(tuple(events), tuple(torn), tuple(problems))


def _lines(text: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(text.split(b"\n"), start=1):
        if line:
            yield number, line
