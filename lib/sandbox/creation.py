"""How a sandbox comes to be: a golden state is chosen or made, copied, given an identity and waited for."""

import datetime as dt
from dataclasses import replace
from typing import Any

from sandbox import docker as docker_
from sandbox import golden, host, identity, images, outside, prune, state
from sandbox import ports as ports_
from sandbox.docker import docker, inspect
from sandbox.errors import EngineError, NotReadyError, NotUpError, SandboxError
from sandbox.inside import execute, fetch
from sandbox.kind import Kind
from sandbox.progress import Progress
from sandbox.state import About, Sandbox

READY_WITHIN_S = 90
BACKUP_WITHIN_S = 900
"""Long enough for millions of rows on a busy machine."""


def golden_of_this_tree(progress: Progress, kind: Kind) -> golden.Golden:
    """Return the golden state of the tree as it is now, making what a server of that kind needs of it."""
    with state.locked("build"):
        tree = images.Tree.read()
        chosen = golden.Golden.of(tree)
        if not chosen.exists or chosen.is_stale:
            golden.make(chosen, tree, progress)
            prune.old_states(chosen, tree)
        if kind.is_bare:
            images.ensure_host(tree, progress, kind)
        return chosen


def golden_like(name: str, progress: Progress, kind: Kind) -> golden.Golden:
    """Return the golden state that the sandbox NAME was made from, with what a server of that kind needs of it.

    Raises:
        SandboxError: there is no such sandbox, or it was made before there were servers of that kind.
    """
    about = state.read_about(Sandbox.named(name))
    if about is None:
        raise NotUpError(f"There is no sandbox {name} to be like. Start it: sandbox up {name}")
    chosen, tree = golden_of(about), images.Tree.read()
    if kind.is_bare and chosen is not None and chosen.host_hash == tree.host_hash:
        with state.locked("build"):
            images.ensure_host(tree, progress, kind)
    if chosen is None or not chosen.has(kind):
        raise SandboxError(
            f"{name} was made from an older tree, of which no server {kind.described} can be made any more.\n"
            f"Bring it to this tree first: sandbox reset {name} --rebuild"
        )
    return chosen


def golden_of(about: About) -> golden.Golden | None:
    """Return the golden state a sandbox was made from, by what its image says of its seed."""
    found = inspect("image", f"{images.PREFIX}/golden:{about.golden}")
    labels = (found or {}).get("Config", {}).get("Labels", {})
    seed = labels.get(golden.SEED_LABEL)
    return golden.Golden(about.golden, seed, labels.get(golden.HOST_LABEL, "")) if seed else None


def create(sandbox: Sandbox, chosen: golden.Golden, about: About, progress: Progress) -> None:
    """Replace whatever there is of the sandbox by a fresh server as `about` says, and wait until it is ready.

    One in production is a copy of the golden state; a bare one has of it only what lies outside a server.
    """
    with progress.step(f"starting {sandbox.name}"):
        remove_parts(sandbox)
        about = replace(about, golden=chosen.hash, created="")
        state.write_about(sandbox, about)
        with state.locked("ports"):  # until they are in use: whoever chooses next must see them taken
            ports = state.read_ports(sandbox) or {}
            if not ports or not all(ports_.is_free(port) for port in ports.values()):
                ports = ports_.choose(taken=_ports_of_others(sandbox))
            identity.create(sandbox, ports)
            state.write_ports(sandbox, ports)
            host.create(
                sandbox.container,
                chosen.image_of(about.kind),
                hostname=sandbox.hostname,
                docker_volume=sandbox.volume,
                seed=chosen.seed_volume,
                ports=ports,
                disk=(sandbox.disk_volume, about.disk) if about.disk else None,
                bare=about.kind.is_bare,
                label="sandbox",
            )
            if about.kind.is_bare:
                outside.lay_in(sandbox, chosen.image)
            with identity.for_server(sandbox) as folder:
                host.lay_in_identity(sandbox.container, folder)
            docker("start", sandbox.container)
        _settle(sandbox)
        if not about.kind.is_bare:
            _bring_up_to_date(sandbox, about.rows, progress)
    created = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    state.write_about(sandbox, replace(about, created=created))


TODAY_IS_DONE = "touch /var/lib/systemd/timers/stamp-pazpaz-backup.timer && systemctl restart pazpaz-backup.timer"


def _bring_up_to_date(sandbox: Sandbox, rows: int, progress: Progress) -> None:
    """Give a copied server what it should have as of now, and the operator what it has of its own."""
    if rows != golden.ROWS:
        progress.say(f"filling the big table to {rows} rows")
        _fill(sandbox, rows)
    # a backup and a look at renewals as of now: on a copied server they would be as old as the golden state
    _back_up(sandbox, progress)
    # that was the day's backup: else the timer, whose last run is that of the golden state, would catch up within minutes
    execute(sandbox.name, ["sh", "-ec", TODAY_IS_DONE], check=True)
    execute(sandbox.name, ["systemctl", "start", "--no-block", "certbot.service"], check=True)
    fetch(sandbox, outside.SYNTHETIC_PASSWORD, "synthetic_password")
    fetch(sandbox, outside.ROOT_CERTIFICATE, "ca.crt")


def _back_up(sandbox: Sandbox, progress: Progress) -> None:
    """Take the nightly backup now; once more where the engine inside, just started, did not take the first one.

    Raises:
        EngineError: it failed twice; the text has what the unit said.
    """
    begin = ["systemctl", "start", "pazpaz-backup.service"]
    if execute(sandbox.name, begin, timeout_s=BACKUP_WITHIN_S).ok:
        return
    told = execute(sandbox.name, ["journalctl", "--unit=pazpaz-backup", "--lines=8", "--output=cat"]).stdout.strip()
    progress.say(f"the backup failed, once more: {told}")
    if not execute(sandbox.name, begin, timeout_s=BACKUP_WITHIN_S).ok:
        raise EngineError(f"the nightly backup of {sandbox.name} fails: {told}")


def start(sandbox: Sandbox, found: dict[str, Any], progress: Progress) -> None:
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
    try:
        done = execute(sandbox.name, ["practice-ready", str(READY_WITHIN_S)], timeout_s=READY_WITHIN_S + 30)
    except NotUpError:
        said = docker("logs", "--tail=10", sandbox.container, check=False)
        raise NotReadyError(f"{sandbox.name} stopped while it started:\n{said.stdout}{said.stderr}") from None
    if not done.ok:
        raise NotReadyError(
            f"{sandbox.name} runs but was not ready within {READY_WITHIN_S} s:\n{done.stdout.strip()}\n{done.stderr.strip()}\n"
            f"Look at it: sandbox ssh --name {sandbox.name}; begin anew: sandbox reset {sandbox.name}"
        )


def _fill(sandbox: Sandbox, rows: int) -> None:
    script = 'docker exec -i pazpaz-api python -m pazpaz.seed --rows "$1" < /etc/practice/synthetic_password'
    execute(sandbox.name, ["sh", "-ec", script, "fill", str(rows)], check=True, timeout_s=1800)


def remove_parts(sandbox: Sandbox) -> None:
    docker_.remove("container", [sandbox.container])
    docker_.remove("volume", [sandbox.volume, sandbox.disk_volume])


def _ports_of_others(sandbox: Sandbox) -> set[int]:
    others = (Sandbox.named(name) for name in state.known() if name != sandbox.name)
    return {port for other in others for port in (state.read_ports(other) or {}).values()}
