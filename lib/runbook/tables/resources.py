"""The host's resources: disks, Docker's share, memory, load, clock and kernel, and what each container uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook.facts import Missing
from runbook.tables.shown import count, shown
from runbook.tables.table import Cell, Table, duration, size
from runbook.tables.verdicts import findings_of, reason_of, state_of, titled

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.facts import Facts
    from runbook.facts.resources import Filesystem, Machine, Reboot
    from runbook.facts.usage import DockerShare, Usage
    from runbook.verdict import Verdicts

MIB = 1024**2
GIB = 1024**3
UNLIMITED = 0.99  # Docker reports the host's memory as the limit of a container without one


@shown("usage")
def usage(fact: tuple[Usage, ...], facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return what each container uses now, beside its own memory limit (without one, in percent of the host's memory)."""
    machine: Machine | Missing = facts.get("machine")
    memory = float("inf") if isinstance(machine, Missing) else machine.memory_bytes
    rows: list[tuple[Cell, ...]] = []
    for item in fact:
        found = findings_of(verdicts, item.name, "resources")
        rows.append(
            (
                state_of(found),
                item.name,
                item.cpu_percent,
                item.memory_percent,
                item.memory_bytes / MIB,
                item.memory_limit_bytes / MIB if item.memory_limit_bytes < UNLIMITED * memory else "none",
                (item.network_in_bytes + item.network_out_bytes) / MIB,
                (item.block_read_bytes + item.block_written_bytes) / MIB,
                reason_of(found),
            )
        )
    columns = ("state", "container", "CPU %", "memory %", "memory MiB", "limit MiB", "network MiB", "disk MiB", "finding")  # fmt: skip
    return Table.of(columns, rows, title=f"{count(len(fact), 'container')} measured; CPU in percent of one processor")


@shown("filesystems")
def disks(fact: tuple[Filesystem, ...], facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return each filesystem's use in bytes and inodes, and Docker's share of it."""
    rows = []
    for item in fact:
        found = findings_of(verdicts, item.mount, "resources")
        rows.append(
            (
                state_of(found),
                item.mount,
                item.used_percent,
                item.inodes_used_percent,
                item.free_bytes / GIB,
                item.size_bytes / GIB,
                item.kind + (", read only" if item.read_only else ""),
                reason_of(found),
            )
        )
    columns = ("state", "filesystem", "used %", "inodes used %", "free GiB", "size GiB", "type", "finding")
    return Table.of(
        columns, rows, title=f"{count(len(fact), 'filesystem')}", note=_docker_note(facts.get("docker_disk"))
    )


@shown("machine")
def host(fact: Machine, facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return memory, swap, load, pressure, clock, kills for want of memory, failed units and a pending reboot."""
    swap = f"{fact.swap_used_percent:.1f} % of {size(fact.swap_bytes)}" if fact.swap_bytes else "none"
    seen: list[tuple[str, str, str | None, str]] = [
        ("memory", "resources.memory", "host", f"{fact.memory_used_percent:.1f} % of {size(fact.memory_bytes)}"),
        ("swap", "resources.swap", "host", swap),
        ("load", "resources.load", "host", f"{fact.load_per_cpu:.2f} per processor"),
        *(
            (f"waiting for {name}", "resources.pressure", name, f"{value:.1f} % of the last minute")
            for name, value in sorted(fact.pressure_percent.items())
        ),
        ("clock", "resources.clock", "host", _said(facts, "clock", lambda clock: _clock(clock, facts))),
        (
            "kills for memory",
            "resources.oom",
            None,
            _said(facts, "kills", lambda kills: count(len(kills), "kill") + " in the last day"),
        ),
        ("restart pending", "resources.reboot", None, _said(facts, "reboot", _reboot)),
        ("failed units", "units.failed", None, _said(facts, "units", lambda units: ", ".join(units.failed) or "none")),
    ]
    rows: list[tuple[Cell, ...]] = []
    for label, check, subject, value in seen:
        found = findings_of(verdicts, subject, check)
        limit = found[0].limit if found else None
        rows.append((state_of(found), label, value, limit, reason_of(found)))
    title = f"The host itself: {count(fact.cpus, 'processor')}, up for {duration(fact.uptime_seconds)}"
    return Table.of(("state", "what", "seen", "limit", "finding"), rows, title=title)


@shown("docker_disk")
def docker_disk(fact: tuple[DockerShare, ...], _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return what each kind of Docker's data takes, and what of it could be given back."""
    found = findings_of(verdicts, None, "resources.docker-disk")
    rows = [(item.kind, item.count, item.active, item.size_bytes / GIB, item.reclaimable_bytes / GIB) for item in fact]
    columns = ("kind", "number", "in use", "size GiB", "reclaimable GiB")
    title = titled("What Docker keeps", found)
    return Table(columns, tuple(rows), title, note=reason_of(found))


def _docker_note(fact: tuple[DockerShare, ...] | Missing) -> str:
    if isinstance(fact, Missing):
        return ""
    parts = [
        f"{item.kind.lower()} {size(item.size_bytes)} ({size(item.reclaimable_bytes)} reclaimable)" for item in fact
    ]
    return "Docker keeps " + ", ".join(parts) + "."


def _said(facts: Facts, name: str, say: Callable[[Any], str]) -> str:
    fact = facts.get(name)
    return f"no evidence: {fact.reason}" if isinstance(fact, Missing) else say(fact)


def _reboot(fact: Reboot) -> str:
    return f"yes: {', '.join(fact.packages) or 'no package named'}" if fact.required else "no"


def _clock(epoch_seconds: float, facts: Facts) -> str:
    apart = max(0.0, facts.begun - epoch_seconds, epoch_seconds - facts.ended)
    return f"{apart:.1f} s from this machine's"
