"""Rotate one of the four secrets, and confirm it. Pure.

A new value in the env file alone breaks the service: the database's role and Redis must be told as well, containers read
the file only when they are made anew, and sealed columns must be brought under a new key. Values are made on the server
and never leave it; each step calls the program that the first step lays down (facts/rotation_server.py) with one word.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from runbook.actions import stack
from runbook.actions.rotation import steps as parts
from runbook.changes.plan import Context, Plan, Step
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Missing
from runbook.facts import rotation as facts
from runbook.facts.rotation import DATABASE, JWT, REDIS, SEALED

if TYPE_CHECKING:
    from runbook.facts.rotation import Entry, Proof, Rotation

NAMES = {
    DATABASE: "the database password",
    REDIS: "the Redis password",
    JWT: "the JWT secret",
    SEALED: "the encryption master key",
}


def rotate(context: Context) -> Plan:
    """Given `secret` and `action`, return the plan. Raises ParametersError, PreflightError."""
    secret = facts.selected_secret(context.values)
    found = context.facts.get("rotation")
    if isinstance(found, Missing):
        raise PreflightError(
            f"the secrets could not be looked at: {found}", remedy="mend what is said; nothing was changed"
        )
    if str(context.values.get("action", "rotate")) == "finish":
        return _finish(context, secret, found)
    return _rotate(context, secret, found)


def _rotate(context: Context, secret: str, found: Rotation) -> Plan:
    parameters = context.parameters
    _refuse(context, secret, found)
    program = parts.Program(context.stamp)
    steps = (
        *parts.begin(context, secret, found, program),
        *parts.OF[secret](context, program),
        *parts.end(parameters, secret, program),
    )
    last, title = found.newest(secret), f"Give {NAMES[secret]} a new value"
    if last is not None and (last.run, last.state) == (context.stamp, "finished"):
        return Plan(title, parameters.target, context.stamp, nothing="this rotation was confirmed already")
    return Plan(
        title,
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
    program = parts.Program(last.run)
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
        proofs.append(parts.rows(context.parameters, program, "new", "prove-rows"))
    gone = "the old value is gone: to change the secret again, rotate again"
    steps = (
        *proofs,
        *stack.served(context.parameters),
        Step(
            "forget",
            program("confirm", why="remove the old value and the copy of the env file"),
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
