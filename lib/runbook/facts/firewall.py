"""The firewall from four sides: the kernel's rules, ufw's own words, who listens, and a real connection from here."""

from __future__ import annotations

import re
import shlex
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact, LocalFact
from runbook.facts.http import reason_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters

PROBE_SECONDS = 3.0
BANNER_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class PacketFilter:
    """The kernel's rules for IPv4: what happens to unknown input, and which TCP ports ufw lets in, from where.

    `accepted` maps a port ("22", "8000:8010") to its sources ("anywhere" or networks). `docker_user` are the rules that
    also hold for ports that Docker publishes.
    """

    policy: str
    policy_6: str
    ufw_hooked: bool
    accepted: dict[str, tuple[str, ...]]
    docker_user: tuple[str, ...]

    @property
    def filters(self) -> bool:
        """Whether what is not allowed is dropped."""
        return self.policy in {"DROP", "REJECT"} and self.ufw_hooked


def packet_filter_commands(_parameters: Parameters) -> dict[str, Command]:
    """Print the rules of both families as iptables(8) would take them; one command, since sudo costs more than they do."""
    script = "iptables --wait 2 --list-rules && echo IPv6 && ip6tables --wait 2 --list-rules INPUT; exit 0"
    return {"rules": Command(("sh", "-c", script), sudo=True, timeout=10)}


def parse_packet_filter(results: Mapping[str, Result], _parameters: Parameters) -> PacketFilter:
    """Read `-P` and `-A` lines. A machine without IPv6 has no rules for it."""
    ipv4, _, ipv6_rules = results["rules"].stdout.partition("IPv6\n")
    policy = ""
    hooked = False
    accepted: dict[str, list[str]] = {}
    docker_user = []
    for line in ipv4.splitlines():
        words = shlex.split(line)
        if words[:2] == ["-P", "INPUT"]:
            policy = words[2]
        elif words[:2] == ["-A", "INPUT"] and "ufw-before-input" in words:
            hooked = True
        elif words[:2] == ["-A", "DOCKER-USER"] and words[2:] != ["-j", "RETURN"]:
            docker_user.append(" ".join(words[2:]))
        elif words[:2] == ["-A", "ufw-user-input"] and words[-2:] == ["-j", "ACCEPT"] and "udp" not in words:
            source = words[words.index("-s") + 1] if "-s" in words else "anywhere"
            for port in _ports(words):
                accepted.setdefault(port, []).append(source)
    if not policy:
        raise ParseError("iptables' rules", (ipv4 + results["rules"].stderr)[:200])
    ipv6 = re.search(r"^-P INPUT (\w+)", ipv6_rules, re.MULTILINE)
    return PacketFilter(
        policy=policy,
        policy_6=ipv6[1] if ipv6 else "",
        ufw_hooked=hooked,
        accepted={port: tuple(sources) for port, sources in sorted(accepted.items())},
        docker_user=tuple(docker_user),
    )


def _ports(words: list[str]) -> list[str]:
    """Return the ports of a rule; "any" for one that names none (everything from a source)."""
    for option in ("--dport", "--dports"):
        if option in words:
            return words[words.index(option) + 1].split(",")
    return ["any"]


packet_filter = Fact("packet_filter", packet_filter_commands, parse_packet_filter)


@dataclass(frozen=True, slots=True)
class Ufw:
    """What `ufw status verbose` says, and whether it comes up after a reboot."""

    active: bool
    default_incoming: str
    rules: tuple[str, ...]
    enabled_at_boot: bool


def ufw_commands(_parameters: Parameters) -> dict[str, Command]:
    """Ask ufw, and its configuration."""
    return {
        "status": Command(("ufw", "status", "verbose"), sudo=True, timeout=20),
        "boot": Command(("grep", "--extended-regexp", "^ENABLED=", "/etc/ufw/ufw.conf"), timeout=10),
    }


def parse_ufw(results: Mapping[str, Result], _parameters: Parameters) -> Ufw:
    """Read ufw's text through jc."""
    import jc  # noqa: PLC0415 (60 ms that only this fact needs)

    status: Any = jc.parse("ufw", results["status"].stdout)
    rules = []
    for rule in status.get("rules", []):
        # a family of its own ("Anywhere (v6)") is a rule of its own in ufw's list
        ports = rule.get("to_ports") or [f"{item['start']}:{item['end']}" for item in rule.get("to_port_ranges", [])]
        place = "all" if not ports or ports == ["0:65535"] else ",".join(str(port) for port in ports)
        source = rule.get("from_ip", "anywhere")
        rules.append(
            f"{rule['action'].lower()} {rule.get('action_direction', 'IN').lower()} {place}/{rule.get('to_transport', 'any')} from {source}"
        )
    return Ufw(
        active=status["status"] == "active",
        default_incoming=status.get("default", "").split(" (incoming)")[0] if status.get("default") else "",
        rules=tuple(rules),
        enabled_at_boot=results["boot"].stdout.strip().lower() == "enabled=yes",
    )


ufw = Fact("ufw", ufw_commands, parse_ufw)


@dataclass(frozen=True, slots=True)
class Listener:
    """A TCP socket that waits for connections."""

    address: str
    port: int
    program: str

    @property
    def public(self) -> bool:
        """Whether others than the server itself could reach it, were there no firewall."""
        return not self.address.startswith("127.") and self.address not in {"::1", "::ffff:127.0.0.1"}


def listeners_commands(_parameters: Parameters) -> dict[str, Command]:
    """Ask ss (netstat is often not installed); only root sees the programs of others."""
    return {"ss": Command(("ss", "-H", "--no-queues", "-ltnp"), sudo=True, timeout=10)}


def parse_listeners(results: Mapping[str, Result], _parameters: Parameters) -> tuple[Listener, ...]:
    """Read `LISTEN local peer users:((...))` lines."""
    found = set()
    for line in results["ss"].stdout.splitlines():
        words = line.split()
        if words[:1] != ["LISTEN"]:
            raise ParseError("a line of ss", line)
        # with and without the queues' columns, which old versions always print
        local = next(word for word in words[1:] if ":" in word)
        host, _, port = local.rpartition(":")
        program = re.search(r'\(\("([^"]+)"', line)
        found.add(Listener(host.strip("[]").split("%")[0], int(port), program[1] if program else ""))
    return tuple(sorted(found, key=lambda item: (item.port, item.address)))


listeners = Fact("listeners", listeners_commands, parse_listeners)


@dataclass(frozen=True, slots=True)
class PortProbe:
    """A real connection from this machine to a port of the server. `open` is None where it cannot be told."""

    port: int
    place: str
    open: bool | None
    reason: str


def look(parameters: Parameters) -> tuple[PortProbe, ...]:
    """Try to connect to every port of the list, all at once."""
    ports = parameters.firewall.outside_probe_ports
    with ThreadPoolExecutor(max_workers=max(1, len(ports)), thread_name_prefix="port") as threads:
        return tuple(threads.map(lambda port: _probe_port(port, parameters), ports))


def _probe_port(port: int, parameters: Parameters) -> PortProbe:
    forwarded = parameters.firewall.outside_connect.get(port)
    place = forwarded or f"{parameters.web.name}:{port}"
    host, _, number = place.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(number)), timeout=PROBE_SECONDS) as connection:
            if forwarded is None:
                return PortProbe(port, place, True, "connected")
            answered = _answers(connection)
    except OSError as error:
        return PortProbe(port, place, False, reason_of(error))
    # a forwarder accepts before it has reached the server: only an answer proves that the port is open
    return PortProbe(port, place, answered, "answers" if answered else "the forwarder got no answer")


def _answers(connection: socket.socket) -> bool:
    """Whether anything comes back, either by itself (a banner) or to a request."""
    for timeout, sent in ((BANNER_SECONDS, b""), (PROBE_SECONDS - BANNER_SECONDS, b"GET / HTTP/1.0\r\n\r\n")):
        try:
            if sent:
                connection.sendall(sent)
            deadline = time.monotonic() + timeout
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            return bool(connection.recv(1))
        except TimeoutError:
            continue
        except OSError:
            return False
    return False


outside = LocalFact("outside", look)
