"""The host's resources: disks, inodes, memory, load, pressure, clock, reboot, kills for want of memory, Docker's share."""

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

# file systems that hold no data of their own: images that are read-only by nature, and what shows other ones again
NOT_DISKS = frozenset({"squashfs", "iso9660", "erofs", "fuse.lxcfs", "nsfs", "autofs", "ramfs", "efivarfs"})
# the kernel's windows, what containers mount for themselves, and the files that a container runtime lays in
NOT_PLACES = re.compile(
    r"/(proc|sys|dev)(/.*)?|/run/.+|/etc/(hosts|hostname|resolv\.conf)|/var/lib/docker/(overlay2|containers|rootfs)/.*"
)
KERNEL_FILES = ("/proc/meminfo", "/proc/loadavg", "/proc/uptime", "/proc/stat", "/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io")  # fmt: skip
KIBI = 1024
INODE_FIELDS = 4


@dataclass(frozen=True, slots=True)
class Filesystem:
    """A mounted file system with its use. `inodes_used_percent` is None where it has no fixed number of inodes."""

    mount: str
    source: str
    kind: str
    size_bytes: int
    used_bytes: int
    free_bytes: int
    used_percent: float
    inodes_used_percent: float | None
    read_only: bool


def filesystems_commands(_parameters: Parameters) -> dict[str, Command]:
    """Ask findmnt for bytes and options (JSON), and df for inodes."""
    columns = "TARGET,SOURCE,FSTYPE,SIZE,USED,AVAIL,OPTIONS"
    return {
        "mounts": Command(("findmnt", "--json", "--bytes", "--list", "--output", columns), timeout=10),
        # exit code 1: one of them could not be asked (a mount of another user); the others are printed
        "inodes": Command(("df", "--all", "--output=itotal,iused,iavail,target"), expect={0: "ok", 1: "some not readable"}, timeout=10),
    }  # fmt: skip


def parse_filesystems(results: Mapping[str, Result], _parameters: Parameters) -> tuple[Filesystem, ...]:
    """Read both answers; a file system that is mounted several times is listed once, at its shortest mount point."""
    inodes = _inodes(results["inodes"].stdout)
    found: dict[str, Filesystem] = {}
    for item in json.loads(results["mounts"].stdout)["filesystems"]:
        if item["fstype"] in NOT_DISKS or NOT_PLACES.fullmatch(item["target"]) or not item.get("size"):
            continue
        used, free = int(item["used"]), int(item["avail"])
        filesystem = Filesystem(
            mount=item["target"],
            source=item["source"],
            kind=item["fstype"],
            size_bytes=int(item["size"]),
            used_bytes=used,
            free_bytes=free,
            # as df does it: what root keeps for itself is no room for anybody else
            used_percent=round(100 * used / (used + free), 1) if used + free else 100.0,
            inodes_used_percent=inodes.get(item["target"]),
            read_only="ro" in item["options"].split(","),
        )
        # bind mounts show one device many times (with the folder in brackets behind it)
        device = re.sub(r"\[.*\]$", "", filesystem.source)
        key = device if device.startswith("/") else f"{device} {filesystem.mount}"
        if filesystem.read_only:
            key = f"read-only {filesystem.mount}"
        known = found.get(key)
        if known is None or len(filesystem.mount) < len(known.mount):
            found[key] = filesystem
    if not found:
        raise ParseError("the list of file systems", results["mounts"].stdout[:200], remedy="is findmnt's output JSON?")
    return tuple(sorted(found.values(), key=lambda item: item.mount))


def _inodes(text: str) -> dict[str, float | None]:
    r"""Given `df --output=itotal,iused,iavail,target`, return the percentage used by mount point.

    >>> _inodes("Inodes IUsed  IFree Mounted on\n  1000   250    750 /srv/a b\n     0     0      0 /boot/efi\n")
    {'/srv/a b': 25.0, '/boot/efi': None}
    """
    lines = text.splitlines()
    if not lines or "Mounted on" not in lines[0]:
        raise ParseError("df's inodes", lines[0] if lines else "")
    found: dict[str, float | None] = {}
    for line in lines[1:]:
        fields = line.split(None, INODE_FIELDS - 1)
        if len(fields) != INODE_FIELDS:
            raise ParseError("a line of df", line)
        total, used, _free, target = fields
        known = total.isdigit() and used.isdigit() and int(total) > 0
        found[target] = round(100 * int(used) / int(total), 1) if known else None
    return found


filesystems = Fact("filesystems", filesystems_commands, parse_filesystems)


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory, swap, load and pressure. Pressure is the share of the last minute in which something waited, in percent."""

    memory_bytes: int
    memory_used_percent: float
    swap_bytes: int
    swap_used_percent: float
    load_1: float
    load_5: float
    load_15: float
    cpus: int
    uptime_seconds: float
    pressure_percent: dict[str, float]

    @property
    def load_per_cpu(self) -> float:
        """The load of five minutes per processor."""
        return self.load_5 / self.cpus


def machine_commands(_parameters: Parameters) -> dict[str, Command]:
    """Read the kernel's own files, each line with its file's name."""
    return {
        # exit code 2: a kernel without pressure stall information has not all of these files
        "kernel": Command(
            ("grep", "--no-messages", "--with-filename", "--extended-regexp",
             "^(Mem|Swap|cpu[0-9]|[0-9.]+ |some )", *KERNEL_FILES),
            expect={0: "ok", 2: "some files are missing"}, timeout=10,
        ),
    }  # fmt: skip


def parse_machine(results: Mapping[str, Result], _parameters: Parameters) -> Machine:
    """Read `file:line` lines of /proc (proc(5), and the kernel's accounting/psi document)."""
    lines: dict[str, list[str]] = {}
    for line in results["kernel"].stdout.splitlines():
        name, _, rest = line.partition(":")
        lines.setdefault(name, []).append(rest)
    memory = {
        key: int(value.split()[0]) * KIBI for key, _, value in (row.partition(":") for row in lines["/proc/meminfo"])
    }
    load = [float(word) for word in lines["/proc/loadavg"][0].split()[:3]]
    pressure = {
        name.rsplit("/", 1)[1]: float(re.findall(r"avg60=([0-9.]+)", rows[0])[0])
        for name, rows in lines.items()
        if name.startswith("/proc/pressure/")
    }
    swap = memory.get("SwapTotal", 0)
    return Machine(
        memory_bytes=memory["MemTotal"],
        memory_used_percent=round(100 * (1 - memory["MemAvailable"] / memory["MemTotal"]), 1),
        swap_bytes=swap,
        swap_used_percent=round(100 * (1 - memory["SwapFree"] / swap), 1) if swap else 0.0,
        load_1=load[0],
        load_5=load[1],
        load_15=load[2],
        cpus=sum(1 for row in lines["/proc/stat"] if row.startswith("cpu")),
        uptime_seconds=float(lines["/proc/uptime"][0].split()[0]),
        pressure_percent=pressure,
    )


machine = Fact("machine", machine_commands, parse_machine)


def clock_commands(_parameters: Parameters) -> dict[str, Command]:
    """Ask for the time with its fraction."""
    return {"now": Command(("date", "+%s.%N"), timeout=10)}


def parse_clock(results: Mapping[str, Result], _parameters: Parameters) -> float:
    """Return the server's clock, in seconds since 1970."""
    return float(results["now"].stdout)


clock = Fact("clock", clock_commands, parse_clock)


@dataclass(frozen=True, slots=True)
class TimeKeeping:
    """Whether the clock is kept right by NTP, and the zone it shows."""

    synchronized: bool
    zone: str


def time_keeping_commands(_parameters: Parameters) -> dict[str, Command]:
    """Ask systemd, which starts a service for the answer (0.2 s)."""
    return {"kept": Command(("timedatectl", "show", "--property=NTPSynchronized", "--property=Timezone"), timeout=20)}


def parse_time_keeping(results: Mapping[str, Result], _parameters: Parameters) -> TimeKeeping:
    """Read `key=value` lines."""
    values = dict(line.partition("=")[::2] for line in results["kept"].stdout.splitlines())
    return TimeKeeping(values["NTPSynchronized"] == "yes", values.get("Timezone", ""))


time_keeping = Fact("time_keeping", time_keeping_commands, parse_time_keeping)


@dataclass(frozen=True, slots=True)
class Reboot:
    """Whether the operating system asks for a reboot, and for which packages."""

    required: bool
    packages: tuple[str, ...]


def reboot_commands(_parameters: Parameters) -> dict[str, Command]:
    """Debian and Ubuntu put these files there after an update that needs a reboot."""
    # exit code 1 and 2: neither is there
    return {
        "files": Command(
            ("grep", "--no-messages", "--with-filename", "", "/run/reboot-required", "/run/reboot-required.pkgs"),
            expect={0: "required", 1: "the file is empty", 2: "not required, or the list is missing"},
        )
    }


def parse_reboot(results: Mapping[str, Result], _parameters: Parameters) -> Reboot:
    """Read `file:line` lines; any line means required."""
    lines = [line.partition(":") for line in results["files"].stdout.splitlines()]
    packages = sorted({rest for name, _, rest in lines if name.endswith(".pkgs") and rest})
    return Reboot(bool(lines) or results["files"].exit_code == 1, tuple(packages))


reboot = Fact("reboot", reboot_commands, parse_reboot)


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
