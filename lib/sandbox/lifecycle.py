"""The life of a sandbox: up, reset, down, what it is like, and commands inside it by way of the engine."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sandbox import docker as docker_
from sandbox import engine, golden, host, identity, images, prune, state
from sandbox import ports as ports_
from sandbox.docker import Completed, docker, inspect
from sandbox.errors import EngineError, NotReadyError, NotUpError, SandboxError
from sandbox.progress import Progress
from sandbox.state import About, Sandbox

READY_WITHIN_S = 90


@dataclass(frozen=True, slots=True)
class Status:
    """What a sandbox is like, seen from the outer engine."""

    name: str
    state: str
    """`running`, `exited` and so on as docker says, or `absent`."""
    ports: dict[str, int]
    golden: str
    is_current: bool
    """Whether it was made from the tree as it is now."""
    rows: int
    disk: str | None
    created: str
    age_s: float
    size_bytes: int
    """Size of what this sandbox alone holds: its file system layer and its engine's data."""
    folder: str


def exists(name: str = state.DEFAULT_NAME) -> bool:
    """Whether there is a sandbox of that name, running or not."""
    sandbox = Sandbox.named(name)
    return inspect("container", sandbox.container) is not None and state.read_about(sandbox) is not None


def up(
    name: str = state.DEFAULT_NAME,
    *,
    rows: int | None = None,
    disk: str | None = None,
    rebuild: bool = False,
    progress: Progress | None = None,
) -> Status:
    """Have the sandbox running and ready; one that is already is left alone, one that stopped is started.

    Args:
        name: of the sandbox.
        rows: rows of the big table; the golden state's number where it is not given.
        disk: size of a disk of its own for docker's data and the backups, such as `2G`; unlimited where not given.
        rebuild: make it anew if the tree has changed since it was made.
        progress: where to say what is being done.
    """
    sandbox, progress = Sandbox.named(name), progress or Progress()
    engine.ensure(progress)
    with state.locked(sandbox.container):
        found, about = inspect("container", sandbox.container), state.read_about(sandbox)
        if found is not None and about is not None:
            outdated = about.golden != golden.of_this_tree().hash
            if not (outdated and rebuild):
                if outdated:
                    progress.say(f"{name} was made from an older tree; `up --rebuild` makes it anew")
                if rows not in {None, about.rows} or disk not in {None, about.disk}:
                    raise SandboxError(
                        f"{name} is up with {about.rows} rows and disk {about.disk or 'unlimited'}; "
                        f"take it down first (sandbox down {name}) to have it otherwise."
                    )
                _start(sandbox, found, progress)
                return status(name)
        _create(sandbox, _golden(progress), rows or golden.ROWS, disk, progress)
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
        chosen = _golden_of(about)
        if rebuild or chosen is None or not chosen.exists:
            chosen = _golden(progress)
        _create(sandbox, chosen, about.rows, about.disk, progress)
    return status(name)


def down(name: str = state.DEFAULT_NAME, *, progress: Progress | None = None) -> bool:
    """Remove the sandbox with its volumes and its state folder; return whether there was anything."""
    sandbox, progress = Sandbox.named(name), progress or Progress(quiet=True)
    if not sandbox.folder.exists() and not engine.answers():
        return False
    engine.ensure(progress)
    with state.locked(sandbox.container):
        was_there = sandbox.folder.exists() or docker_.exists("container", sandbox.container)
        _remove_parts(sandbox)
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
    foreign = docker_.names("container", f"{docker_.LABEL}=sandbox")
    if foreign:
        raise SandboxError(
            f"Images are kept: other state folders have sandboxes on this engine: {', '.join(foreign)}.\n"
            "Take those down first, each with its own RUNBOOK_SANDBOX_HOME."
        )
    prune.everything()
    state.forget_locks()


def status(name: str = state.DEFAULT_NAME, *, size: bool = False) -> Status:
    """Return what the sandbox is like.

    Args:
        name: of the sandbox.
        size: also measure its size, which takes some tenths of a second; 0 otherwise.
    """
    sandbox = Sandbox.named(name)
    found, about = inspect("container", sandbox.container), state.read_about(sandbox)
    created = about.created if about else ""
    age = dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(created) if created else dt.timedelta()
    return Status(
        name=name,
        state=str(found["State"]["Status"]) if found else "absent",
        ports=state.read_ports(sandbox) or {},
        golden=about.golden if about else "",
        is_current=bool(about and about.golden == golden.of_this_tree().hash),
        rows=about.rows if about else 0,
        disk=about.disk if about else None,
        created=created,
        age_s=age.total_seconds(),
        size_bytes=_size_bytes(sandbox) if size and found else 0,
        folder=str(sandbox.folder),
    )


def execute(
    name: str,
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    user: str = "root",
    timeout_s: float = 120,
    check: bool = False,
) -> Completed:
    """Run a command on the server without ssh, through the outer engine: for setting up and for looking independently.

    Raises:
        NotUpError: the sandbox does not run.
        EngineError: the command failed while `check` is set, or took too long.
    """
    sandbox = Sandbox.named(name)
    interactive = ["--interactive"] if stdin is not None else []
    done = docker(
        "exec", *interactive, f"--user={user}", sandbox.container, *argv, stdin=stdin, timeout_s=timeout_s, check=False
    )
    if not done.ok:
        found = inspect("container", sandbox.container)
        if found is None or not found["State"]["Running"]:
            raise NotUpError(f"The sandbox {name} does not run. Start it: sandbox up {name}")
        if check:
            raise EngineError(
                f"`{' '.join(argv)}` on {name} failed with exit code {done.exit_code}: {done.stderr.strip()}"
            )
    return done


def _golden(progress: Progress) -> golden.Golden:
    with state.locked("build"):
        tree = images.Tree.read()
        chosen = golden.Golden.of(tree)
        if not chosen.exists or chosen.is_stale:
            golden.make(chosen, tree, progress)
            prune.old_states(chosen, tree)
        return chosen


def _golden_of(about: About) -> golden.Golden | None:
    """Return the golden state a sandbox was made from, by what its image says of its seed."""
    found = inspect("image", f"{images.PREFIX}/golden:{about.golden}")
    seed = (found or {}).get("Config", {}).get("Labels", {}).get(golden.SEED_LABEL)
    return golden.Golden(about.golden, seed) if seed else None


def _create(sandbox: Sandbox, chosen: golden.Golden, rows: int, disk: str | None, progress: Progress) -> None:
    """Replace whatever there is of the sandbox by a fresh copy of a golden state, and wait until it is ready."""
    with progress.step(f"starting {sandbox.name}"):
        _remove_parts(sandbox)
        (sandbox.folder / "sandbox.json").unlink(missing_ok=True)
        with state.locked("ports"):  # until they are in use: whoever chooses next must see them taken
            ports = state.read_ports(sandbox) or {}
            if not ports or not all(ports_.is_free(port) for port in ports.values()):
                ports = ports_.choose(taken=_ports_of_others(sandbox))
            identity.create(sandbox, ports)
            state.write_ports(sandbox, ports)
            host.create(
                sandbox.container,
                chosen.image,
                hostname=sandbox.hostname,
                docker_volume=sandbox.volume,
                seed=chosen.seed_volume,
                ports=ports,
                disk=(sandbox.disk_volume, disk) if disk else None,
                label="sandbox",
            )
            with identity.for_server(sandbox) as folder:
                host.lay_in_identity(sandbox.container, folder)
            docker("start", sandbox.container)
        _settle(sandbox)
        if rows != golden.ROWS:
            progress.say(f"filling the big table to {rows} rows")
            _fill(sandbox, rows)
        # a backup and a look at renewals as of now: on a copied server they would be as old as the golden state
        execute(sandbox.name, ["systemctl", "start", "pazpaz-backup.service"], check=True)
        execute(sandbox.name, ["systemctl", "start", "--no-block", "certbot.service"], check=True)
        _fetch(sandbox, "/etc/practice/synthetic_password", "synthetic_password")
        _fetch(sandbox, "/usr/local/share/ca-certificates/practice-acme.crt", "ca.crt")
    created = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    state.write_about(sandbox, About(sandbox.name, chosen.hash, rows, disk, created))


def _start(sandbox: Sandbox, found: dict[str, Any], progress: Progress) -> None:
    if found["State"]["Running"]:
        if found["State"].get("Paused"):
            docker("unpause", sandbox.container)
        return
    with progress.step(f"starting {sandbox.name}, which was stopped"):
        docker("start", sandbox.container)
        _settle(sandbox)


def _settle(sandbox: Sandbox) -> None:
    """Wait until the stack answers.

    Raises:
        NotReadyError: it did not in time; the text says what is lacking.
    """
    done = execute(sandbox.name, ["practice-ready", str(READY_WITHIN_S)], timeout_s=READY_WITHIN_S + 30)
    if not done.ok:
        raise NotReadyError(
            f"{sandbox.name} runs but was not ready within {READY_WITHIN_S} s:\n{done.stdout.strip()}\n{done.stderr.strip()}\n"
            f"Look at it: sandbox ssh {sandbox.name}; begin anew: sandbox reset {sandbox.name}"
        )


def _fill(sandbox: Sandbox, rows: int) -> None:
    script = 'docker exec -i pazpaz-api python -m pazpaz.seed --rows "$1" < /etc/practice/synthetic_password'
    execute(sandbox.name, ["sh", "-ec", script, "fill", str(rows)], check=True, timeout_s=1800)


def _fetch(sandbox: Sandbox, inside: str, name: str) -> None:
    state.write_private(sandbox.folder / name, execute(sandbox.name, ["cat", inside], check=True).stdout)


def _remove_parts(sandbox: Sandbox) -> None:
    docker_.remove("container", [sandbox.container])
    docker_.remove("volume", [sandbox.volume, sandbox.disk_volume])


def _ports_of_others(sandbox: Sandbox) -> set[int]:
    others = (Sandbox.named(name) for name in state.known() if name != sandbox.name)
    return {port for other in others for port in (state.read_ports(other) or {}).values()}


def _size_bytes(sandbox: Sandbox) -> int:
    listed = docker("container", "inspect", "--size", "--format={{.SizeRw}}", sandbox.container).stdout
    data = docker("exec", sandbox.container, "du", "-xsb", "/var/lib/docker", check=False).stdout.split()
    return int(listed) + (int(data[0]) if data else 0)
