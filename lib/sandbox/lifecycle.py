"""The life of a sandbox: up, reset, down."""

import re

from sandbox import bucket, creation, engine, golden, prune, state
from sandbox import docker as docker_
from sandbox.docker import inspect
from sandbox.errors import NotUpError, SandboxError
from sandbox.inside import execute
from sandbox.kind import Kind
from sandbox.progress import Progress
from sandbox.state import About, Sandbox
from sandbox.status import Status, exists, status

__all__ = ["Kind", "Status", "down", "down_all", "execute", "exists", "reset", "status", "up"]

_DISK = re.compile(r"[1-9][0-9]{0,3}[GT]")


def up(
    name: str = state.DEFAULT_NAME,
    *,
    rows: int | None = None,
    disk: str | None = None,
    kind: Kind | None = None,
    like: str | None = None,
    rebuild: bool = False,
    progress: Progress | None = None,
) -> Status:
    """Have the sandbox running and ready; one that is already is left alone, one that stopped is started.

    Args:
        name: of the sandbox.
        rows: rows of the big table; the golden state's number where it is not given.
        disk: size of a disk of its own for docker's data and the backups, such as `2G`; unlimited where not given.
        kind: in production, or bare: a second host to recover a lost one on; in production where it is not given.
        like: a sandbox whose golden state is used, and so its certificate authority and passwords; the tree's otherwise.
        rebuild: make it anew if the tree has changed since it was made.
        progress: where to say what is being done.
    """
    sandbox, progress = Sandbox.named(name), progress or Progress()
    check_disk(disk)
    check_rows(rows, kind)
    engine.ensure(progress)
    with state.locked(sandbox.container):
        found, about = inspect("container", sandbox.container), state.read_about(sandbox)
        if found is not None and about is not None and about.is_whole:
            outdated = about.golden != golden.of_this_tree().hash
            if not (outdated and rebuild):
                if outdated:
                    progress.say(f"{name} was made from an older tree; `up --rebuild` makes it anew")
                if rows not in {None, about.rows} or disk not in {None, about.disk} or kind not in {None, about.kind}:
                    raise SandboxError(
                        f"{name} is up {about.described}; take it down first (sandbox down {name}) to have it otherwise."
                    )
                creation.start(sandbox, found, progress)
                return status(name)
        if about is not None:  # made anew, or never finished: as it was asked for
            kind = kind or about.kind
            rows, disk = rows or about.rows, disk or about.disk
        kind = kind or Kind.PRODUCTION
        chosen = creation.golden_like(like, progress, kind) if like else creation.golden_of_this_tree(progress, kind)
        rows = 0 if kind.is_bare else rows or golden.ROWS
        creation.create(sandbox, chosen, About(name, chosen.hash, rows, disk, created="", kind=kind), progress)
    return status(name)


def reset(name: str = state.DEFAULT_NAME, *, rebuild: bool = False, progress: Progress | None = None) -> Status:
    """Bring the sandbox back to the state that it was created with: same keys, same ports, same data.

    Args:
        name: of the sandbox.
        rebuild: take the tree as it is now where it has changed.
        progress: where to say what is being done.

    Raises:
        NotUpError: there is no such sandbox.
    """
    sandbox, progress = Sandbox.named(name), progress or Progress()
    engine.ensure(progress)
    with state.locked(sandbox.container):
        about = state.read_about(sandbox)
        if about is None:
            raise NotUpError(f"There is no sandbox {name} to reset. Start one: sandbox up {name}")
        chosen = creation.golden_of(about)
        if rebuild or chosen is None or not chosen.has(about.kind):
            chosen = creation.golden_of_this_tree(progress, about.kind)
        creation.create(sandbox, chosen, about, progress)
    return status(name)


def down(name: str = state.DEFAULT_NAME, *, progress: Progress | None = None) -> bool:
    """Remove the sandbox with its volumes and its state folder; return whether there was anything."""
    sandbox, progress = Sandbox.named(name), progress or Progress(quiet=True)
    if not sandbox.folder.exists() and not engine.answers():
        return False
    engine.ensure(progress)
    with state.locked(sandbox.container):
        was_there = sandbox.folder.exists() or docker_.exists("container", sandbox.container)
        creation.remove_parts(sandbox)
        docker_.remove("container", [sandbox.client])
        state.forget(sandbox)
    return was_there


def down_all(*, progress: Progress | None = None) -> None:
    """Remove every sandbox of this state folder, and all images, volumes and half-built parts on the engine.

    Raises:
        SandboxError: a sandbox of another state folder still stands on these images.
    """
    progress = progress or Progress()
    engine.ensure(progress)
    for name in state.known():
        progress.say(f"removing {name}")
        down(name)
    bucket.down(progress=progress)
    foreign = docker_.names("container", f"{docker_.LABEL}=sandbox")
    if foreign:
        raise SandboxError(
            f"Images are kept: other state folders have sandboxes on this engine: {', '.join(foreign)}.\n"
            "Take those down first, each with its own RUNBOOK_SANDBOX_HOME."
        )
    prune.everything()
    state.forget_locks()


def check_disk(size: str | None) -> None:
    """Refuse a size that truncate or the stack cannot live with.

    Raises:
        SandboxError: it is not a whole number of gigabytes or terabytes.
    """
    if size is not None and not _DISK.fullmatch(size):
        raise SandboxError(f"{size!r} is no size of a disk: give whole gigabytes or terabytes, such as `2G`.")


def check_rows(rows: int | None, kind: Kind | None) -> None:
    """Refuse rows for a server that has no database.

    Raises:
        SandboxError: rows are asked for, and a bare server.
    """
    if rows is not None and kind is not None and kind.is_bare:
        raise SandboxError(f"--rows {rows}: a bare server has no database; leave out --rows or --bare.")
