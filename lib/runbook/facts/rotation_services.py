"""What the services are told of a new value, and what they say to it. A part of the program that runs on the server as root."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import time
from pathlib import Path

from runbook.facts.rotation_kept import ANSWER_SECONDS, PATIENCE_SECONDS, Kept, ask, last_line
from runbook.facts.rotation_lines import Wrong, holds, problems_of, user_in, value_of, verifier

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Any

DATABASE, REDIS = "database-password", "redis-password"
UNKNOWN = 2
READ_AND_RUN = 'while [ "$1" != -- ]; do IFS= read -r "$1"; export "$1"; shift; done; shift; exec "$@"'
QUIET_SQL = "\\set ON_ERROR_STOP 0\nset log_statement = 'none';\nset log_min_duration_statement = -1;\nset log_min_error_statement = 'panic';\n\\set ON_ERROR_STOP 1\n"
VERIFIER_SQL = "select rolpassword from pg_authid where rolname = :'role';\n"
LARGEST_SEARCHED_BYTES = 1_000_000


class Rotation(Kept):
    """One rotation, and what the services have to do with it."""

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
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            done = self.psql(QUIET_SQL + "\\set verifier '" + told + "'\nalter role :\"role\" password :'verifier';\n")
            if done.returncode == 0:
                return f"role {self.settings['role']} has the {which} password"
            if time.monotonic() > deadline:
                raise Wrong(last_line(done).replace(told, "********"))
            time.sleep(1)

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
        deadline = time.monotonic() + PATIENCE_SECONDS
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

    def run_application(self, command: list[str], old: str, new: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a container of its own, made like the service's, with both keys from standard input."""
        seal = self.settings["sealed"]
        turn = os.open(str(self.folder), os.O_RDONLY)
        fcntl.flock(turn, fcntl.LOCK_EX)  # one at a time: the next line would end another one that is at work
        # what a lost power supply left behind
        ask(["docker", "rm", "--force", seal["container"]], seconds=ANSWER_SECONDS)
        argv = [*seal["compose"], "run", "--rm", "--no-deps", "--no-TTY", "--quiet-pull", "--name", seal["container"]]
        argv += ["--entrypoint", "sh", seal["service"], "-c", READ_AND_RUN, "sh", seal["old_variable"], self.variables[0], "--", *command]  # fmt: skip
        try:
            return ask(argv, old + "\n" + new + "\n")
        finally:
            os.close(turn)

    def reencrypt(self, to: str) -> str:
        """Bring every sealed row under this key; rows that are already are left alone."""
        if to == "old" and self.nothing_kept():
            return "nothing was changed"
        keys = (self.value("old"), self.value("new"))
        done = self.run_application(self.settings["sealed"]["command"], *(keys if to == "new" else keys[::-1]))
        if done.returncode:
            raise Wrong(f"the re-encryption ended with exit code {done.returncode}: {last_line(done)}")
        return f"{counted(done.stdout)}rows are under the {to} key"

    def rows(self, key: str) -> str:
        """Raise Wrong unless every sealed row is under this key."""
        if key == "old" and self.settings["sealed"] and self.old() is None and self.state() != "rotated":
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
        return self.containers("new")  # made anew only after every row was brought under the new key

    def inspect(self) -> str:
        """Return as JSON what is known before anything is done; no value is in it."""
        text = self.text()
        found: dict[str, Any] = {
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
