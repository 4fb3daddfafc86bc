"""Rotate one of the four secrets, and confirm it. Pure.

A new value in the env file alone breaks the service: the database's role and Redis must be told as well, containers read
the file only when they are made anew, and sealed columns must be brought under a new key. Values are made on the server
and never leave it; each step calls the program that the first step lays down (facts/rotation_server.py) with one word.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

from runbook.actions import stack
from runbook.actions.plan import STATE_FOLDER, Context, Plan, Step
from runbook.commands import Command
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Missing
from runbook.facts import rotation as facts
from runbook.facts.rotation import DATABASE, JWT, REDIS, SEALED

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.facts.rotation import Entry, Proof, Rotation
    from runbook.parameters import Parameters

NAMES = {
    DATABASE: "the database password",
    REDIS: "the Redis password",
    JWT: "the JWT secret",
    SEALED: "the encryption master key",
}
AGAIN_SECONDS, STOPPED_SECONDS, SEALED_SECONDS = 5.0, 2.0, 10.0
LAY = """
set -euo pipefail
folder=$1
install -d -m 700 "$folder"
printf '%s' "$2" > "$folder/settings.json"
printf '%s' "$3" > "$folder/rotation.py"
sync -f "$folder"
python3 "$folder/rotation.py" note-begun
"""
LIMIT_SECONDS = 180.0


def rotate(context: Context) -> Plan:
    """Given `secret` and `action`, return the plan. Raises ParametersError, PreflightError."""
    secret = facts.chosen(context.values)
    found = context.facts.get("rotation")
    if isinstance(found, Missing):
        raise PreflightError(
            f"the secrets could not be looked at: {found}", remedy="mend what is said; nothing was changed"
        )
    if str(context.values.get("action", "rotate")) == "finish":
        return _finish(context, secret, found)
    return _rotate(context, secret, found)


class Program:
    """The program on the server for one rotation: commands by word."""

    def __init__(self, run: str) -> None:
        self.folder = f"{STATE_FOLDER}/{run}/rotation"

    def __call__(self, word: str, *, why: str, changes: bool = True, seconds: float = LIMIT_SECONDS) -> Command:
        """Return the command for a word."""
        argv = ("python3", f"{self.folder}/rotation.py", word)
        return Command(argv, sudo=True, timeout=seconds, changes=changes, why=why)

    def probe(self, word: str, *, seconds: float = 60) -> Command:
        """Return a command that only reads."""
        return self(word, why="", changes=False, seconds=seconds)


def _rotate(context: Context, secret: str, found: Rotation) -> Plan:
    parameters = context.parameters
    _refuse(context, secret, found)
    program = Program(context.stamp)
    kinds: dict[str, Callable[[Context, Program], tuple[Step, ...]]] = {
        DATABASE: _database, REDIS: _redis, JWT: _jwt, SEALED: _sealed,
    }  # fmt: skip
    steps = (
        *_begin(context, secret, found, program),
        *kinds[secret](context, program),
        *_end(parameters, secret, program),
    )
    last = found.newest(secret)
    return Plan(
        f"Give {NAMES[secret]} a new value",
        parameters.target,
        context.stamp,
        steps=steps,
        basis={"secret": secret, "role": found.role, "problems": list(found.problems), "persistent": found.persistent,
               "last": [last.state, last.run] if last else []},
        pinned={"secret": secret, "action": "rotate"},
        losses=_losses(secret, found),
        notes=_notes(context, secret, found),
        automatic_undo=True,
        settle_seconds=90,
    )  # fmt: skip


def _refuse(context: Context, secret: str, found: Rotation) -> None:
    """Raise what speaks against beginning."""
    if found.problems:
        env_file = f"{context.parameters.stack.directory}/{context.parameters.stack.env_file}"
        raise PreflightError(
            f"{NAMES[secret]} cannot be replaced in {env_file}: {'; '.join(found.problems)}",
            remedy=f"mend the file, or say in the params file where it stands (rotation.{secret.replace('-', '_')}); nothing was changed",
        )
    last = found.newest(secret)
    if last is not None and last.state in {"begun", "rotated"} and last.run != context.stamp:
        raise PreflightError(_unfinished(secret, last), remedy=_how_on(secret, last, context.parameters.target))
    if secret == SEALED:
        _refuse_sealed(context)


def _unfinished(secret: str, last: Entry) -> str:
    state = "has not come to its end" if last.state == "begun" else "has not been confirmed yet"
    return f"a rotation of {NAMES[secret]} {state} (run {last.run}, {last.at:%Y-%m-%d %H:%M} UTC): a second one would lose the way back"


def _how_on(secret: str, last: Entry, target: str) -> str:
    confirm = (
        f"confirm it (-p secret {secret} -p action finish), or "
        if last.state == "rotated"
        else "go on with it (./runbook resume) or "
    )
    return f"{confirm}take it back (./runbook undo) with the record that begins with {last.run}--{target}"


def _refuse_sealed(context: Context) -> None:
    rotating = context.parameters.rotation
    lacking = [name for name in ("reencrypt_command", "reencrypt_check") if not getattr(rotating, name)]
    if lacking:
        raise ParametersError(
            "secret encryption-key",
            [f"rotation.{name} is not set: without it all data sealed so far would be unreadable under a new key" for name in lacking],
            remedy="name the application's own commands in the params file; where it has none, the key cannot be rotated",
        )  # fmt: skip
    _need_copy(
        context,
        context.facts.at - dt.timedelta(hours=rotating.backup_max_age_hours),
        f"younger than {rotating.backup_max_age_hours:g} hours",
    )


def _need_copy(context: Context, since: dt.datetime, words: str) -> None:
    """Raise PreflightError unless a copy of the database from after `since` was read to its end just now."""
    proof: Proof | Missing = context.facts.get("proof")
    if isinstance(proof, Missing):
        raise PreflightError(f"the backups could not be looked at: {proof}", remedy="open 07-backup/coverage")
    if proof.modified is None or proof.modified < since:
        seen = proof.said if proof.modified is None else f"the newest is of {proof.modified:%Y-%m-%d %H:%M} UTC"
        raise PreflightError(
            f"there is no copy of the database {words} that can be read to its end: {seen}",
            remedy="make one first: 06-database/backup; nothing was changed",
        )


def _losses(secret: str, found: Rotation) -> tuple[str, ...]:
    if secret == JWT:
        return ("every login: all users are logged out and must log in again",)
    if secret == REDIS and found.persistent == "none":
        return ("what is in Redis: it keeps nothing on disk, and its container is made anew (queued jobs, counters)",)
    return ()


def _notes(context: Context, secret: str, found: Rotation) -> tuple[str, ...]:
    notes = [
        'the old value is kept on the server (root only) until action="finish"; until then ./runbook undo brings it back'
    ]
    if secret == SEALED:
        notes.append(
            "copies of the database made before hold data under the old key: keep the old key as long as you keep them"
        )
    notes += [f"{place} holds the value too and is not changed" for place in found.elsewhere]
    compose = context.facts.get("compose")
    if not isinstance(compose, Missing) and compose.valid:
        names = stack.containers(context.parameters, facts.places(context.parameters, secret).services)
        drifted = [name for name in names if compose.would.get(name) not in {None, "Running"}]
        if drifted:
            notes.append(
                f"{', '.join(drifted)}: the files changed since the container was made; making it anew takes that up too"
            )
    return tuple(notes)


def _begin(context: Context, secret: str, found: Rotation, program: Program) -> tuple[Step, ...]:
    told = json.dumps(facts.settings(context.parameters, secret, context.stamp, found.role))
    lay = stack.script(
        LAY,
        program.folder,
        told,
        facts.PROGRAM,
        why="lay down the program that changes the secret, and note that it begins",
    )
    return (
        Step("begin", lay, affects=program.folder, done=program.probe("is-begun"),
             undo=(Step("note-undone", program("undone", why="remove both values from the folder, and note that it was taken back")),)),
        Step("make-secret", program("make", why="make the new value on the server, and keep the old one there"), affects=program.folder,
             no_undo="removed when the rotation is taken back or confirmed", done=program.probe("made")),
    )  # fmt: skip


def _end(parameters: Parameters, secret: str, program: Program) -> tuple[Step, ...]:
    proofs = [
        Step(
            "prove-containers", program("containers-new", why="every container runs with the new value", changes=False)
        )
    ]
    if secret in {DATABASE, REDIS}:
        proofs.append(_proof(program, "new"))
    if secret == SEALED:
        proofs.append(_rows(parameters, program, "new", "prove-rows"))
    note = Step("note", program("note-rotated", why="note on the server when it was rotated"), affects=facts.LOG,
                no_undo="taken back by the first step's undo", done=program.probe("noted-rotated"))  # fmt: skip
    return (*proofs, *stack.served(parameters), note)


def _proof(program: Program, which: str) -> Step:
    other = "old" if which == "new" else "new"
    command = program(
        f"prove-{which}", why=f"the {which} value is let in over the network, the {other} one is refused", changes=False
    )
    return Step(f"prove-{which}", command, within_seconds=60)


def _rows(parameters: Parameters, program: Program, which: str, name: str) -> Step:
    seconds = parameters.rotation.reencrypt_timeout_seconds
    command = program(f"rows-{which}", why=f"every sealed row is under the {which} key", changes=False, seconds=seconds)
    return Step(name, command, output=True)


def _made_anew(
    context: Context, secret: str, program: Program, which: str, *, name: str, downtime: float, last: bool
) -> tuple[Step, ...]:
    """Return the step that makes the containers anew from the env file, and the wait until they are healthy."""
    parameters = context.parameters
    services = facts.places(parameters, secret).services
    words = ("up", "--detach", "--no-deps", "--pull", "never", *services)
    step = Step(
        name,
        stack.compose(parameters, *words, why=f"make {', '.join(services)} anew: only then they read the env file"),
        affects=", ".join(services),
        downtime_seconds=downtime,
        no_undo="made anew once more when the env file is put back",
        done=program.probe(f"containers-{which}"),
        evidence=stack.evidence(parameters, services),
    )
    wait = "wait-healthy" if last else f"wait-{name}"
    return step, stack.healthy(parameters, services, name=wait)


def _write_env(context: Context, secret: str, program: Program, *after: Step, before: tuple[Step, ...] = ()) -> Step:
    """Return the step that writes the env file; its undo puts the old lines back, then does what `after` says."""
    env_file = f"{context.parameters.stack.directory}/{context.parameters.stack.env_file}"
    where = facts.places(context.parameters, secret)
    why = f"write {', '.join((*where.variables, *where.urls))} in {env_file}, no other line"
    back = Step(
        "restore-env",
        program("restore-env", why=f"put the old lines back into {env_file}"),
        done=program.probe("env-old"),
    )
    return Step(
        "write-env",
        program("write-env", why=why),
        affects=env_file,
        undo=(*before, back, *after),
        done=program.probe("env-new"),
    )


def _with_containers(context: Context, secret: str, program: Program, *told: Step, proven: bool) -> tuple[Step, ...]:
    """Return the steps of a secret that a service is told, or that only containers read."""
    parameters = context.parameters
    back = _made_anew(context, secret, program, "old", name="recreate-back", downtime=AGAIN_SECONDS, last=False)
    after = (*back, *((_proof(program, "old"),) if proven else ()), *stack.served(parameters, prefix="prove-back"))
    return (
        _write_env(context, secret, program, *after),
        *told,
        *_made_anew(context, secret, program, "new", name="recreate", downtime=AGAIN_SECONDS, last=True),
    )


def _database(context: Context, program: Program) -> tuple[Step, ...]:
    alter = Step(
        "alter-role",
        program("alter-new", why="give the role the new password, as a verifier made here; open sessions go on"),
        affects=context.parameters.database.service,
        undo=(
            Step(
                "alter-back",
                program("alter-old", why="give the role its old password again"),
                done=program.probe("accepts-old"),
            ),
        ),
        done=program.probe("accepts-new"),
    )
    return _with_containers(context, DATABASE, program, alter, proven=True)


def _redis(context: Context, program: Program) -> tuple[Step, ...]:
    tell = Step(
        "set-redis",
        program("redis-new", why="make Redis ask for the new password; open connections go on"),
        affects=context.parameters.rotation.redis_service,
        undo=(
            Step(
                "set-back",
                program("redis-old", why="make Redis ask for the old password again"),
                done=program.probe("accepts-old"),
            ),
        ),
        done=program.probe("accepts-new"),
    )
    return _with_containers(context, REDIS, program, tell, proven=True)


def _jwt(context: Context, program: Program) -> tuple[Step, ...]:
    return _with_containers(context, JWT, program, proven=False)


def _sealed(context: Context, program: Program) -> tuple[Step, ...]:
    """Nobody may write under the old key while rows are brought under the new one: the application is stopped meanwhile."""
    parameters = context.parameters
    seconds = parameters.rotation.reencrypt_timeout_seconds
    services = stack.ordered(parameters, facts.places(parameters, SEALED).services, backwards=True)
    stop_again = Step("stop-again", stack.compose(parameters, "stop", *services, why=f"stop {', '.join(services)}"))
    back = _made_anew(context, SEALED, program, "old", name="recreate-back", downtime=AGAIN_SECONDS, last=False)
    stop = Step(
        "stop",
        stack.compose(
            parameters,
            "stop",
            *services,
            why=f"stop {', '.join(services)}, so that nobody writes under the old key meanwhile",
        ),
        affects=", ".join(services),
        downtime_seconds=STOPPED_SECONDS,
        undo=(*back, *stack.served(parameters, prefix="prove-back")),
        done=program.probe("quiet"),
    )
    reencrypt = Step(
        "reencrypt",
        program("reencrypt-new", why="bring every sealed row under the new key, in batches; rows that are already are left alone", seconds=seconds),
        affects=f"sealed columns in {parameters.database.name}",
        downtime_seconds=SEALED_SECONDS,
        undo=(stop_again, Step("reencrypt-back", program("reencrypt-old", why="bring every sealed row back under the old key", seconds=seconds)),
              _rows(parameters, program, "old", "prove-old-rows")),
        done=program.probe("rows-new"),
        output=True,
    )  # fmt: skip
    return (
        stop,
        reencrypt,
        _write_env(context, SEALED, program, before=(stop_again,)),
        *_made_anew(context, SEALED, program, "new", name="recreate", downtime=AGAIN_SECONDS, last=True),
    )


def _finish(context: Context, secret: str, found: Rotation) -> Plan:
    """Confirm the open rotation: prove once more that the new value is in use, then remove what is kept of the old one."""
    target = context.parameters.target
    title = f"Confirm the new value of {NAMES[secret]}"
    last = found.newest(secret)
    if last is None or last.state in {"finished", "undone"}:
        return Plan(
            title,
            target,
            context.stamp,
            nothing=f"no rotation of {NAMES[secret]} waits to be confirmed",
            basis={"secret": secret},
        )
    if last.state == "begun":
        raise PreflightError(_unfinished(secret, last), remedy=_how_on(secret, last, target))
    losses = ["the old value: the rotation cannot be taken back any more"]
    program = Program(last.run)
    proofs = [
        Step(
            "prove-containers", program("containers-new", why="every container runs with the new value", changes=False)
        )
    ]
    if secret == SEALED:
        _need_copy(context, last.at, "made since the rotation")
        losses.append(
            "the old key: copies of the database made before the rotation cannot be read without it; keep it elsewhere if you keep them"
        )
        proofs.append(_rows(context.parameters, program, "new", "prove-rows"))
    gone = "the old value is gone: to change the secret again, rotate again"
    steps = (
        *proofs,
        *stack.served(context.parameters),
        Step(
            "forget",
            program("forget", why="remove the old value and the copy of the env file"),
            affects=program.folder,
            no_undo=gone,
        ),
        Step(
            "note",
            program("note-finished", why="note on the server that it was confirmed"),
            affects=facts.LOG,
            no_undo=gone,
        ),
    )
    return Plan(title, target, context.stamp, steps=steps, losses=tuple(losses), basis={"secret": secret, "rotation": last.run},
                pinned={"secret": secret, "action": "finish"})  # fmt: skip
