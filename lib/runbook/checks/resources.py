"""The host's resources against the limits of the params file."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from runbook.checks import flag, limits, reach, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Pair, Parameters

DISK, USAGE, DETAILED = "08-troubleshoot/disk-full", "08-troubleshoot/high-cpu-memory", "04-health/detailed"
UPDATES, TRIAGE = "10-maintenance/monthly", "08-troubleshoot/triage"
GIGA = 1000**3


def _against(check: str, subject: str, value: float, limit: Pair, unit: str, what: str, next_notebook: str) -> Verdict:
    state = reach(value, limit)
    reason = f"{what} within its limits" if state is State.OK else f"{what} over its limit"
    shown = f"{value:.1f} {unit}" if value % 1 else f"{value:.0f} {unit}"
    return Verdict(state, check, subject, reason, value=shown, limit=limits(limit, unit), next="" if state is State.OK else next_notebook)  # fmt: skip


def disks(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Every file system has room for bytes and inodes, and can be written."""
    found = facts.get("filesystems")
    if isinstance(found, Missing):
        return [unknown("resources.disk", "file systems", found, next_notebook=DISK)]
    verdicts = []
    for item in found:
        expected = any(fnmatchcase(item.mount, pattern) for pattern in parameters.read_only_mounts)
        verdicts.append(
            flag(
                not item.read_only or expected, "resources.read-only", item.mount, ok="read-only, as expected" if item.read_only else "can be written", bad="mounted read-only: nothing on it can change",
                value="ro" if item.read_only else "rw", limit="rw", evidence=f"{item.source} {item.kind}", next=TRIAGE,
            )
        )  # fmt: skip
        verdicts.append(
            _against(
                "resources.disk", item.mount, item.used_percent, parameters.limits.disk_percent, "%", "disk use", DISK
            )
        )
        if item.inodes_used_percent is not None:
            verdicts.append(
                _against("resources.inodes", item.mount, item.inodes_used_percent, parameters.limits.inode_percent, "%", "inode use", DISK)
            )  # fmt: skip
    return verdicts


def machine(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Memory, swap, load and pressure are within their limits."""
    found = facts.get("machine")
    if isinstance(found, Missing):
        return [unknown("resources.memory", "host", found, next_notebook=USAGE)]
    limit = parameters.limits
    verdicts = [
        _against("resources.memory", "host", found.memory_used_percent, limit.memory_percent, "%", "memory use", USAGE),
        _against(
            "resources.load", "host", found.load_per_cpu, limit.load_per_cpu, "per CPU", "load of 5 minutes", USAGE
        ),
    ]
    if found.swap_bytes:
        verdicts.append(_against("resources.swap", "host", found.swap_used_percent, limit.swap_percent, "%", "swap use", USAGE))  # fmt: skip
    verdicts += [
        _against("resources.pressure", name, share, limit.pressure_percent, "%", f"waiting for {name}", USAGE)
        for name, share in sorted(found.pressure_percent.items())
    ]
    return verdicts


def clock(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """The server's clock agrees with this machine's."""
    found = facts.get("clock")
    if isinstance(found, Missing):
        return [unknown("resources.clock", "host", found, next_notebook=DETAILED)]
    # the server answered at some moment between the two: within them its clock cannot be told to be wrong
    skew = max(0.0, facts.begun - found, found - facts.ended)
    return [_against("resources.clock", "host", round(skew, 1), parameters.limits.clock_skew_seconds, "s", "difference to this machine's clock", TRIAGE)]  # fmt: skip


def reboot(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """The operating system does not wait for a reboot."""
    found = facts.get("reboot")
    if isinstance(found, Missing):
        return [unknown("resources.reboot", "host", found, next_notebook=UPDATES)]
    named = ", ".join(found.packages[:5]) or "no package named"
    return [
        flag(
            not found.required, "resources.reboot", "host", ok="no reboot is asked for", bad="an update waits for a reboot",
            state=State.WARNING, value="required" if found.required else "no", limit="no",
            evidence=f"/run/reboot-required: {named}" if found.required else "", next=UPDATES,
        )
    ]  # fmt: skip


def kills(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Nothing was killed for want of memory in the last day."""
    found = facts.get("kills")
    if isinstance(found, Missing):
        return [unknown("resources.oom", "host", found, next_notebook=USAGE)]
    limit = parameters.limits.out_of_memory_kills
    state = reach(len(found), limit)
    where = ", ".join(sorted({kill.where for kill in found}))
    reason = "nothing was killed for want of memory" if not found else f"killed for want of memory: {where}"
    return [
        Verdict(
            state, "resources.oom", "host", reason, value=f"{len(found)} in 24 h", limit=limits(limit, "in 24 h"),
            evidence=f"last at {found[-1].at:%Y-%m-%d %H:%M:%S} UTC: {found[-1].message}" if found else "", next="" if state is State.OK else USAGE,
        )
    ]  # fmt: skip


def usage(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Every container's processor and memory are within their limits."""
    found = facts.get("usage")
    if isinstance(found, Missing):
        return [unknown("resources.container-memory", "containers", found, next_notebook=USAGE)]
    limit = parameters.limits
    return [
        verdict
        for item in found
        for verdict in (
            _against("resources.container-cpu", item.name, item.cpu_percent, limit.container_cpu_percent, "%", "processor use", USAGE),
            _against("resources.container-memory", item.name, item.memory_percent, limit.container_memory_percent, "%", "memory use", USAGE),
        )
    ]  # fmt: skip


def docker_disk(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Docker does not hold much that could be given back."""
    found = facts.get("docker_disk")
    if isinstance(found, Missing):
        return [unknown("resources.docker-disk", "docker", found, next_notebook=DISK)]
    reclaimable = sum(item.reclaimable_bytes for item in found if item.kind != "Local Volumes") / GIGA
    return [_against("resources.docker-disk", "docker", round(reclaimable, 1), parameters.limits.docker_reclaimable_gigabytes, "GB", "what Docker could give back", DISK)]  # fmt: skip
