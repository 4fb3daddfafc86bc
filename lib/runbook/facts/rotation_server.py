"""Changes one secret of a Compose stack; runs on the server as root, where the values stay.

It is never imported there: the plan lays this file's text beside its settings, and each step calls it with one word. It
prints names, places and counts, never a value. Values travel between programs over standard input only, since command
lines, environments of containers and logs can be read by others. Only Python 3.8 and its standard library are used.

    FOLDER/rotation.py   this text            FOLDER/new        the new value   (root, 0600, until it is confirmed)
    FOLDER/settings.json what and where       FOLDER/old.json   the old value, its lines, the role's verifier (as above)

Exit codes: 0 done, or it is so; 1 it is not so, or it failed; 2 not known (the service does not answer).
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import json
import os
import re
import secrets
import subprocess
import sys
import time
import urllib.parse
from functools import partial
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Settings = dict[str, Any]

LINE = re.compile(
    r"""^(\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#'"]\S*|)(.*)$"""
)
URL = re.compile(r"^([a-z][a-z0-9+.-]*://)([^:/@]*):([^@]*)(@.*)$", re.IGNORECASE)
DATABASE, REDIS = "database-password", "redis-password"
UNKNOWN = 2
ROUNDS = 4096  # as PostgreSQL's own scram_iterations
ANSWER_SECONDS, COMMAND_SECONDS = 60, 3600
READ_AND_RUN = 'while [ "$1" != -- ]; do IFS= read -r "$1"; export "$1"; shift; done; shift; exec "$@"'
QUIET_SQL = "\\set ON_ERROR_STOP 0\nset log_statement = 'none';\nset log_min_duration_statement = -1;\nset log_min_error_statement = 'panic';\n\\set ON_ERROR_STOP 1\n"
VERIFIER_SQL = "select rolpassword from pg_authid where rolname = :'role';\n"
LARGEST_SEARCHED_BYTES = 1_000_000


class Wrong(Exception):
    """It cannot be done, or it is not so; `code` is the exit code."""

    def __init__(self, reason: str, code: int = 1) -> None:
        super().__init__(reason)
        self.code = code


# --- the env file: pure ---------------------------------------------------------------------------------------------


def unquoted(text: str) -> str:
    r"""Given a value as an env file writes it, return what it means.

    >>> unquoted("'a b'"), unquoted('"a\\"b"'), unquoted("plain")
    ('a b', 'a"b', 'plain')
    """
    if text[:1] == text[-1:] == "'" and len(text) > 1:
        return text[1:-1]
    if text[:1] == text[-1:] == '"' and len(text) > 1:
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def find_lines(text: str, name: str) -> list[int]:
    """Return the numbers (from 0) of the lines that set a variable."""
    found = (LINE.match(line) for line in text.split("\n"))
    return [number for number, match in enumerate(found) if match is not None and match.group(2) == name]


def value_of(text: str, name: str) -> str | None:
    """Return what a variable is set to; None where it is not, or twice."""
    numbers = find_lines(text, name)
    match = LINE.match(text.split("\n")[numbers[0]]) if len(numbers) == 1 else None
    return unquoted(match.group(3)) if match else None


def password_in(url: str) -> str | None:
    """Return the password in a URL, decoded; None where there is none.

    >>> password_in("redis://:a%2Fb@redis:6379/0"), password_in("redis://redis:6379/0")
    ('a/b', None)
    """
    match = URL.match(url)
    return urllib.parse.unquote(match.group(3)) if match else None


def user_in(url: str) -> str:
    """Return the user in a URL, decoded; empty where there is none."""
    match = URL.match(url)
    return urllib.parse.unquote(match.group(2)) if match else ""


def refers(password: str | None, names: list[str]) -> bool:
    """Tell whether a password is written as a reference to one of the variables, which follows by itself."""
    return any(password in {"$" + name, "${" + name + "}"} for name in names)


def with_line(text: str, name: str, line: str) -> str:
    """Return the text with the line that sets a variable replaced."""
    lines = text.split("\n")
    lines[find_lines(text, name)[0]] = line
    return "\n".join(lines)


def replaced(text: str, variables: list[str], urls: list[str], value: str) -> str:
    """Return an env file's text with the secret replaced in its variables and in the passwords of its URLs, nothing else."""
    for name in [*variables, *urls]:
        match = LINE.match(text.split("\n")[find_lines(text, name)[0]])
        if match is None:
            continue
        head, _, written, tail = match.groups()
        mark = written[:1] if written[:1] in {"'", '"'} else ""
        told = unquoted(written)
        if name in urls:
            parts = URL.match(told)
            if parts is None or refers(urllib.parse.unquote(parts.group(3)), variables):
                continue
            told = parts.group(1) + parts.group(2) + ":" + urllib.parse.quote(value, safe="") + parts.group(4)
        else:
            told = value
        text = with_line(text, name, head + mark + told + mark + tail)
    return text


def problems_of(text: str, variables: list[str], urls: list[str]) -> list[str]:
    """Return why the secret cannot be replaced in this text, in words; empty where it can."""
    found = []
    for name in [*variables, *urls]:
        times = len(find_lines(text, name))
        if times != 1:
            found.append(f"{name} is set {times} times" if times else f"{name} is not set")
    if found:
        return found
    wanted = value_of(text, variables[0])
    if not wanted:
        return [variables[0] + " is empty"]
    if "$" in wanted:
        found.append(variables[0] + " holds a $, which Compose may take for a variable")
    first = variables[0]
    found += [f"{name} and {first} hold different values" for name in variables[1:] if value_of(text, name) != wanted]
    for name in urls:
        password = password_in(value_of(text, name) or "")
        if password is None:
            found.append(f"{name} is not a URL with a password")
        elif password != wanted and not refers(password, variables):
            found.append(f"the password in {name} is not the one in {first}")
    return found


def holds(environment: dict[str, str], variables: list[str], urls: list[str], value: str) -> bool | None:
    """Tell whether a container's environment holds the value everywhere; None where it holds none of the variables."""
    found = [environment[name] for name in variables if name in environment]
    found += [password_in(environment[name]) or "" for name in urls if name in environment]
    return None if not found else all(hmac.compare_digest(item.encode(), value.encode()) for item in found)


def verifier(password: str, salt: bytes) -> str:
    """Return PostgreSQL's SCRAM-SHA-256 verifier of an ASCII password (RFC 5803, RFC 7677): what ALTER ROLE may be given."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    told = [base64.b64encode(item).decode() for item in (salt, stored, server)]
    return f"SCRAM-SHA-256${ROUNDS}:{told[0]}${told[1]}:{told[2]}"


def states(text: str, secret: str) -> list[tuple[str, str]]:
    """Given the log's text, return (stamp, state) of a secret's rotations, oldest first; a torn line is left out."""
    found = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
            if row["secret"] == secret:
                found.append((str(row["run"]), str(row["state"])))
        except (ValueError, KeyError, TypeError):
            continue
    return found


# --- the server -----------------------------------------------------------------------------------------------------


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


class Rotation:
    """One rotation: its settings, its folder, and what can be done."""

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
        if (
            self.state() == "rotated"
        ):  # `finish` was cut off when the kept values were gone: the one in use is the new one
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

    def nothing_kept(self) -> bool:
        """Tell whether there is nothing to put back. Raises Wrong when it was confirmed, so that it cannot be."""
        if self.state() == "finished":
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

    def containers(self, which: str, running: bool = True) -> str:
        """Raise Wrong unless every container was made with this value (and runs)."""
        value = self.value(which)
        names: list[str] = self.settings["containers"]
        done = ask(["docker", "inspect", *names], seconds=ANSWER_SECONDS)
        if done.returncode:
            raise Wrong(last_line(done))
        for item in json.loads(done.stdout):
            environment = dict(line.partition("=")[::2] for line in item["Config"]["Env"])
            if holds(environment, self.variables, self.urls, value) is not True:
                raise Wrong(f"{item['Name'].lstrip('/')} was made with another value")
            if running and not item["State"]["Running"]:
                raise Wrong(f"{item['Name'].lstrip('/')} does not run")
        return f"{', '.join(names)}: made with the {which} value"

    # the database

    def psql(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run SQL inside the container, as the stack's own user over its socket."""
        place = self.settings["database"]
        argv = ["docker", "exec", "-i", place["container"], "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        argv += ["-v", "role=" + self.settings["role"], "-U", place["user"], "-d", place["name"]]
        return ask(argv, script, seconds=ANSWER_SECONDS)

    def verifier_now(self) -> str:
        """Return the role's stored verifier; empty where this user may not read it."""
        done = self.psql(f"{QUIET_SQL}{VERIFIER_SQL}")
        told = done.stdout.strip()
        return told if done.returncode == 0 and re.fullmatch(r"(SCRAM-SHA-256\$|md5)[\w+/=:$]+", told) else ""

    def alter(self, which: str) -> str:
        """Give the role this value's verifier: the value itself never reaches the database's log."""
        if which == "old" and self.nothing_kept():
            return "nothing was changed"
        kept = (self.old() or {}).get("verifier", "")
        told = kept if which == "old" else verifier(self.value("new"), secrets.token_bytes(16))
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            done = self.psql(QUIET_SQL + "\\set verifier '" + told + "'\nalter role :\"role\" password :'verifier';\n")
            if done.returncode == 0:
                return f"role {self.settings['role']} has the {which} password"
            if time.monotonic() > deadline:
                raise Wrong(last_line(done).replace(told, "********"))
            time.sleep(1)

    # what a service says to a value

    def accepts(self, which: str) -> bool:
        """Tell whether the service lets this value in. Raises Wrong when it does not say."""
        place = self.settings["database" if self.settings["secret"] == DATABASE else "redis"]
        if self.settings["secret"] == DATABASE:
            name, program = "PGPASSWORD", ["psql", "-X", "-w", "-q", "-A", "-t", "-c", "select 1"]
            # its own name in Docker's network, not the loopback, which images of PostgreSQL trust without a password
            words = {
                "host": place["host"],
                "user": self.settings["role"],
                "dbname": place["name"],
                "sslmode": place["sslmode"],
            }
            program.append(" ".join(f"{key}={text}" for key, text in words.items()) + " connect_timeout=5")
            yes, no = "1", ["password authentication failed"]
        else:
            name, program, yes, no = "REDISCLI_AUTH", ["redis-cli", "ping"], "PONG", ["WRONGPASS", "invalid password"]
        argv = ["docker", "exec", "-i", place["container"], "sh", "-c", READ_AND_RUN, "sh", name, "--", *program]
        done = ask(argv, self.value(which) + "\n", seconds=ANSWER_SECONDS)
        said = done.stdout + done.stderr
        if any(word in said for word in no):
            return False
        if done.returncode == 0 and done.stdout.strip() == yes and "AUTH failed" not in said:
            return True
        raise Wrong("no answer: " + last_line(done), UNKNOWN)

    def accepted(self, which: str) -> str:
        """Raise Wrong unless the service lets this value in."""
        if not self.accepts(which):
            raise Wrong(f"the {which} value is refused")
        return f"the {which} value is accepted"

    def proof(self, wanted: str, unwanted: str) -> str:
        """Raise Wrong unless the service lets the one value in and refuses the other."""
        if self.old() is None:
            return "nothing was changed"
        if not self.accepts(wanted):
            raise Wrong(f"the {wanted} value is refused")
        if self.accepts(unwanted):
            raise Wrong(f"the {unwanted} value is still accepted")
        return f"the {wanted} value is accepted, the {unwanted} one refused"

    def set_redis(self, which: str) -> str:
        """Make Redis ask for this value from now on; connections that are open go on."""
        if which == "old" and self.nothing_kept():
            return "nothing was changed"
        other = "new" if which == "old" else "old"
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                if self.accepts(which):
                    return f"Redis has the {which} password"
                program = ["redis-cli", "-x", "config", "set", "requirepass"]
                argv = ["docker", "exec", "-i", self.settings["redis"]["container"], "sh", "-c", READ_AND_RUN, "sh", "REDISCLI_AUTH", "--", *program]  # fmt: skip
                done = ask(argv, self.value(other) + "\n" + self.value(which), seconds=ANSWER_SECONDS)
                reason = "Redis did not take it"
                if done.stdout.strip() == "OK" and self.accepts(which):
                    return f"Redis has the {which} password"
            except Wrong as wrong:
                if wrong.code != UNKNOWN:
                    raise
                reason = str(wrong)
            if time.monotonic() > deadline:
                raise Wrong(reason)
            time.sleep(1)

    # sealed columns

    def run_application(self, command: list[str], old: str, new: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a container of its own, made like the service's, with both keys from standard input."""
        seal = self.settings["sealed"]
        ask(
            ["docker", "rm", "--force", seal["container"]], seconds=ANSWER_SECONDS
        )  # what a lost power supply left behind
        argv = [*seal["compose"], "run", "--rm", "--no-deps", "--no-TTY", "--quiet-pull", "--name", seal["container"]]
        argv += ["--entrypoint", "sh", seal["service"], "-c", READ_AND_RUN, "sh", seal["old_variable"], self.variables[0], "--", *command]  # fmt: skip
        return ask(argv, old + "\n" + new + "\n")

    def reencrypt(self, to: str) -> str:
        """Bring every sealed row under this key; rows that are already are left alone."""
        if to == "old" and self.nothing_kept():
            return "nothing was changed"
        keys = (self.value("old"), self.value("new"))
        done = self.run_application(self.settings["sealed"]["command"], *(keys if to == "new" else keys[::-1]))
        if done.returncode:
            raise Wrong(f"the re-encryption ended with exit code {done.returncode}: {last_line(done)}")
        return self.rows(to)

    def rows(self, key: str) -> str:
        """Raise Wrong unless every sealed row is under this key."""
        if self.settings["sealed"] and self.old() is None and self.state() != "rotated":
            return "nothing was changed"
        value = self.value(key)
        done = self.run_application(self.settings["sealed"]["check"], value, value)
        if done.returncode:
            raise Wrong(f"not every row is under the {key} key (exit code {done.returncode})")
        return f"{counted(done.stdout)}rows are under the {key} key"

    def quiet(self) -> str:
        """Raise Wrong unless nobody can write sealed rows under the old key: stopped, or all is done already."""
        names = self.settings["containers"]
        done = ask(["docker", "inspect", "--format", "{{.State.Running}}", *names], seconds=ANSWER_SECONDS)
        if done.returncode == 0 and "true" not in done.stdout:
            return "stopped"
        self.containers("new")
        return self.rows("new")

    # looking

    def inspect(self) -> str:
        """Return as JSON what is known before anything is done; no value is in it."""
        text = self.text()
        found: Settings = {
            "problems": problems_of(text, self.variables, self.urls),
            "role": "",
            "elsewhere": [],
            "persistent": "",
        }
        if found["problems"]:
            return json.dumps(found)
        value = value_of(text, self.variables[0]) or ""
        if self.settings["secret"] == DATABASE:
            found["role"] = user_in(value_of(text, self.urls[0]) or "") if self.urls else ""
            found["role"] = found["role"] or self.settings["database"]["user"]
        if self.settings["secret"] == REDIS:
            found["persistent"] = self.persistent(value)
        found["elsewhere"] = self.elsewhere(value)
        return json.dumps(found)

    def persistent(self, value: str) -> str:
        """Return how Redis keeps its data: aof, rdb, or none; empty where it does not say."""
        argv = ["docker", "exec", "-i", self.settings["redis"]["container"], "sh", "-c", READ_AND_RUN, "sh", "REDISCLI_AUTH", "--"]  # fmt: skip
        done = ask([*argv, "redis-cli", "config", "get", "appendonly", "save"], value + "\n", seconds=ANSWER_SECONDS)
        lines = done.stdout.splitlines()
        told = dict(zip(lines[::2], lines[1::2]))  # noqa: B905 (Python 3.8 has no `strict`)
        if "appendonly" not in told:
            return ""
        return "aof" if told["appendonly"] == "yes" else "rdb" if told.get("save", "").strip() else "none"

    def elsewhere(self, value: str) -> list[str]:
        """Return other small files below the stack's folder that hold the value, which nothing here would change."""
        found = []
        for top, folders, files in os.walk(str(self.env.parent)):
            folders[:] = [name for name in folders if name not in {"backups", ".git", "node_modules"}]
            for name in files:
                place = Path(top, name)
                if place == self.env or not place.is_file() or place.stat().st_size > LARGEST_SEARCHED_BYTES:
                    continue
                if value.encode() in place.read_bytes():
                    found.append(str(place))
        return sorted(found)[:20]


def counted(text: str) -> str:
    """Given what the check printed, return "all N " where its last line is JSON with `rows_by_key`; no key's id is kept."""
    try:
        total = sum(json.loads(text.strip().splitlines()[-1])["rows_by_key"].values())
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return "all "
    return f"all {total} "


def verbs(rotation: Rotation) -> dict[str, Callable[[], str]]:
    """Return what can be asked, by word."""
    found: dict[str, Callable[[], str]] = {
        "inspect": rotation.inspect,
        "make": rotation.make,
        "made": rotation.made,
        "write-env": rotation.write_env,
        "restore-env": rotation.restore_env,
        "is-begun": partial(rotation.noted, "begun", "rotated"),
        "quiet": rotation.quiet,
        "forget": rotation.forget,
        "undone": rotation.undone,
    }
    for state in ("begun", "rotated", "finished"):
        found["note-" + state] = partial(rotation.note, state)
        found["noted-" + state] = partial(rotation.noted, state)
    for which, other in (("new", "old"), ("old", "new")):
        found["env-" + which] = partial(rotation.env_is, which)
        found["containers-" + which] = partial(rotation.containers, which)
        found["alter-" + which] = partial(rotation.alter, which)
        found["redis-" + which] = partial(rotation.set_redis, which)
        found["accepts-" + which] = partial(rotation.accepted, which)
        found["prove-" + which] = partial(rotation.proof, which, other)
        found["reencrypt-" + which] = partial(rotation.reencrypt, which)
        found["rows-" + which] = partial(rotation.rows, which)
    return found


def main(words: list[str]) -> int:
    """Do what the word says; a second word is the settings as JSON, where they do not lie beside this file."""
    folder = Path(words[0]).resolve().parent
    os.umask(0o077)
    try:
        told = words[2] if words[2:] else (folder / "settings.json").read_text(encoding="utf-8")
        sys.stdout.write(verbs(Rotation(json.loads(told), folder))[words[1]]() + "\n")
    except Wrong as wrong:
        sys.stderr.write(f"{wrong}\n")
        return wrong.code
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired) as error:
        # the error's own text could hold what was sent: its kind and place are enough
        where = getattr(error, "filename", None) or getattr(error, "cmd", [""])[0]
        sys.stderr.write(f"{type(error).__name__} {where}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
