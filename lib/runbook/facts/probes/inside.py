"""Says of each running container what the kernel knows: limits reached, stopped processes, open files, mounts.

Everything is read from the host's /proc and cgroup files: nothing is run in a container, so that a sick one cannot hold
it up. Argument: JSON {service: container}. Formats: proc(5), and the kernel's cgroup-v1 and cgroup-v2 documents.
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
import time

from runbook.facts.probes.common import answer, inspected, side_by_side

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SAMPLE_SECONDS = 0.8
USER_TIME, RESIDENT = 11, 21  # places in /proc/PID/stat behind the command's name
TICKS, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
WITHOUT_LIMIT = 1 << 60
PRIVATE = re.compile(
    r"(?!/(proc|sys)/|/sys|/proc|/dev$).*"
)  # memory that is the container's own, not a window that Docker closes
ESCAPED = re.compile(r"\\(\d{3})")


def text_of(path: str) -> str:
    """Return a file's text; empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def number(text: str) -> int | None:
    """Return a number of a cgroup file; None for "max", -1 and what is none."""
    word = text.strip().split(" ")[0] if text.strip() else ""
    return int(word) if word.isdigit() and int(word) < WITHOUT_LIMIT else None


def fields(text: str) -> dict[str, int]:
    """Return the lines "name number" of a file."""
    pairs = (line.split() for line in text.splitlines())
    return {words[0]: int(words[-1]) for words in pairs if words and words[-1].isdigit()}


def groups(pid: int) -> dict[str, str]:
    """Return the folder of each of a process's cgroup controllers; all the same under version 2."""
    found: dict[str, str] = {}
    for line in text_of(f"/proc/{pid}/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found[""] = (
                f"/sys/fs/cgroup{path}"
                if os.path.isdir(f"/sys/fs/cgroup{path}/") and os.path.exists(f"/sys/fs/cgroup{path}/cgroup.procs")
                else found.get("", "")
            )
        for name in controllers.split(","):
            if name and not name.startswith("name="):
                found[name] = f"/sys/fs/cgroup/{name}{path}"
                if not os.path.isdir(found[name]):
                    found[name] = f"/sys/fs/cgroup/{controllers}{path}"
    return found


def limits(pid: int) -> dict[str, Any]:
    """Return what a container may use, and what it uses, by both versions of cgroups."""
    folder = groups(pid)
    two = folder.get("", "")

    def read(controller: str, one: str, other: str) -> str:
        place = folder.get(controller)
        return text_of(f"{place}/{one}") if place else text_of(f"{two}/{other}") if two else ""

    quota = (
        text_of(f"{two}/cpu.max").split()
        if "cpu" not in folder
        else [read("cpu", "cpu.cfs_quota_us", ""), read("cpu", "cpu.cfs_period_us", "")]
    )
    cpus = int(quota[0]) / int(quota[1]) if len(quota) > 1 and quota[0].strip().isdigit() and int(quota[0]) > 0 else None  # fmt: skip
    before = periods(folder)
    time.sleep(SAMPLE_SECONDS)
    after = periods(folder)
    return {
        "memory": number(read("memory", "memory.usage_in_bytes", "memory.current")),
        "memory_inactive": fields(read("memory", "memory.stat", "memory.stat")).get("inactive_file", 0),
        "memory_limit": number(read("memory", "memory.limit_in_bytes", "memory.max")),
        "pids": number(read("pids", "pids.current", "pids.current")),
        "pids_limit": number(read("pids", "pids.max", "pids.max")),
        "pids_refused": fields(read("pids", "pids.events", "pids.events")).get("max", 0),
        "cpus": cpus,
        "throttled_share": round(100 * (after[0] - before[0]) / max(1, after[1] - before[1]), 1),
        "frozen": text_of(f"{two}/cgroup.freeze").strip() == "1" or read("freezer", "freezer.state", "").strip() in {"FROZEN", "FREEZING"},
    }  # fmt: skip


def periods(folder: dict[str, str]) -> tuple[int, int]:
    """Return in how many of the scheduler's periods a group was held back, and how many there were."""
    stat = fields(text_of(f"{folder.get('cpu') or folder.get('')}/cpu.stat"))
    return stat.get("nr_throttled", 0), stat.get("nr_periods", 0)


def processes(pid: int) -> list[dict[str, Any]]:
    """Return the processes in a container's process namespace: number, state, command, processor time and memory.

    `beside`: it does not descend from the container's first process: somebody started it there (docker exec).
    """
    space = os.readlink(f"/proc/{pid}/ns/pid")
    found: dict[int, dict[str, Any]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.readlink(f"/proc/{name}/ns/pid") != space:
                continue
        except OSError:
            continue
        stat = text_of(f"/proc/{name}/stat").rpartition(")")[2].split()
        words = text_of(f"/proc/{name}/cmdline").replace("\0", " ").strip()
        if len(stat) > RESIDENT:
            found[int(name)] = {
                "pid": int(name), "state": stat[0], "parent": int(stat[1]), "command": " ".join(words[:160].split()) or f"[{text_of(f'/proc/{name}/comm').strip()}]",
                "seconds": (int(stat[USER_TIME]) + int(stat[USER_TIME + 1])) / TICKS, "memory": int(stat[RESIDENT]) * PAGE,
            }  # fmt: skip
    for number_, row in found.items():
        one, seen = number_, set()
        while one in found and one != pid and one not in seen:
            seen.add(one)
            one = found[one]["parent"]
        row["beside"] = one != pid
    return list(found.values())


def files(pid: int) -> dict[str, Any]:
    """Return how many files the main process holds open, and how many it may."""
    limit = re.search(r"Max open files\s+(\d+|unlimited)", text_of(f"/proc/{pid}/limits"))
    return {
        "open": len(os.listdir(f"/proc/{pid}/fd")),
        "limit": int(limit[1]) if limit and limit[1].isdigit() else None,
    }


def mounts(pid: int, container: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each mount of a container is like inside it."""
    ids = re.search(r"^Uid:\s+\d+\s+(\d+)", text_of(f"/proc/{pid}/status"), re.MULTILINE)
    gids = re.search(r"^Gid:\s+\d+\s+(\d+)", text_of(f"/proc/{pid}/status"), re.MULTILINE)
    more = re.search(r"^Groups:(.*)$", text_of(f"/proc/{pid}/status"), re.MULTILINE)
    uid, gid = int(ids[1]) if ids else 0, int(gids[1]) if gids else 0
    members = {gid, *(int(word) for word in (more[1].split() if more else []))}
    options: dict[str, tuple[str, str]] = {}
    for line in text_of(f"/proc/{pid}/mountinfo").splitlines():
        words = line.split()
        place = ESCAPED.sub(lambda found: chr(int(found[1], 8)), words[4])
        tail = words[words.index("-") + 1 :]
        options[place] = (f"{words[5]},{tail[2] if len(tail) > 2 else ''}", tail[0])  # noqa: PLR2004 (type, source, options)
    stated = {item["Destination"]: item for item in container.get("Mounts") or []}
    found = []
    for place, (flags, kind) in options.items():
        item = stated.get(place)
        if item is None and (kind != "tmpfs" or not PRIVATE.fullmatch(place)):
            continue
        row: dict[str, Any] = {"place": place, "source": (item or {}).get("Name") or (item or {}).get("Source", ""), "kind": kind,
                               "read_only": "ro" in flags.split(","), "wanted_read_only": item is not None and not item.get("RW", True), "problem": ""}  # fmt: skip
        inside = f"/proc/{pid}/root{place}"
        try:
            stat, space = os.stat(inside), os.statvfs(inside)
        except OSError as error:
            row["problem"] = f"cannot be looked at: {error.strerror}"
            found.append(row)
            continue
        row["free"], row["size"] = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
        row["inodes_free"], row["inodes"] = space.f_favail, space.f_files
        row["owner"], row["mode"] = stat.st_uid, f"{stat.st_mode & 0o7777:04o}"
        row["uid"] = uid
        row["may_write"] = (
            uid == 0
            or (uid == stat.st_uid and bool(stat.st_mode & 0o200))
            or (stat.st_gid in members and bool(stat.st_mode & 0o020))
            or bool(stat.st_mode & 0o002)
        )
        row["may_read"] = (
            uid == 0
            or (uid == stat.st_uid and bool(stat.st_mode & 0o400))
            or (stat.st_gid in members and bool(stat.st_mode & 0o040))
            or bool(stat.st_mode & 0o004)
        )
        row["file"] = os.path.isfile(inside)
        if item and item["Type"] == "bind":
            try:
                now = os.stat(item["Source"])
                row["replaced"] = (now.st_dev, now.st_ino) != (stat.st_dev, stat.st_ino) and text_of(
                    item["Source"]
                ) != text_of(inside)
            except OSError:
                row["gone"] = True
        found.append(row)
    absent = sorted(set(stated) - set(options))
    return found + [
        {"place": place, "problem": "not mounted", "source": stated[place].get("Name") or stated[place]["Source"]}
        for place in absent
    ]


def look(container: dict[str, Any]) -> dict[str, Any]:
    """Return all that is known of a running container."""
    pid = container["State"]["Pid"]
    before, begun = {item["pid"]: item["seconds"] for item in processes(pid)}, time.monotonic()
    limit = limits(pid)
    now, seconds = processes(pid), time.monotonic() - begun
    for item in now:
        item["cpu_percent"] = round(100 * (item["seconds"] - before.get(item["pid"], item["seconds"])) / seconds)
    return {
        "pid": pid,
        "paused": bool(container["State"].get("Paused")),
        "limits": limit,
        "processes": now,
        "files": files(pid),
        "mounts": mounts(pid, container),
        "begins_as_root": container["Config"].get("User", "").partition(":")[0] in {"", "0", "root"},
    }


def main() -> None:
    """Print what was found, by service."""
    asked = json.loads(sys.argv[1])
    there = {item["Name"].lstrip("/"): item for item in inspected(asked.values())}
    running = {service: there[name] for service, name in asked.items() if name in there and there[name]["State"]["Pid"]}
    answer(side_by_side({service: functools.partial(look, item) for service, item in running.items()}))


if __name__ == "__main__":
    main()
