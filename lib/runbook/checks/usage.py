"""Who uses the host's resources, against the limits of the params file."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from runbook.checks import judge_number, number_of, state_when_high, threshold_text, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters

USAGE, DISK = "08-troubleshoot/high-cpu-memory", "08-troubleshoot/disk-full"


GIGA = 1000**3


def kills(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Nothing was killed because memory ran out lately; what was earlier in the last day is history."""
    found = facts.get("kills")
    if isinstance(found, Missing):
        return [unknown("resources.oom", "host", found, next_notebook=USAGE)]
    limit, window = parameters.limits.out_of_memory_kills, parameters.limits.recent_minutes
    since = facts.at - dt.timedelta(minutes=window)
    recent, before = [kill for kill in found if kill.at > since], [kill for kill in found if kill.at <= since]
    state = state_when_high(len(recent), limit)
    where = ", ".join(sorted({kill.where for kill in recent}))
    reason = f"killed because memory ran out: {where}" if recent else "nothing was killed because memory ran out lately"
    history = (
        f"{number_of(len(before), 'kill')} in the last day, the last at {before[-1].at:%Y-%m-%d %H:%M:%S} UTC"
        if before
        else ""
    )
    return [
        Verdict(
            state,
            "resources.oom",
            "host",
            reason,
            value=f"{len(recent)} in {window:g} min",
            limit=threshold_text(limit, f"in {window:g} min"),
            evidence=f"last at {found[-1].at:%Y-%m-%d %H:%M:%S} UTC: {found[-1].message}" if found else "",
            next="" if state is State.OK else USAGE,
            history=history,
        )
    ]


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
            judge_number(
                "resources.container-cpu",
                item.name,
                item.cpu_percent,
                limit.container_cpu_percent,
                unit="%",
                what="processor use",
                next_notebook=USAGE,
            ),
            judge_number(
                "resources.container-memory",
                item.name,
                item.memory_percent,
                limit.container_memory_percent,
                unit="%",
                what="memory use",
                next_notebook=USAGE,
            ),
        )
    ]


def docker_disk(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Docker does not hold much that could be given back."""
    found = facts.get("docker_disk")
    if isinstance(found, Missing):
        return [unknown("resources.docker-disk", "docker", found, next_notebook=DISK)]
    reclaimable = sum(item.reclaimable_bytes for item in found if item.kind != "Local Volumes") / GIGA
    return [
        judge_number(
            "resources.docker-disk",
            "docker",
            round(reclaimable, 1),
            parameters.limits.docker_reclaimable_gigabytes,
            unit="GB",
            what="what Docker could give back",
            next_notebook=DISK,
        )
    ]


def processes(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """No process takes a whole processor for itself."""
    found = facts.get("processes")
    if isinstance(found, Missing):
        return [unknown("resources.process-cpu", "processes", found, next_notebook=USAGE)]
    if not found:
        return []
    busiest = found[0]
    return [
        judge_number(
            "resources.process-cpu",
            "busiest process",
            busiest.cpu_percent,
            parameters.limits.process_cpu_percent,
            unit="%",
            what="processor use",
            next_notebook=USAGE,
            evidence=f"pid {busiest.pid} {busiest.command} of {busiest.user}",
        )
    ]
