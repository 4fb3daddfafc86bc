"""The secrets that can be rotated: how old each is, which rotation waits to be confirmed, and where a secret stands.

The server keeps a log of rotations (which secret, when, which run). Where a secret stands is read by a program that
runs there as root and returns names and counts only: no value ever leaves the server.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook import secrets
from runbook.commands import Command
from runbook.errors import ParametersError, ParseError
from runbook.facts import STATE_FOLDER, Fact, LocalFact, backup
from runbook.facts.compose import compose_argv
from runbook.facts.http import Site

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.facts.backup import Copy, ReadThrough
    from runbook.parameters import Parameters, SecretPlaces

SECRETS = (DATABASE, REDIS, JWT, SEALED) = ("database-password", "redis-password", "jwt-secret", "encryption-key")
ACTIONS = ("rotate", "finish")
LOG = f"{STATE_FOLDER}/rotations.jsonl"
PARTS = ("rotation_lines", "rotation_kept", "rotation_services", "rotation_server")
SHOW_LOG = 'if [ -e "$1" ]; then cat "$1"; fi'
HTTP_OK, UNAUTHORIZED = 200, 401


def program() -> str:
    """Return the text of the program that runs on the server: its files one below the other, without their imports of each other."""
    whole = "\n".join(Path(__file__).with_name(f"{part}.py").read_text(encoding="utf-8") for part in PARTS)
    lines = (line for line in whole.splitlines() if not line.startswith(("from __future__", "from runbook.")))
    return "from __future__ import annotations\n" + "\n".join(lines) + "\n"


PROGRAM = program()


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log. `run` is the time in the run's name; `state` is begun, rotated, finished or undone."""

    secret: str
    state: str
    at: dt.datetime
    run: str


@dataclass(frozen=True, slots=True)
class Rotation:
    """What is known of the secrets.

    Attributes:
        entries: the log, oldest first.
        env_changed: when the env file was changed last: no secret in it is younger.
        problems: why the chosen secret cannot be replaced where it stands.
        role: the role whose password the database's is.
        elsewhere: other files below the stack's folder that hold the chosen secret.
        persistent: how Redis keeps its data ("aof", "rdb", "none", or empty where that was not asked).
    """

    entries: tuple[Entry, ...]
    env_changed: dt.datetime
    problems: tuple[str, ...] = ()
    role: str = ""
    elsewhere: tuple[str, ...] = ()
    persistent: str = ""

    def newest(self, secret: str) -> Entry | None:
        """Return the last line about a secret."""
        return next((entry for entry in reversed(self.entries) if entry.secret == secret), None)

    def beginning(self, entry: Entry) -> Entry:
        """Return the line with which the run of this one began; the line itself where there is none."""
        mine = [one for one in self.entries if (one.secret, one.run, one.state) == (entry.secret, entry.run, "begun")]
        return mine[0] if mine else entry

    def last_change(self, secret: str) -> Entry | None:
        """Return the last rotation of a secret that stands: neither begun only, nor taken back."""
        undone = {entry.run for entry in self.entries if entry.secret == secret and entry.state == "undone"}
        stands = (
            entry for entry in reversed(self.entries) if (entry.secret, entry.state) == (secret, "rotated") and entry.run not in undone
        )  # fmt: skip
        return next(stands, None)


def places(parameters: Parameters, secret: str) -> SecretPlaces:
    """Given a secret's name, return where it stands."""
    found: SecretPlaces = getattr(parameters.rotation, secret.replace("-", "_"))
    return found


def settings(parameters: Parameters, secret: str, stamp: str, role: str = "") -> dict[str, Any]:
    """Return what the program on the server must know of this target, as plain JSON without a value."""
    where, stack, rotating = places(parameters, secret), parameters.stack, parameters.rotation
    found: dict[str, Any] = {
        "secret": secret,
        "stamp": stamp,
        "env_file": f"{stack.directory}/{stack.env_file}",
        "log": LOG,
        "variables": list(where.variables),
        "urls": list(where.urls),
        "form": "base64" if secret == SEALED else "hex",
        "containers": [stack.container(name) for name in where.services],
        "role": role,
        "database": {},
        "redis": {},
        "sealed": {},
    }
    if secret == DATABASE:
        database = parameters.database
        found["database"] = {"container": stack.container(database.service), "host": database.service, "name": database.name,
                             "user": database.user, "sslmode": rotating.database_sslmode}  # fmt: skip
    if secret == REDIS:
        found["redis"] = {"container": stack.container(rotating.redis_service)}
    if secret == SEALED:
        found["sealed"] = {
            "compose": list(compose_argv(parameters, options=("--progress", "quiet"))),
            "service": rotating.reencrypt_service,
            "container": f"{stack.project}-reencrypt",
            "old_variable": rotating.old_key_variable,
            "command": list(rotating.reencrypt_command),
            "check": list(rotating.reencrypt_check),
        }
    return found


def selected_secret(values: Mapping[str, Any]) -> str:
    """Given the notebook's parameters, return the secret. Raises ParametersError for what is no secret or no action."""
    secret, action = str(values.get("secret", SECRETS[0])), str(values.get("action", ACTIONS[0]))
    problems = []
    if secret not in SECRETS:
        problems.append(f"secret: {secret[:60]!r} is none of {', '.join(SECRETS)}")
    if action not in ACTIONS:
        problems.append(f"action: {action[:60]!r} is none of {', '.join(ACTIONS)}")
    if problems:
        raise ParametersError(
            "10-maintenance/rotate-secrets", problems, remedy="name one of them; one secret at a time"
        )
    return secret


def rotation(values: Mapping[str, Any]) -> Fact[Rotation]:
    """Return the question after the log and the places of the chosen secret. Raises ParametersError."""
    secret = selected_secret(values)

    def commands(parameters: Parameters) -> dict[str, Command]:
        told = json.dumps(settings(parameters, secret, ""))
        env_file = f"{parameters.stack.directory}/{parameters.stack.env_file}"
        return {
            "log": Command(("sh", "-c", SHOW_LOG, "show", LOG), sudo=True),
            "env": Command(("stat", "--dereference", "--format", "%Y", env_file), sudo=True),
            "places": Command(("python3", "-", "inspect", told), stdin=PROGRAM, sudo=True, timeout=60),
        }

    return Fact("rotation", commands, parse_rotation)


def parse_log(text: str) -> tuple[Entry, ...]:
    """Given the log, return its entries; a line that was torn by a crash is left out."""
    found = []
    for line in text.splitlines():
        try:
            row = json.loads(line)
            at = dt.datetime.fromisoformat(row["at"])
            found.append(Entry(str(row["secret"]), str(row["state"]), at, str(row["run"])))
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(found)


def parse_rotation(results: Mapping[str, Result], _parameters: Parameters) -> Rotation:
    """Read the log and what the program says. Raises ParseError."""
    try:
        told = json.loads(results["places"].stdout)
        return Rotation(
            parse_log(results["log"].stdout),
            dt.datetime.fromtimestamp(int(results["env"].stdout), dt.UTC),
            tuple(told["problems"]), str(told["role"]), tuple(told["elsewhere"]), str(told["persistent"]),
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise ParseError("the places of the secret", f"{error!r:.100}") from None


@dataclass(frozen=True, slots=True)
class Proof:
    """The newest copy of the database that was read to its end just now; `modified` is None where there is none."""

    wanted: bool
    path: str = ""
    modified: dt.datetime | None = None
    said: str = ""


def proof(values: Mapping[str, Any]) -> Fact[Proof]:
    """Return the question after a good copy of the database; it is only asked where a rotation needs one."""
    wanted = selected_secret(values) == SEALED

    def commands(parameters: Parameters) -> dict[str, Command]:
        names = _classes(parameters) if wanted else []
        read = backup.read_through_commands(parameters)
        listed = backup.copies_commands(parameters)["list"] if names else None
        return {"list": listed, **{name: read[name] for name in names}} if listed is not None else {}

    return Fact("proof", commands, parse_proof, optional=frozenset({"list"}))


def _classes(parameters: Parameters) -> list[str]:
    """Return the names of the classes of backups that hold the database, as probes name them."""
    names = (item.name for item in parameters.backup.classes if item.kind == "database" and item.directory)
    return ["".join(letter if letter.isalnum() or letter == "_" else "_" for letter in name) for name in names]


def parse_proof(results: Mapping[str, Result], parameters: Parameters) -> Proof:
    """Return the newest good copy."""
    if not results:
        return Proof(wanted=False)
    copies: dict[str, tuple[Copy, ...]] = backup.parse_copies(results, parameters)
    read: dict[str, tuple[ReadThrough, ...]] = backup.parse_read_through(results, parameters)
    names = [item.name for item in parameters.backup.classes if item.kind == "database"]
    good = {item.path for name in names for item in read[name] if item.read and item.good}
    found = [copy for name in names for copy in copies[name] if copy.path in good]
    if not found:
        said = "; ".join(item.fault or item.said for name in names for item in read[name] if item.fault or item.said)
        return Proof(wanted=True, said=said[:200] or "there is no copy")
    newest = max(found, key=lambda copy: copy.modified)
    return Proof(True, newest.path, newest.modified)


@dataclass(frozen=True, slots=True)
class Session:
    """What becomes of a login from before: `earlier` is accepted, refused, or empty where this run has none yet.

    `since` is this machine's time of that login (seconds since 1970); `skipped` says why nobody logged in.
    """

    earlier: str = ""
    since: float = 0.0
    skipped: str = ""


_earlier: dict[str, tuple[str, float]] = {}
"""The first login's token of this process, by target: it is never kept anywhere else."""


def session(values: Mapping[str, Any]) -> LocalFact[Session]:
    """Return the look at an earlier login; only a new JWT secret is meant to end one."""
    wanted = selected_secret(values) == JWT
    return LocalFact(
        "session",
        lambda parameters: look_at_session(parameters) if wanted else Session(skipped="only for the JWT secret"),
    )


def look_at_session(parameters: Parameters) -> Session:
    """Log in once in this process; from the second look on, ask whether that login still counts."""
    account = parameters.synthetic
    if account is None:
        return Session(skipped="the params file names no synthetic user")
    kept = _earlier.get(parameters.target)
    with Site(parameters.web, timeout_seconds=account.step_timeout_seconds, verified=True) as site:
        if kept is None:
            password = secrets.resolve(account.password, what="password of the synthetic user")
            body = json.dumps({"email": account.email, "password": password}).encode()
            answer, content = site.request(
                "POST", "/api/v1/auth/login", body=body, headers={"Content-Type": "application/json"}
            )
            if answer.status != HTTP_OK:
                raise ParseError("the login of the synthetic user", answer.error or f"status {answer.status}")
            token = str(json.loads(content)["access_token"])
            secrets.redactor.learn(token)
            _earlier[parameters.target] = (token, time.time())
            return Session()
        token, since = kept
        answer, _ = site.request("GET", "/api/v1/me", headers={"Authorization": f"Bearer {token}"})
        words = {HTTP_OK: "accepted", UNAUTHORIZED: "refused"}
        if answer.status not in words:
            raise ParseError("an earlier login", answer.error or f"status {answer.status}")
        return Session(words[answer.status], since)
