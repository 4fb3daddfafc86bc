"""The steps of a rotation: what each of the four secrets needs, and how each step is taken back. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from runbook.actions import stack
from runbook.changes.plan import Context, Step
from runbook.commands import Command
from runbook.facts import STATE_FOLDER
from runbook.facts import rotation as facts
from runbook.facts.rotation import DATABASE, JWT, REDIS, SEALED

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.facts.rotation import Rotation
    from runbook.parameters import Parameters

AGAIN_SECONDS, STOPPED_SECONDS, SEALED_SECONDS = 5.0, 2.0, 10.0
LAY = """
set -euo pipefail
folder=$1
install -d -m 700 "$folder"
printf '%s' "$2" > "$folder/settings.json"
printf '%s' "$3" > "$folder/rotation.py.part"
sync -f "$folder"
mv -T "$folder/rotation.py.part" "$folder/rotation.py"
python3 "$folder/rotation.py" note-begun
"""
# a program that was never laid down has changed nothing
UNDONE = 'if [ -e "$1" ]; then exec python3 "$1" undone; fi'
LIMIT_SECONDS, DOCKER_SECONDS = 300.0, 150.0


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


def begin(context: Context, secret: str, found: Rotation, program: Program) -> tuple[Step, ...]:
    told = json.dumps(facts.settings(context.parameters, secret, context.stamp, found.role))
    lay = stack.script(
        LAY,
        program.folder,
        told,
        facts.PROGRAM,
        why="lay down the program that changes the secret, and note that it begins",
    )
    back = stack.script(
        UNDONE,
        f"{program.folder}/rotation.py",
        why="remove both values from the folder, and note that it was taken back",
    )
    return (
        Step("begin", lay, affects=program.folder, done=program.probe("is-begun"), undo=(Step("note-undone", back),)),
        Step("make-secret", program("make", why="make the new value on the server, and keep the old one there"), affects=program.folder,
             no_undo="removed when the rotation is taken back or confirmed", done=program.probe("made")),
    )  # fmt: skip


def end(parameters: Parameters, secret: str, program: Program) -> tuple[Step, ...]:
    proofs = [
        Step(
            "prove-containers", program("containers-new", why="every container runs with the new value", changes=False)
        )
    ]
    if secret in {DATABASE, REDIS}:
        proofs.append(_proof(program, "new"))
    if secret == SEALED:
        proofs.append(rows(parameters, program, "new", "prove-rows"))
    note = Step("note", program("note-rotated", why="note on the server when it was rotated"), affects=facts.LOG,
                no_undo="taken back by the first step's undo", done=program.probe("noted-rotated"))  # fmt: skip
    return (*proofs, *stack.served(parameters), note)


def _docker(name: str) -> Step:
    """Return the wait until Docker answers: what is taken back after a reboot may come before it."""
    command = Command(("docker", "version", "--format", "{{.Server.Version}}"), why="wait until Docker answers")
    return Step(name, command, within_seconds=DOCKER_SECONDS)


def _proof(program: Program, which: str) -> Step:
    other = "old" if which == "new" else "new"
    command = program(
        f"prove-{which}", why=f"the {which} value is let in over the network, the {other} one is refused", changes=False
    )
    return Step(f"prove-{which}", command, within_seconds=60)


def rows(parameters: Parameters, program: Program, which: str, name: str) -> Step:
    seconds = parameters.rotation.reencrypt_timeout_seconds
    command = program(f"rows-{which}", why=f"every sealed row is under the {which} key", changes=False, seconds=seconds)
    return Step(name, command, output=True)


def _saved(context: Context, secret: str) -> Step:
    """Return the step that saves the logs of the containers that are about to be made anew."""
    return stack.save_logs(context.parameters, facts.places(context.parameters, secret).services, context.work)


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
        undo=(*before, back, *((_docker("wait-docker"), *after) if after else ())),
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
        _saved(context, secret),
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
    quiet = (_docker("wait-docker-stop"), stop_again)
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
        undo=(_docker("wait-docker"), *back, *stack.served(parameters, prefix="prove-back")),
        done=program.probe("quiet"),
    )
    reencrypt = Step(
        "reencrypt",
        program("reencrypt-new", why="bring every sealed row under the new key, in batches; rows that are already are left alone", seconds=seconds),
        affects=f"sealed columns in {parameters.database.name}",
        downtime_seconds=SEALED_SECONDS,
        undo=(*quiet, stack.healthy(parameters, [parameters.database.service], name="wait-database"), Step("reencrypt-back", program("reencrypt-old", why="bring every sealed row back under the old key", seconds=seconds)),
              rows(parameters, program, "old", "prove-old-rows")),
        done=program.probe("rows-new"),
        output=True,
    )  # fmt: skip
    return (
        stop,
        reencrypt,
        _write_env(context, SEALED, program, before=quiet),
        _saved(context, SEALED),
        *_made_anew(context, SEALED, program, "new", name="recreate", downtime=AGAIN_SECONDS, last=True),
    )


OF: dict[str, Callable[[Context, Program], tuple[Step, ...]]] = {
    DATABASE: _database,
    REDIS: _redis,
    JWT: _jwt,
    SEALED: _sealed,
}
"""What comes between the beginning and the end, by secret."""
