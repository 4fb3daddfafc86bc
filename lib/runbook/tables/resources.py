"""The host's resources: disks, Docker's share, memory, load, clock and kernel, and what each container uses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook.facts import Missing
from runbook.tables.shown import count, missing_table, shown
from runbook.tables.table import Cell, Table, duration, size
from runbook.tables.verdicts import findings_of, reason_of, state_of

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.resources import DockerShare, Filesystem, Usage
    from runbook.verdict import Verdicts

MIB = 1024**2
GIB = 1024**3


@shown("usage")
def usage(fact: tuple[Usage, ...], _facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return what each container uses now, beside its own memory limit."""
    rows = []
    for item in fact:
        found = findings_of(verdicts, item.name, "resources")
        rows.append(
            (
                state_of(found),
                item.name,
                item.cpu_percent,
                item.memory_percent,
                item.memory_bytes / MIB,
                item.memory_limit_bytes / MIB,
                (item.network_in_bytes + item.network_out_bytes) / MIB,
                (item.block_read_bytes + item.block_written_bytes) / MIB,
                item.processes,
                reason_of(found),
            )
        )
    columns = ("state", "container", "CPU %", "memory %", "memory MiB", "limit MiB", "network MiB", "disk MiB", "processes", "finding")  # fmt: skip
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


def host(facts: Facts, verdicts: Verdicts | None = None) -> Table:
    """Return memory, swap, load, pressure, clock, kills for want of memory, failed units and a pending reboot."""
    missing = [facts.get(name) for name in ("machine",) if isinstance(facts.get(name), Missing)]
    if missing:
        return missing_table(missing[0])
    machine = facts.machine
    seen: list[tuple[str, str]] = [
        ("memory", f"{machine.memory_used_percent:.1f} % of {size(machine.memory_bytes)}"),
        ("swap", f"{machine.swap_used_percent:.1f} % of {size(machine.swap_bytes)}" if machine.swap_bytes else "none"),
        ("load", f"{machine.load_5:.2f} on {count(machine.cpus, 'processor')}"),
        ("up since", f"{duration(machine.uptime_seconds)} ago"),
    ]
    seen += [
        (f"waiting for {name}", f"{value:.1f} % of the time")
        for name, value in sorted(machine.pressure_percent.items())
    ]
    seen += [
        ("clock", _said(facts.get("clock"), lambda clock: _clock(clock, facts))),
        ("kills for memory", _said(facts.get("kills"), lambda kills: count(len(kills), "kill") + " in the last day")),
        ("failed units", _said(facts.get("units"), lambda units: ", ".join(units.failed) or "none")),
        (
            "restart pending",
            _said(
                facts.get("reboot"), lambda reboot: "yes: " + ", ".join(reboot.packages) if reboot.required else "no"
            ),
        ),
    ]
    rows: list[tuple[Cell, ...]] = []
    for subject, value in seen:
        found = findings_of(verdicts, subject, "resources", "units")
        rows.append(
            (state_of(found), subject, value, "; ".join(row.limit for row in found if row.limit), reason_of(found))
        )
    return Table.of(("state", "what", "seen", "limit", "finding"), rows, title="The host itself")


def docker_disk(facts: Facts, verdicts: Verdicts | None = None) -> Table:
    """Return what each kind of Docker's data takes, and what of it could be given back."""
    fact = facts.get("docker_disk")
    if isinstance(fact, Missing):
        return missing_table(fact)
    state = state_of(findings_of(verdicts, "docker", "resources"))
    rows = [
        (state, item.kind, item.count, item.active, item.size_bytes / GIB, item.reclaimable_bytes / GIB)
        for item in fact
    ]
    return Table.of(
        ("state", "kind", "number", "in use", "size GiB", "reclaimable GiB"), rows, title="What Docker keeps"
    )


def _docker_note(fact: tuple[DockerShare, ...] | Missing) -> str:
    if isinstance(fact, Missing):
        return ""
    parts = [
        f"{item.kind.lower()} {size(item.size_bytes)} ({size(item.reclaimable_bytes)} reclaimable)" for item in fact
    ]
    return "Docker keeps " + ", ".join(parts) + "."


def _said(fact: Any, say: Any) -> str:
    return f"no evidence: {fact.reason}" if isinstance(fact, Missing) else say(fact)


def _clock(clock: Any, facts: Facts) -> str:
    kept = {True: "kept by NTP", False: "NOT kept by NTP", None: "unknown who keeps it"}[clock.synchronized]
    return f"{clock.epoch_seconds - facts.begun:+.1f} s from this machine's, {kept}"
