"""Says what the host can no longer do: resolve names, forward packets, take one more file or process; what its kernel met.

Argument: JSON {"containers": {service: container}, "minutes": how far back logs are read}. Sources: proc(5), sysctl's
documents of the kernel, iptables-save(8), ip(8), tc(8), journalctl(1).
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys

from runbook.facts.probes.common import answer, inspected, left, side_by_side

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KERNEL_TROUBLE = (
    "I/O error|EXT4-fs error|EXT4-fs .*remount|XFS .*(corrupt|shutdown)|Remounting filesystem read-only|blocked for more than|soft lockup|"
    "nf_conntrack: .*table full|Buffer I/O|Medium Error|hung_task|too many open files|VFS: file-max"
)


def said(*argv: str, seconds: float = 3.0) -> str:
    """Return what a program prints; empty where it fails or is not there."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=left(seconds), check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def number(path: str) -> int | None:
    """Return the first number in a file of the kernel."""
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def room() -> dict[str, Any]:
    """Return what the kernel counts against a limit: name -> [used, most]."""
    files = ""
    try:
        with open("/proc/sys/fs/file-nr", encoding="ascii") as file:
            files = file.read()
    except OSError:
        pass
    words = files.split()
    tasks = sum(name.isdigit() for name in os.listdir("/proc"))
    return {
        "open files of the host": [int(words[0]), int(words[2])] if len(words) == 3 else None,  # noqa: PLR2004 (allocated, unused, most)
        "processes of the host": [tasks, number("/proc/sys/kernel/pid_max")],
        "connections that the firewall tracks": [
            number("/proc/sys/net/netfilter/nf_conntrack_count"),
            number("/proc/sys/net/netfilter/nf_conntrack_max"),
        ],
    }


def resolvers() -> list[dict[str, Any]]:
    """Ask each name server of the host for something; any answer shows that it is there."""
    found = []
    try:
        with open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
            servers = re.findall(r"^\s*nameserver\s+(\S+)", file.read(), re.MULTILINE)
    except OSError as error:
        return [{"server": "/etc/resolv.conf", "answers": False, "said": error.strerror}]
    if not servers:
        return [{"server": "/etc/resolv.conf", "answers": False, "said": "it names no server"}]
    question = struct.pack(">HHHHHH", 0x5242, 0x0100, 1, 0, 0, 0) + b"\x07invalid\x00" + struct.pack(">HH", 1, 1)
    for server in servers[:3]:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        row = {"server": server, "answers": False, "said": "no answer within 2 s"}
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as line:
                line.settimeout(2.0)
                line.sendto(question, (server, 53))
                row = {"server": server, "answers": bool(line.recv(512)), "said": ""}
        except OSError as error:
            if not isinstance(error, socket.timeout):
                row["said"] = error.strerror or str(error)
        found.append(row)
    return found


def drops() -> list[str]:
    """Return the rules that drop or refuse packets, but for those of ufw and Docker themselves."""
    found = []
    for tool in ("iptables-save", "ip6tables-save"):
        table = ""
        for line in said(tool).splitlines():
            if line.startswith("*"):
                table = line[1:]
            words = line.split()
            if len(words) < 4 or words[0] != "-A" or not re.search(r"-j (DROP|REJECT|TARPIT)|--probability", line):  # noqa: PLR2004 (chain and target)
                continue
            chain = words[1]
            own = (
                chain.startswith("ufw")
                or (chain.startswith("DOCKER") and chain != "DOCKER-USER")
                or re.search(r"! -i (br-|docker)", line)
            )
            if not own:
                found.append(f"{tool.partition('-')[0]} {table}: {line[3:]}")
    return found


def bridges(containers: list[dict[str, Any]]) -> list[str]:
    """Return what is wrong with the networks' interfaces on the host."""
    try:
        links = json.loads(said("ip", "-json", "address") or "[]")
    except ValueError:
        return []
    up = {info["local"]: item for item in links for info in item.get("addr_info", [])}
    gateways = {
        (name, network["Gateway"])
        for item in containers
        for name, network in ((item.get("NetworkSettings") or {}).get("Networks") or {}).items()
        if network.get("Gateway")
    }
    wrong = []
    for name, gateway in sorted(gateways):
        item = up.get(gateway)
        if item is None:
            wrong.append(f"no interface of the host has the address {gateway} of the network {name}")
        elif "UP" not in item.get("flags", []):
            wrong.append(f"the interface {item['ifname']} of the network {name} is down")
        wrong += [
            f"the interface {link['ifname']}, a container's end in the network {name}, is down"
            for link in links
            if item is not None and link.get("master") == item["ifname"] and "UP" not in link.get("flags", [])
        ]
    return wrong


def published(containers: list[dict[str, Any]]) -> list[str]:
    """Return the published ports to which no rule leads."""
    wanted = {
        place["HostPort"]
        for item in containers
        if item["State"]["Running"]
        for places in ((item.get("NetworkSettings") or {}).get("Ports") or {}).values()
        for place in places or []
    }
    rules = said("iptables", "-w", "2", "-t", "nat", "-S")
    if not rules:
        return []
    return sorted(port for port in wanted if not re.search(rf"--dport {port} .*-j DNAT", rules))


def shaped() -> list[str]:
    """Return what delays or drops packets on the host's interfaces."""
    return [line for line in said("tc", "qdisc", "show").splitlines() if re.search(r" (netem|tbf|plug) ", line)]


def journal(*argv: str) -> list[str]:
    """Return messages of the journal, the newest last."""
    return said("journalctl", "--no-pager", "--quiet", "--output=cat", "--lines=8", *argv, seconds=4.0).splitlines()


def main() -> None:
    """Print what was found."""
    asked = json.loads(sys.argv[1])
    since = f"--since=-{asked['minutes']}min"
    looks: dict[str, Any] = {
        "room": room,
        "resolvers": resolvers,
        "drops": drops,
        "shaped": shaped,
        "kernel": lambda: journal("--dmesg", since, f"--grep={KERNEL_TROUBLE}"),
        "containers": lambda: inspected(asked["containers"].values()),
    }
    found = side_by_side(looks)
    containers = found.pop("containers")
    if isinstance(containers, list):
        found.update(side_by_side({"bridges": lambda: bridges(containers), "published": lambda: published(containers)}))
    found["forward"] = number("/proc/sys/net/ipv4/ip_forward")
    answer(found)


if __name__ == "__main__":
    main()
