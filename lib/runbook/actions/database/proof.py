"""Restore a dump into a database of its own and prove it there: what a restore and the proof of a backup have in common. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.actions import shell, stack
from runbook.changes.plan import Step
from runbook.commands import Command

if TYPE_CHECKING:
    from runbook.parameters import Parameters

RESTORE_SECONDS = 12 * 3600.0
IS_PROVEN = 'grep -q \'"proven": *{\' "$1" && ! docker exec "$2" psql -qAtX -U "$3" -d postgres -c "select datname from pg_database" | grep -qx "$4"'


def restore_into(parameters: Parameters, new: str, path: str, sha256: str, packed: str, *, jobs: int = 1) -> Command:
    """Return the command that restores a dump into a new database. `packed` is its format, custom or directory.

    `sha256` may be "beside": then it is the one in the file beside the dump.
    """
    settings = parameters.database
    return stack.script(
        shell.text("restore.sh"), parameters.stack.container(settings.service), settings.user, settings.name, new, path, sha256, packed, str(jobs),
        why=f"restore {path.rpartition('/')[2]} into the new database {new}", seconds=RESTORE_SECONDS,
    )  # fmt: skip


def prove(parameters: Parameters, new: str, sha256: str, manifest: str) -> Command:
    """Return the command that compares a restored database with a manifest ("" for none) and marks it as proven.

    `sha256` may be "beside", as above.
    """
    settings = parameters.database
    proof = "every table's rows and checksum equal the manifest" if manifest else "every expected table is there"
    return stack.script(
        shell.text("prove.sh"), parameters.stack.container(settings.service), settings.user, new, sha256, shell.text("counts.sql"), manifest, *settings.expected_tables,
        why=f"prove {new}, table by table: {proof}", seconds=RESTORE_SECONDS,
    )  # fmt: skip


def drop(parameters: Parameters, name: str) -> Command:
    """Return the command that drops a database that this program made."""
    settings = parameters.database
    container = parameters.stack.container(settings.service)
    return stack.script(
        shell.text("drop.sh"), container, settings.user, name, why=f"drop the database {name}", seconds=600
    )


def proof_steps(
    parameters: Parameters, path: str, stamp: str, *, packed: str = "custom", jobs: int = 1
) -> tuple[Step, ...]:
    """Return the steps that restore a dump (with a manifest) into a scratch database, compare every table, note it, and drop it."""
    settings = parameters.database
    container = parameters.stack.container(settings.service)
    scratch = f"{settings.name}_scratch_{stamp.lower()}"
    manifest = f"{path}.manifest.json"
    known = Command(("bash", "-c", IS_PROVEN, "proven", manifest, container, settings.user, scratch), sudo=True)
    remove = Step("remove-scratch", drop(parameters, scratch))
    note = stack.script(
        shell.text("proven.sh"), container, settings.user, manifest, why="note in the manifest that it is proven"
    )
    return (
        Step("restore-scratch", restore_into(parameters, scratch, path, "beside", packed, jobs=jobs), affects=scratch, undo=(remove,), done=known),
        Step("prove-scratch", prove(parameters, scratch, "beside", manifest), affects=scratch, no_undo="it only marks the scratch database", done=known, output=True),
        Step("note-proof", note, affects=manifest, no_undo="it goes with the backup", done=known),
        Step("drop-scratch", drop(parameters, scratch), affects=scratch, no_undo="the scratch database is not needed any more", done=known),
    )  # fmt: skip
