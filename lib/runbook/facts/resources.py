"""The host's resources: disks, inodes, memory, swap, load, pressure, clock, a reboot that is asked for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
