"""An index of the records, so that one is found among 100,000 within a second: `outputs/.index.sqlite`.

The records are the truth; the index may be deleted at any time. `update` reads only records that are new or whose size
or time has changed, and forgets those that are gone.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (a dataclass field's type)
from typing import TYPE_CHECKING, Any, Self

import orjson

from runbook.errors import RecordError
from runbook.records import record
from runbook.records.chained_lines import private

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VERSION = 1
MOST_NUMBERS = 500  # of one record; a table of ten thousand rows is no trend
LONGEST_TEXT = 20_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, mtime INTEGER, size INTEGER, started TEXT, target TEXT, notebook TEXT,
    state TEXT, verdict TEXT, exit_code INTEGER, seconds REAL, operator TEXT, sentence TEXT, reason TEXT
);
CREATE INDEX IF NOT EXISTS records_started ON records (started);
CREATE INDEX IF NOT EXISTS records_notebook ON records (notebook, target, started);
CREATE TABLE IF NOT EXISTS paths (id INTEGER PRIMARY KEY, path TEXT UNIQUE);
CREATE TABLE IF NOT EXISTS numbers (path INTEGER, record INTEGER, value REAL, PRIMARY KEY (path, record)) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (text, content='');
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One record as the index knows it. `started` is UTC, `seconds` the time it took."""

    name: str
    started: str
    target: str
    notebook: str
    state: str
    verdict: str
    exit_code: int
    seconds: float
    operator: str
    sentence: str
    reason: str


COLUMNS = ", ".join(f"records.{name}" for name in Entry.__slots__)


class Index:
    """The index of one outputs folder, open. Use it as a context."""

    def __init__(self, outputs: Path) -> None:
        self.outputs = outputs
        self.path = outputs / ".index.sqlite"
        try:
            self.database = self._open()
        except sqlite3.DatabaseError:
            self.path.unlink(missing_ok=True)  # not a database any more; it is made anew from the records
            self.database = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            with contextlib.suppress(OSError):  # sqlite gives what it makes beside it the same mode
                os.close(private(str(self.path), os.O_RDWR | os.O_CREAT))
            database = sqlite3.connect(self.path, timeout=10)
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            (version,) = database.execute("PRAGMA user_version").fetchone()
        except sqlite3.OperationalError:
            database = sqlite3.connect(":memory:")  # the folder cannot be written: index for this command only
            version = 0
        if version != VERSION:
            _make(database)
        return database

    def __enter__(self) -> Self:
        """Return the index, as it was at the last update."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database."""
        self.database.close()

    def update(self) -> int:
        """Bring the index in step with the folder; return how many records were read."""
        there = dict(_files(self.outputs))
        if self._known() == there:
            return 0
        with self.database:
            self.database.execute("BEGIN IMMEDIATE")  # another command may be at the same: look again, alone
            known = self._known()
            changed = [name for name, stamp in there.items() if known.get(name) != stamp]
            for name in [*(known.keys() - there.keys()), *(name for name in changed if name in known)]:
                self._forget(name)
            for name in changed:
                # `verify` tells of records that cannot be read
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                    self._add(name, there[name], orjson.loads((self.outputs / name).read_bytes()))
        return len(changed)

    def _known(self) -> dict[str, tuple[int, int]]:
        rows = self.database.execute("SELECT name, mtime, size FROM records")
        return {name: (mtime, size) for name, mtime, size in rows}

    def _forget(self, name: str) -> None:
        (number,) = self.database.execute("SELECT id FROM records WHERE name = ?", (name,)).fetchone()
        self.database.execute("DELETE FROM records WHERE id = ?", (number,))
        self.database.execute("DELETE FROM numbers WHERE record = ?", (number,))
        # its words stay in the full-text index, which finds nothing by them: numbers of records are never used again

    def _add(self, name: str, stamp: tuple[int, int], found: dict[str, Any]) -> None:
        told = found["metadata"]["runbook"]
        header = told["header"]
        seconds = _seconds(told["started"], told["ended"])
        judged = told.get("after") or told.get("before") or {}
        row = (
            name, *stamp, told["started"], header.get("target", ""), header.get("notebook", ""), told["state"], told["verdict"],
            told["exit_code"], seconds, header.get("operator", ""), judged.get("sentence", ""), told.get("reason", ""),
        )  # fmt: skip
        cursor = self.database.execute(f"INSERT INTO records VALUES (NULL{', ?' * len(row)})", row)  # noqa: S608 (question marks only)
        number = cursor.lastrowid
        for path, value in list(numbers(record.scraps_of(found).get("facts") or {}))[:MOST_NUMBERS]:
            self.database.execute("INSERT OR IGNORE INTO paths (path) VALUES (?)", (path,))
            self.database.execute(
                "INSERT OR REPLACE INTO numbers SELECT id, ?, ? FROM paths WHERE path = ?", (number, value, path)
            )
        self.database.execute("INSERT INTO words (rowid, text) VALUES (?, ?)", (number, _words(told)[:LONGEST_TEXT]))

    def entries(self, *, limit: int = 50, **wanted: str | None) -> list[Entry]:
        """Return records, newest first. `wanted`: target, notebook, verdict, state (exact) and since (a UTC time's beginning)."""
        clauses, values = _clauses(wanted)
        query = f"SELECT {COLUMNS} FROM records WHERE {clauses} ORDER BY started DESC, name DESC LIMIT ?"  # noqa: S608 (names from this file)
        return [Entry(*row) for row in self.database.execute(query, (*values, limit))]

    def last_good(self, target: str, notebook: str, *, before: str | None = None) -> Entry | None:
        """Return the newest whole record of a notebook on a target that said OK, of those that began before a time; None without one."""
        found = self.entries(limit=1, target=target, notebook=notebook, verdict="OK", state="whole", before=before)
        return next(iter(found), None)

    def entry(self, name: str) -> Entry | None:
        """Return one record by its name."""
        row = self.database.execute(f"SELECT {COLUMNS} FROM records WHERE name = ?", (name,)).fetchone()  # noqa: S608 (as above)
        return Entry(*row) if row else None

    def search(self, text: str, *, limit: int = 50) -> list[Entry]:
        """Return records that hold all words of `text` (in verdicts, commands, notes, names), newest first."""
        quoted = " ".join('"' + word.replace('"', '""') + '"*' for word in text.split())
        if not quoted:
            return []
        query = (
            f"SELECT {COLUMNS} FROM words JOIN records ON records.id = words.rowid WHERE words MATCH ? "  # noqa: S608 (as above)
            "ORDER BY started DESC LIMIT ?"
        )
        return [Entry(*row) for row in self.database.execute(query, (quoted, limit))]

    def paths(self, part: str = "") -> list[str]:
        """Return the paths of numbers whose name holds `part`."""
        escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        query = "SELECT path FROM paths WHERE path LIKE ? ESCAPE '\\' ORDER BY path"
        return [path for (path,) in self.database.execute(query, (f"%{escaped}%",))]

    def trend(self, path: str, **wanted: str | None) -> list[tuple[str, float, str]]:
        """Return (time, value, record) of one number over time, oldest first."""
        clauses, values = _clauses(wanted)
        query = (
            "SELECT records.started, numbers.value, records.name FROM numbers "  # noqa: S608 (names from this file)
            "JOIN paths ON paths.id = numbers.path JOIN records ON records.id = numbers.record "
            f"WHERE paths.path = ? AND {clauses} ORDER BY records.started"
        )
        return list(self.database.execute(query, (path, *values)))

    def names_like(self, part: str) -> list[str]:
        """Return the names of records that hold `part`, newest first."""
        escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        query = "SELECT name FROM records WHERE name LIKE ? ESCAPE '\\' ORDER BY started DESC, name DESC LIMIT 20"
        return [name for (name,) in self.database.execute(query, (f"%{escaped}%",))]


def _clauses(wanted: Mapping[str, str | None]) -> tuple[str, list[str]]:
    clauses, values = ["1"], []
    for name, value in wanted.items():
        if value is None:
            continue
        if name not in {"target", "notebook", "verdict", "state", "since", "before"}:
            raise RecordError(f"records cannot be chosen by {name!r}")
        clauses.append({"since": "started >= ?", "before": "started < ?"}.get(name, f"{name} = ?"))
        values.append(value)
    return " AND ".join(clauses), values


def _files(outputs: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(outputs) as found:
        for entry in found:
            if entry.name.endswith(".ipynb") and entry.is_file():
                status = entry.stat()
                yield entry.name, (status.st_mtime_ns, status.st_size)


def _seconds(started: str, ended: str) -> float:
    import datetime as dt  # noqa: PLC0415 (only while indexing)

    return (dt.datetime.fromisoformat(ended) - dt.datetime.fromisoformat(started)).total_seconds()


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Given a fact as JSON, return its numbers by path: `filesystems./.used_percent`.

    Items of a list are named by their `name`, `mount` or the like where they have one, else by their place.
    """
    if isinstance(value, bool):
        return
    if isinstance(value, int | float):
        yield path, float(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from numbers(item, f"{path}.{item_name(item, place)}")


def item_name(item: Any, place: int) -> str:
    """Return what an item of a list is called: its name, else its place."""
    if isinstance(item, dict):
        for key in ("name", "mount", "mountpoint", "path", "container", "service", "unit", "subject", "id"):
            found = item.get(key)
            if isinstance(found, str) and found:
                return found
    return str(place)


def _words(told: dict[str, Any]) -> str:
    header = told["header"]
    rows = [row for judged in (told.get("before"), told.get("after")) if judged for row in judged.get("rows", ())]
    bad = [row for row in rows if row.get("state") != "OK" or row.get("known")]
    parts = [
        header.get("notebook", ""), header.get("title", ""), header.get("target", ""), header.get("operator", ""),
        told["state"], told["verdict"], told.get("reason", ""), *told.get("notes", ()),
        *(f"{row.get('state')} {row.get('check')} {row.get('subject')} {row.get('reason')}" for row in bad),
        *(str(item.get("command", "")) for item in told.get("commands", ())),
    ]  # fmt: skip
    return "\n".join(str(part) for part in parts)


def usual_seconds(outputs: Path, notebook: str, target: str) -> float | None:
    """Return the median time of the last whole runs of a notebook on a target, as far as indexed; None when unknown."""
    path = outputs / ".index.sqlite"
    if not path.exists():
        return None
    with contextlib.suppress(sqlite3.Error, OSError):
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=0.2)
        with contextlib.closing(database):
            rows = database.execute(
                "SELECT seconds FROM records WHERE notebook = ? AND target = ? AND state = 'whole' ORDER BY started DESC LIMIT 9",
                (notebook, target),
            ).fetchall()
            times = sorted(seconds for (seconds,) in rows)
            return times[len(times) // 2] if times else None
    return None


def _make(database: sqlite3.Connection) -> None:
    """Make the tables anew, unless another command has just done so: its tables must not be dropped."""
    with database:
        database.execute("BEGIN IMMEDIATE")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == VERSION:
            return
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            with contextlib.suppress(sqlite3.OperationalError):  # tables of the full-text index go with it
                database.execute(f'DROP TABLE IF EXISTS "{table}"')
        for statement in SCHEMA.split(";\n"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION}")
