"""Files of chained lines: append-only JSON lines, each with the hash of the one before. Journals and the chain are both.

What they hold is for their owner only: every file is made with mode 0600, whatever the umask is.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import orjson

START = "0" * 64  # what the first line names as the hash before it
TAIL_BYTES = 64 * 1024
PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700


def state_folder() -> Path:
    """Return this operator's folder for what must not lie in outputs/ (`$XDG_STATE_HOME/runbook`)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "runbook"


def private(path: str, flags: int) -> int:
    """Open a file so that only its owner can read it: an `opener` for `open`. One that was open to others is closed to them."""
    descriptor = os.open(path, flags, PRIVATE_FILE)
    if os.fstat(descriptor).st_mode & 0o077:
        with contextlib.suppress(PermissionError):  # another operator's file
            os.fchmod(descriptor, PRIVATE_FILE)
    return descriptor


def utc_now() -> str:
    """Return the time now as written in journals: `2026-11-24T07:56:03.123456Z`."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def line_hash(body: dict[str, Any]) -> str:
    """Given a line without its hash, return the SHA-256 of its canonical JSON (keys sorted, no spaces)."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def append_line(descriptor: int, head: tuple[int, str] | None, fields: dict[str, Any]) -> dict[str, Any]:
    """Given a file opened for reading and appending and locked, append `fields` as the next line of its chain.

    `head` is (seq, hash) of the last line where the caller knows it; else it is read. Returns the whole line.
    Raises OSError when there is no room; the file is then as long as before.
    """
    size = os.fstat(descriptor).st_size
    torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    seq, prev = head or last_line(descriptor, size)
    body = {"seq": seq + 1, **fields, "prev": prev}
    line = body | {"hash": line_hash(body)}
    payload = (b"\n" if torn else b"") + orjson.dumps(line) + b"\n"
    try:
        written = os.write(descriptor, payload)
        if written != len(payload):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 (a short write means just this)
        os.fsync(descriptor)
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, size)
        raise
    return line


def last_line(descriptor: int, size: int) -> tuple[int, str]:
    """Return (seq, hash) of the last whole line; (-1, START) when there is none."""
    window = TAIL_BYTES
    while size:
        start = max(0, size - window)
        lines = os.pread(descriptor, size - start, start).split(b"\n")
        for text in reversed(lines if start == 0 else lines[1:]):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                found = orjson.loads(text)
                return int(found["seq"]), str(found["hash"])
        if start == 0:
            break
        window *= 8
    return -1, START
