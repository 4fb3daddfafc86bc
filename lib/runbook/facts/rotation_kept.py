"""What a rotation keeps on the server: both values, the log, the env file. A part of the program that runs there as root."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import subprocess
import time
from pathlib import Path

from runbook.facts.rotation_lines import Wrong, find_lines, problems_of, replaced, states, value_of, verifier, with_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Settings = dict[str, Any]

ANSWER_SECONDS, PATIENCE_SECONDS, COMMAND_SECONDS = 60, 120, 3600


def write(path: Path, text: str, like: os.stat_result | None = None) -> None:
    """Write a file whole or not at all; owner and mode as `like`, else root's alone."""
    part = path.with_name(path.name + ".runbook-part")
    part.unlink(missing_ok=True)
    handle = os.open(str(part), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
        file.write(text)
        if like is not None:
            os.fchown(handle, like.st_uid, like.st_gid)
            os.fchmod(handle, like.st_mode & 0o7777)
        file.flush()
        os.fsync(handle)
    part.replace(path)
    folder = os.open(str(path.parent), os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def ask(argv: list[str], given: str = "", seconds: float = COMMAND_SECONDS) -> subprocess.CompletedProcess[str]:
    """Run a program; what it is given goes to its standard input."""
    return subprocess.run(argv, input=given, capture_output=True, text=True, timeout=seconds, check=False)


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    """Return the last words of a program."""
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return lines[-1][:300] if lines else f"it said nothing (exit code {done.returncode})"


class Kept:
    """One rotation: its settings, its folder, and what is kept of both values."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.folder = folder
        self.variables: list[str] = settings["variables"]
        self.urls: list[str] = settings["urls"]
        self.env = Path(os.path.realpath(settings["env_file"]))
        self.log = Path(settings["log"])

    # what is known

    def text(self) -> str:
        """Return the env file's text."""
        return self.env.read_bytes().decode("utf-8")

    def old(self) -> Settings | None:
        """Return what was kept of the old value; None as long as nothing was."""
        place = self.folder / "old.json"
        return json.loads(place.read_text(encoding="utf-8")) if place.exists() else None

    def value(self, which: str) -> str:
        """Return the new or the old value. Raises Wrong."""
        if which == "old":
            kept = self.old()
            if kept is None:
                raise Wrong("nothing of the old value is kept")
            return str(kept["value"])
        place = self.folder / "new"
        if place.exists():
            return place.read_text(encoding="utf-8")
        if self.state() == "rotated":  # cut off while it was confirmed: the value in use is the new one
            return value_of(self.text(), self.variables[0]) or ""
        raise Wrong("there is no new value yet")

    def state(self) -> str:
        """Return this rotation's state: "", begun, rotated, finished, undone."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        mine = [state for stamp, state in states(text, self.settings["secret"]) if stamp == self.settings["stamp"]]
        return mine[-1] if mine else ""

    def note(self, state: str) -> str:
        """Write a state into the log: which secret, when, which run; never a value."""
        if self.state() == state:
            return "noted already: " + state
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        row = {"secret": self.settings["secret"], "state": state, "at": at, "run": self.settings["stamp"]}
        handle = os.open(str(self.log), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            size = os.fstat(handle).st_size
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            os.write(handle, (("\n" if torn else "") + json.dumps(row) + "\n").encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        return f"noted: {self.settings['secret']} {state}"

    def noted(self, *wanted: str) -> str:
        """Raise Wrong unless this rotation is in one of these states."""
        state = self.state()
        if state not in wanted:
            raise Wrong(f"the state of this rotation is {state or 'not noted'}")
        return state

    # the values

    def made(self) -> str:
        """Raise Wrong unless both values are kept."""
        if self.old() is None or not (self.folder / "new").exists():
            raise Wrong("not made yet")
        return "made"

    def undone(self) -> str:
        """Remove what is kept, and note that the rotation was taken back."""
        self.nothing_kept()
        return f"{self.forget()}; {self.note('undone')}"

    def make(self) -> str:
        """Keep the old value and make a new one; what is there stays, so that it can be run again."""
        if self.old() is None:
            text = self.text()
            wrong = problems_of(text, self.variables, self.urls)
            if wrong:
                raise Wrong("; ".join(wrong))
            lines = {name: text.split("\n")[find_lines(text, name)[0]] for name in [*self.variables, *self.urls]}
            kept: Settings = {"value": value_of(text, self.variables[0]), "lines": lines, "verifier": ""}
            if self.settings.get("role"):
                kept["verifier"] = self.verifier_now() or verifier(kept["value"], secrets.token_bytes(16))
            write(self.folder / "env-file-before", text)
            write(self.folder / "old.json", json.dumps(kept))
        if not (self.folder / "new").exists():
            made = secrets.token_hex(32)
            if self.settings["form"] == "base64":
                made = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
            write(self.folder / "new", made)
        return f"the old value is kept and a new one made, both in {self.folder}"

    def verifier_now(self) -> str:
        """Return what the database keeps of the old value; empty where there is no database or it does not say."""
        return ""

    def forget(self) -> str:
        """Remove what is kept of both values."""
        for name in ("new", "old.json", "env-file-before"):
            for place in (self.folder / name, self.folder / (name + ".runbook-part")):
                if place.exists():
                    with place.open("r+b") as file:  # overwritten first, for file systems that write in place
                        file.write(b"\0" * place.stat().st_size)
                        os.fsync(file.fileno())
                    place.unlink()
        self.env.with_name(self.env.name + ".runbook-part").unlink(missing_ok=True)
        return "nothing of the old value is kept any more"

    def confirm(self) -> str:
        """Remove what is kept, for good: it cannot be taken back from now on, even if this is cut off here."""
        write(self.folder / "confirmed", "")
        return self.forget()

    def nothing_kept(self) -> bool:
        """Tell whether there is nothing to put back. Raises Wrong when it was confirmed, so that it cannot be."""
        if (self.folder / "confirmed").exists() or self.state() == "finished":
            raise Wrong("this rotation was confirmed and the old value removed: to change it again, rotate again")
        return self.old() is None

    # the env file

    def write_env(self) -> str:
        """Put the new value into the env file, only the lines concerned."""
        write(self.env, replaced(self.text(), self.variables, self.urls, self.value("new")), self.env.stat())
        return f"{self.env}: {', '.join([*self.variables, *self.urls])}"

    def restore_env(self) -> str:
        """Put the old lines back."""
        kept = self.old()
        if self.nothing_kept() or kept is None:
            return "nothing was changed"
        text = self.text()
        for name, line in kept["lines"].items():
            text = with_line(text, name, line)
        write(self.env, text, self.env.stat())
        return f"{self.env}: the old lines are back"

    def env_is(self, which: str) -> str:
        """Raise Wrong unless the env file holds this value everywhere."""
        text = self.text()
        wrong = problems_of(text, self.variables, self.urls)
        if wrong or value_of(text, self.variables[0]) != self.value(which):
            raise Wrong("; ".join(wrong) or f"the env file does not hold the {which} value")
        return f"the env file holds the {which} value"
