"""Who uses the host's resources: containers, processes, Docker's share of the disk, and who was killed because memory ran out."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill for want of memory. `where` is the container, or "kernel" for the host's own log."""

    at: dt.datetime
    where: str
    message: str


def kills_commands(parameters: Parameters) -> dict[str, Command]:
    """Ask Docker's event memory and the kernel's journal for the last day."""
    del parameters
    return {
        "events": Command(
            ("docker", "events", "--since", "24h", "--until", "0s", "--filter", "event=oom", "--format", "{{json .}}"), timeout=20
        ),
        "journal": Command(
            ("journalctl", "--dmesg", "--since=-24h", "--output=json", "--output-fields=MESSAGE", "--grep=out of memory|oom-kill", "--no-pager", "--quiet"),
            sudo=True, expect={0: "ok", 1: "no such line"}, timeout=20,
        ),
    }  # fmt: skip


def parse_kills(results: Mapping[str, Result], _parameters: Parameters) -> tuple[Kill, ...]:
    """Read both as JSON lines, oldest first."""
    found = [
        Kill(_utc(event["timeNano"] / 1e9), event["Actor"]["Attributes"].get("name", event["Actor"]["ID"][:12]), "oom")
        for event in _json_lines(results["events"].stdout)
    ]
    found += [
        Kill(_utc(int(entry["__REALTIME_TIMESTAMP"]) / 1e6), "kernel", str(entry["MESSAGE"])[:200])
        for entry in _json_lines(results["journal"].stdout)
    ]
    return tuple(sorted(found, key=lambda kill: kill.at))


def _utc(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line.strip()]


kills = Fact("kills", kills_commands, parse_kills)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a container uses now. Percentages: of one processor, and of its memory limit (or the host's memory)."""

    name: str
    cpu_percent: float
    memory_percent: float
    memory_bytes: int
    memory_limit_bytes: int
    network_in_bytes: int
    network_out_bytes: int
    block_read_bytes: int
    block_written_bytes: int
    processes: int


UNITS = {"B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}  # fmt: skip


def size_bytes(text: str) -> int:
    """Given a size as Docker prints it, return bytes.

    >>> size_bytes("1.5GiB"), size_bytes("11.3kB"), size_bytes("0B"), size_bytes("1.2GB (80%)")
    (1610612736, 11300, 0, 1200000000)
    """
    found = re.match(r"\s*([0-9.]+)\s*([kKMGT]?i?B)", text)
    if not found or found[2] not in UNITS:
        raise ParseError("a size of Docker", text)
    return round(float(found[1]) * UNITS[found[2]])


def usage_commands(_parameters: Parameters) -> dict[str, Command]:
    """One sample of `docker stats`, which takes about two seconds to measure."""
    return {"stats": Command(("docker", "stats", "--no-stream", "--no-trunc", "--format", "{{json .}}"), timeout=30)}


def parse_usage(results: Mapping[str, Result], _parameters: Parameters) -> tuple[Usage, ...]:
    """Read JSON lines whose values are text for people ("12.5%", "1.2GiB / 2GiB")."""
    found = []
    for item in _json_lines(results["stats"].stdout):
        used, _, limit = item["MemUsage"].partition(" / ")
        received, _, sent = item["NetIO"].partition(" / ")
        read, _, written = item["BlockIO"].partition(" / ")
        if item["CPUPerc"].startswith("--"):
            continue  # it ended while it was being measured
        found.append(
            Usage(
                name=item["Name"],
                cpu_percent=float(item["CPUPerc"].rstrip("%")),
                memory_percent=float(item["MemPerc"].rstrip("%")),
                memory_bytes=size_bytes(used),
                memory_limit_bytes=size_bytes(limit),
                network_in_bytes=size_bytes(received),
                network_out_bytes=size_bytes(sent),
                block_read_bytes=size_bytes(read),
                block_written_bytes=size_bytes(written),
                processes=int(item["PIDs"]) if item["PIDs"].isdigit() else 0,
            )
        )
    return tuple(sorted(found, key=lambda usage: usage.name))


usage = Fact("usage", usage_commands, parse_usage)


@dataclass(frozen=True, slots=True)
class DockerShare:
    """What one kind of Docker's data takes on disk, and what of it could be given back."""

    kind: str
    count: int
    active: int
    size_bytes: int
    reclaimable_bytes: int


def docker_disk_commands(_parameters: Parameters) -> dict[str, Command]:
    """Ask Docker for its share of the disk (it may have to walk its volumes)."""
    return {"df": Command(("docker", "system", "df", "--format", "{{json .}}"), timeout=60)}


def parse_docker_disk(results: Mapping[str, Result], _parameters: Parameters) -> tuple[DockerShare, ...]:
    """Read JSON lines with sizes for people."""
    return tuple(
        DockerShare(
            item["Type"], int(item["TotalCount"]), int(item["Active"]), size_bytes(item["Size"]), size_bytes(item["Reclaimable"])
        )
        for item in _json_lines(results["df"].stdout)
    )  # fmt: skip


docker_disk = Fact("docker_disk", docker_disk_commands, parse_docker_disk)


@dataclass(frozen=True, slots=True)
class Process:
    """One of the busiest processes, over a second. Percent of one processor, and of the host's memory."""

    pid: int
    user: str
    command: str
    cpu_percent: float
    memory_percent: float


def processes_commands(_parameters: Parameters) -> dict[str, Command]:
    """Take two samples a second apart: the first of top's is an average since each process began."""
    return {"top": Command(("top", "-b", "-n", "2", "-d", "1", "-o", "%CPU", "-w", "200"), timeout=20)}


def parse_processes(results: Mapping[str, Result], _parameters: Parameters) -> tuple[Process, ...]:
    """Read top's second sample through jc; the ten busiest, top itself left out."""
    import jc  # noqa: PLC0415 (60 ms that only this fact needs)

    samples: Any = jc.parse("top", results["top"].stdout, quiet=True)
    if not samples or not samples[-1].get("processes"):
        raise ParseError("top", results["top"].stdout[:200])
    busiest = [
        Process(
            pid=int(item["pid"]),
            user=str(item["user"]),
            command=str(item["command"]),
            cpu_percent=float(item["percent_cpu"]),
            memory_percent=float(item["percent_mem"]),
        )
        for item in samples[-1]["processes"]
        if item["command"] != "top"
    ]
    return tuple(sorted(busiest, key=lambda process: -process.cpu_percent)[:10])


processes = Fact("processes", processes_commands, parse_processes)
