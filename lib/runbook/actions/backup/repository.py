"""The encrypted repository of backups on the server, as commands and steps. Pure.

restic keeps it: encrypted, deduplicated, checked and pruned by its own means. Every script begins with shell/repository.sh.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from runbook.actions import shell, stack
from runbook.changes.plan import Step
from runbook.commands import Command
from runbook.facts.repository import MANIFEST, PASSWORD_FILE, catalogue_path
from runbook.offhost.place import shown

if TYPE_CHECKING:
    from runbook.changes.plan import Context
    from runbook.parameters import Parameters

LONG_SECONDS = 6 * 3600.0
CHECK_SECONDS = 12 * 3600.0


def server_python(name: str) -> str:
    """Given the name of a module here that runs on the server, return it as text that runs its `main`."""
    return f"{Path(__file__).with_name(f'{name}.py').read_text(encoding='utf-8')}\nmain()\n"


def manifests(parameters: Parameters) -> str:
    """The folder of the runs' manifests on the server."""
    return f"{parameters.backup.directory}/manifests"


def command(context: Context, group: str, name: str, *words: str, why: str, seconds: float = LONG_SECONDS) -> Command:
    """Return the command that runs a script with the repository; `group` may read the repository's files."""
    settings = context.parameters.backup
    first = (settings.repository, PASSWORD_FILE, group, context.parameters.target, context.stamp, context.work)
    return stack.script(
        f"{shell.text('repository.sh')}\n{shell.text(f'{name}.sh')}", *first, *words, why=why, seconds=seconds
    )


def marked(context: Context, name: str) -> Command:
    """Return the probe that says whether this run has kept a file of that name: what it stands for is done."""
    return Command(("test", "-s", f"{context.work}/{name}"), sudo=True, why=f"{name} is there")


def set_password(context: Context) -> Step:
    """Return the step that gives the server the password of the repository. It travels over standard input only."""
    settings = context.parameters.backup
    return Step(
        "set-password",
        stack.script(shell.text("repository_password.sh"), PASSWORD_FILE, settings.repository, why=f"lay down the repository's password as {PASSWORD_FILE}, readable by root only"),
        affects=PASSWORD_FILE,
        no_undo="the password stays: it opens the copies",
        stdin_secret=settings.repository_password or "",
    )  # fmt: skip


def prepare(context: Context, group: str) -> Step:
    """Return the step that makes the repository where it is missing, and takes away what a killed run has left locked."""
    prune = command(context, group, "prune", why="give back the room of what was taken out")
    return Step(
        "prepare-repository",
        command(context, group, "repository_prepare", why="make the encrypted repository where it is missing, and open it", seconds=300),
        affects=context.parameters.backup.repository,
        undo=(Step("prune", prune, no_undo="the run is taken back"), catalogue(context, group)),
    )  # fmt: skip


def forget(context: Context, group: str, kind: str, *files: str) -> Step:
    """Return the step that takes this run's copies of a class out again."""
    return Step(
        f"forget-{kind}",
        command(
            context, group, "forget_run", kind, *files, why=f"take this run's copy of {kind} out of the repository"
        ),
        affects=context.parameters.backup.repository,
        no_undo="run the full backup again",
    )


def snapshot(context: Context, group: str, kind: str, *paths: str, what: str = "") -> Step:
    """Return the step that puts files and folders (`what`, in words) into the repository."""
    return Step(
        f"copy-{kind}",
        command(context, group, "snapshot", kind, *paths, why=f"put {what or ', '.join(paths)} into the repository"),
        affects=context.parameters.backup.repository,
        undo=(forget(context, group, kind),),
        done=marked(context, f"snapshot-{kind}.json"),
        output=True,
    )


def catalogue(context: Context, group: str) -> Step:
    """Return the step that writes beside the repository what it holds."""
    parameters = context.parameters
    return Step(
        "catalogue",
        command(
            context, group, "catalogue", server_python("server_manifest"), manifests(parameters), catalogue_path(parameters),
            why="write the catalogue of all copies beside the repository",
        ),
        affects=catalogue_path(parameters),
        no_undo="it says what the repository holds, and is written anew each time",
    )  # fmt: skip


def check(context: Context, group: str, *pairs: str) -> Step:
    """Return the step that proves the repository whole; `pairs` are class, path, class, path: read back and compared."""
    subset = context.parameters.backup.check_subset
    return Step(
        "check-repository",
        command(
            context, group, "repository_check", subset, *pairs, seconds=CHECK_SECONDS,
            why=f"check the repository, read {subset} of it, and compare every file of {', '.join(dict.fromkeys(pairs[::2])) or 'no class'} with what is read back",
        ),
        no_undo="it only reads",
        done=marked(context, "checked.json"),
        output=True,
    )  # fmt: skip


def manifest(context: Context, group: str, dump: str) -> Step:
    """Return the step that ends a run: its manifest, also in the repository."""
    folder = manifests(context.parameters)
    files = [f"{folder}/{context.stamp}{end}" for end in (".json", ".objects.jsonl")]
    containers = stack.containers(context.parameters, [service.name for service in context.parameters.stack.services])
    return Step(
        "manifest",
        command(
            context, group, "manifest", server_python("server_manifest"), folder, dump, *containers,
            why="write the manifest of this run (versions, images, rows, objects) and put it into the repository",
        ),
        affects=files[0],
        undo=(forget(context, group, MANIFEST, *files),),
        done=marked(context, "snapshot-manifest.json"),
    )  # fmt: skip


def carry(context: Context, *, read_back: bool = True) -> Step:
    """Return the step of the operator's side that copies every new file of the repository to the place off the server."""
    parameters = context.parameters
    settings = parameters.backup
    place = shown(str(settings.off_host))
    words = ("rsync", "--archive", "--ignore-existing", "--exclude=/locks/", f"{parameters.connection.host}:{settings.repository}/", f"{place}/")  # fmt: skip
    local = {
        "call": "mirror",
        "repository": settings.repository,
        "catalogue": catalogue_path(parameters),
        "place": settings.off_host,
        "options": dict(settings.off_host_options),
        "target": parameters.target,
        "read_back": read_back,
    }
    return Step(
        "carry-off-host",
        Command(words, changes=True, why="copy every new file to the place off the server, checked on both ends"),
        affects=place,
        no_undo="the copies off the server stay: they are encrypted, and retention removes what is too old",
        output=True,
        local=local,
    )
