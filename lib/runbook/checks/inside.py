"""Containers from the kernel's side: nothing is stopped, frozen, at its limit, or mounted otherwise than it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runbook.checks import state_when_high, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.facts import Facts
    from runbook.parameters import Parameters

CONTROL, USAGE, DISK, START = (
    "08-troubleshoot/service-wont-start",
    "08-troubleshoot/high-cpu-memory",
    "08-troubleshoot/disk-full",
    "08-troubleshoot/service-wont-start",
)
FULL_PERCENT = 97.0
THROTTLED_SHARE = 60.0
"""Percent of the scheduler's periods in which it had used up its share of processors: above this it is slow for that reason."""
LITTLE_CPU = 0.2
STUCK_SHARE = 0.5
MEBI = 1 << 20


def inside(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge every running container."""
    found = facts.get("inside")
    if isinstance(found, Missing):
        return [unknown("process.state", "docker", found, next_notebook=CONTROL)]
    rows: list[Verdict] = []
    for service, item in sorted(found.services.items()):
        if "limits" not in item or item.get("paused"):
            continue  # services.state tells: it is paused, or ended while it was looked at
        bad = [
            *_processes(service, item),
            *_limits(service, item, parameters),
            *_files(service, item["files"]),
            *_mounts(service, item["mounts"], begins_as_root=item["begins_as_root"]),
        ]
        rows += bad or [
            Verdict(
                State.OK,
                "process.state",
                service,
                "nothing is stopped, at its limit or mounted wrongly",
                value="ok",
                limit="ok",
            )
        ]
    return rows


def _processes(service: str, item: dict[str, Any]) -> Iterator[Verdict]:
    if item["limits"]["frozen"]:
        yield Verdict(
            State.CRITICAL,
            "process.frozen",
            service,
            "all its processes are frozen",
            "frozen",
            "running",
            "cgroup: frozen",
            CONTROL,
        )
        return
    stopped = [one for one in item["processes"] if one["state"] in "Tt"]
    if stopped:
        named = ", ".join(f"{one['command'][:60]} (pid {one['pid']})" for one in stopped[:3])
        yield Verdict(
            State.CRITICAL, "process.stopped", service,
            f"{'its process is' if len(stopped) == len(item['processes']) else f'{len(stopped)} of its processes are'} stopped by a signal and does nothing",
            f"{len(stopped)} of {len(item['processes'])}", "0", f"/proc: state T: {named}", CONTROL,
        )  # fmt: skip
    waiting = [one for one in item["processes"] if one["state"] == "D"]
    if len(waiting) > 1 and len(waiting) >= STUCK_SHARE * len(item["processes"]):
        yield Verdict(
            State.WARNING, "process.waiting", service, "its processes wait for the kernel (a disk or a network file system)",
            f"{len(waiting)} of {len(item['processes'])}", "few", f"/proc: state D: {waiting[0]['command']}", DISK,
        )  # fmt: skip
    dead = [one for one in item["processes"] if one["state"] == "Z"]
    if len(dead) > 50:  # noqa: PLR2004 (a few are normal for a moment)
        yield Verdict(
            State.WARNING,
            "process.zombies",
            service,
            "its ended processes are not collected",
            str(len(dead)),
            "50",
            f"/proc: state Z: {dead[0]['command']}",
            CONTROL,
        )


def _limits(service: str, item: dict[str, Any], parameters: Parameters) -> Iterator[Verdict]:
    limit = item["limits"]
    if limit["pids_limit"] and limit["pids"] is not None and limit["pids"] >= FULL_PERCENT / 100 * limit["pids_limit"]:
        yield Verdict(
            State.CRITICAL, "limits.processes", service, "it may start no more processes or threads: its limit is reached",
            f"{limit['pids']}", f"{limit['pids_limit']}", f"cgroup pids: {limit['pids']} of {limit['pids_limit']}, refused {limit['pids_refused']} times", USAGE,
        )  # fmt: skip
    most = limit["memory_limit"]
    if most and limit["memory"] is not None:
        used = max(0, limit["memory"] - limit["memory_inactive"])
        state = state_when_high(100 * used / most, parameters.limits.container_memory_percent)
        if state is not State.OK:
            largest = max(item["processes"], key=lambda one: one["memory"], default=None)
            named = f"; largest: {largest['command'][:100]} ({largest['memory'] // MEBI} MiB)" if largest else ""
            yield Verdict(
                state, "limits.memory" if state is State.CRITICAL else "limits.memory-share", service,
                "its memory limit is reached: the kernel kills or stalls it" if state is State.CRITICAL else "its memory limit is nearly reached: the next large request can end in a kill",
                f"{used // MEBI} MiB", f"{most // MEBI} MiB", f"cgroup memory: {used // MEBI} of {most // MEBI} MiB without what could be given back{named}", USAGE,
            )  # fmt: skip
    busy = [
        one
        for one in item["processes"]
        if one.get("beside") and one["cpu_percent"] >= parameters.limits.container_cpu_percent.warning
    ]
    for one in busy[:1]:
        yield Verdict(
            State.WARNING, "maybe.foreign-process", service, "a process that was started beside its own uses a whole processor", f"{one['cpu_percent']} %",
            f"{parameters.limits.container_cpu_percent.warning:g} %", f"pid {one['pid']}: {one['command'][:160]}", USAGE,
        )  # fmt: skip
    if limit["cpus"] is not None and limit["throttled_share"] >= THROTTLED_SHARE:
        yield Verdict(
            State.CRITICAL if limit["cpus"] <= LITTLE_CPU else State.WARNING, "limits.cpu", service,
            "it is held back: its share of processors is used up", f"{limit['throttled_share']:g} % of the time", f"{THROTTLED_SHARE:g} %",
            f"cgroup cpu: a limit of {limit['cpus']:g} processors", USAGE,
        )  # fmt: skip
    elif limit["cpus"] is not None and limit["cpus"] <= LITTLE_CPU / 2:
        yield Verdict(
            State.WARNING, "limits.cpu", service, "it may hardly use the processor", f"{limit['cpus']:g} processors", f"{LITTLE_CPU / 2:g}",
            f"cgroup cpu: a limit of {limit['cpus']:g} processors", USAGE,
        )  # fmt: skip


def _files(service: str, files: dict[str, Any]) -> Iterator[Verdict]:
    most = files["limit"]
    if most and files["open"] >= 0.9 * most:
        yield Verdict(
            State.CRITICAL, "limits.files", service, "its main process may open no more files or connections",
            f"{files['open']}", f"{most}", f"/proc: {files['open']} open of {most}", USAGE,
        )  # fmt: skip


def _mounts(service: str, mounts: list[dict[str, Any]], *, begins_as_root: bool) -> Iterator[Verdict]:
    for item in mounts:
        place, source = item["place"], item["source"] or item.get("kind", "")
        evidence = f"{place} in {service} ({source})"
        if item["problem"]:
            yield Verdict(
                State.CRITICAL,
                "process.mount",
                service,
                f"{place} {item['problem']}",
                "absent",
                "mounted",
                evidence,
                CONTROL,
            )
            continue
        if item["read_only"] and not item["wanted_read_only"]:
            yield Verdict(
                State.CRITICAL,
                "process.read-only",
                service,
                f"{place} is mounted read-only, and it must write there",
                "ro",
                "rw",
                evidence,
                CONTROL,
            )
        elif not item["file"] and item["source"] and not item["read_only"] and not item["may_write"]:
            yield Verdict(
                State.CRITICAL, "process.owner", service, f"it may not write to {place}: another user owns it", f"owner {item['owner']}, mode {item['mode']}",
                f"writable for {item['uid']}", evidence, START,
            )  # fmt: skip
        if (
            item["file"] and not item["may_read"] and not begins_as_root
        ):  # root may have read it before it became another user
            yield Verdict(
                State.CRITICAL, "process.owner", service, f"it may not read {place}", f"owner {item['owner']}, mode {item['mode']}",
                f"readable for {item['uid']}", evidence, START,
            )  # fmt: skip
        small = item.get("size", 0) and not item["read_only"]
        if small and not item["free"]:
            yield Verdict(
                State.CRITICAL,
                "process.full",
                service,
                f"{place} is full: nothing more can be written",
                "0 bytes free",
                "more",
                evidence,
                DISK,
            )
        elif small and item.get("inodes") and not item["inodes_free"]:
            yield Verdict(
                State.CRITICAL,
                "process.full",
                service,
                f"{place} can take no more files (no inode is free)",
                "0 inodes free",
                "more",
                evidence,
                DISK,
            )
        if item.get("gone"):
            yield Verdict(
                State.WARNING,
                "mounts.gone",
                service,
                f"what {place} shows is gone on the server: a start would fail, or make an empty folder of it",
                "gone",
                "there",
                evidence,
                START,
            )
        elif item.get("replaced"):
            yield Verdict(
                State.WARNING, "mounts.replaced", service, f"{place} was replaced on the server: the container goes on seeing the old one until it is made anew",
                "old", "as on the server", evidence, CONTROL,
            )  # fmt: skip
