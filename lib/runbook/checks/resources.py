"""The host's resources against the limits of the params file."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from runbook.checks import judge_condition, judge_number, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters


DISK, USAGE, DETAILED = "08-troubleshoot/disk-full", "08-troubleshoot/high-cpu-memory", "04-health/detailed"


UPDATES, TRIAGE = "10-maintenance/monthly", "08-troubleshoot/triage"


def disks(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Every file system has room for bytes and inodes, and can be written."""
    found = facts.get("filesystems")
    if isinstance(found, Missing):
        return [unknown("resources.disk", "file systems", found, next_notebook=DISK)]
    verdicts = []
    for item in found:
        expected = any(fnmatchcase(item.mount, pattern) for pattern in parameters.read_only_mounts)
        verdicts.append(
            judge_condition(
                not item.read_only or expected,
                "resources.read-only",
                item.mount,
                ok="read-only, as expected" if item.read_only else "can be written",
                bad="mounted read-only: nothing on it can change",
                value="ro" if item.read_only else "rw",
                limit="rw",
                evidence=f"{item.source} {item.kind}",
                next=TRIAGE,
            )
        )
        verdicts.append(
            judge_number(
                "resources.disk",
                item.mount,
                item.used_percent,
                parameters.limits.disk_percent,
                unit="%",
                what="disk use",
                next_notebook=DISK,
            )
        )
        if item.inodes_used_percent is not None:
            verdicts.append(
                judge_number(
                    "resources.inodes",
                    item.mount,
                    item.inodes_used_percent,
                    parameters.limits.inode_percent,
                    unit="%",
                    what="inode use",
                    next_notebook=DISK,
                )
            )
    return verdicts


def machine(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Memory, swap, load and pressure are within their limits."""
    found = facts.get("machine")
    if isinstance(found, Missing):
        return [unknown("resources.memory", "host", found, next_notebook=USAGE)]
    limit = parameters.limits
    verdicts = [
        judge_number(
            "resources.memory",
            "host",
            found.memory_used_percent,
            limit.memory_percent,
            unit="%",
            what="memory use",
            next_notebook=USAGE,
        ),
        judge_number(
            "resources.load",
            "host",
            found.load_per_cpu,
            limit.load_per_cpu,
            unit="per CPU",
            what="load of 5 minutes",
            next_notebook=USAGE,
        ),
    ]
    if found.swap_bytes:
        verdicts.append(
            judge_number(
                "resources.swap",
                "host",
                found.swap_used_percent,
                limit.swap_percent,
                unit="%",
                what="swap use",
                next_notebook=USAGE,
            )
        )
    verdicts += [
        judge_number(
            "resources.pressure",
            name,
            share,
            limit.pressure_percent,
            unit="%",
            what=f"waiting for {name}",
            next_notebook=USAGE,
        )
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
    return [
        judge_number(
            "resources.clock",
            "host",
            round(skew, 1),
            parameters.limits.clock_skew_seconds,
            unit="s",
            what="difference to this machine's clock",
            next_notebook=TRIAGE,
        )
    ]


def reboot(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """The operating system does not wait for a reboot."""
    found = facts.get("reboot")
    if isinstance(found, Missing):
        return [unknown("resources.reboot", "host", found, next_notebook=UPDATES)]
    named = ", ".join(found.packages[:5]) or "no package named"
    return [
        judge_condition(
            not found.required,
            "resources.reboot",
            "host",
            ok="no reboot is asked for",
            bad="an update waits for a reboot",
            state=State.WARNING,
            value="required" if found.required else "no",
            limit="no",
            evidence=f"/run/reboot-required: {named}" if found.required else "",
            next=UPDATES,
        )
    ]
