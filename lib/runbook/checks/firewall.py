"""The firewall: what is filtered, what is allowed, who listens, what Docker opens beside it, what answers from here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters

ACCESS, BREACH = "01-access/ssh-and-sudo", "09-emergency/security-breach"


def packet_filter(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """The kernel drops what is not allowed, and allows exactly the expected ports."""
    found = facts.get("packet_filter")
    if isinstance(found, Missing):
        return [unknown("firewall.state", "kernel", found, next_notebook=ACCESS)]
    if not parameters.firewall.enabled:
        return []
    verdicts = [
        judge_condition(
            found.filters,
            "firewall.state",
            "kernel",
            ok="what is not allowed is dropped",
            bad="the firewall is off: everything that listens can be reached",
            value=found.policy.lower(),
            limit="drop",
            evidence=f"iptables: policy of INPUT is {found.policy}, ufw's chains {'are' if found.ufw_hooked else 'are not'} in it",
            next=BREACH,
        )
    ]
    if found.policy_6:
        verdicts.append(
            judge_condition(
                found.policy_6 != "ACCEPT",
                "firewall.state",
                "kernel, IPv6",
                ok="what is not allowed is dropped",
                bad="IPv6 is not filtered",
                state=State.WARNING,
                value=found.policy_6.lower(),
                limit="drop",
                evidence=f"ip6tables: policy of INPUT is {found.policy_6}",
                next=BREACH,
            )
        )
    expected = {str(port) for port in parameters.firewall.allowed_tcp_ports}
    allowed = {port for port, sources in found.accepted.items() if "anywhere" in sources}
    for port in sorted(expected | allowed, key=lambda text: (len(text), text)):
        if port in expected and port not in found.accepted:
            verdicts.append(
                Verdict(
                    State.WARNING,
                    "firewall.port",
                    port,
                    "its rule is missing",
                    value="no rule",
                    limit="allowed",
                    evidence="iptables: not in ufw-user-input",
                    next=ACCESS,
                )
            )
        elif port not in expected:
            verdicts.append(
                Verdict(
                    State.CRITICAL,
                    "firewall.port",
                    port,
                    "open to all, and nobody expects it",
                    value="allowed",
                    limit="not allowed",
                    evidence=f"iptables: ufw-user-input accepts {port}",
                    next=BREACH,
                )
            )
        else:
            verdicts.append(
                Verdict(State.OK, "firewall.port", port, "allowed, as expected", value="allowed", limit="allowed")
            )
    return verdicts


def ufw(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """What ufw says of itself, and whether it comes up after a reboot."""
    found = facts.get("ufw")
    if isinstance(found, Missing):
        return [unknown("firewall.ufw", "ufw", found, next_notebook=ACCESS)]
    if not parameters.firewall.enabled:
        return []
    return [
        judge_condition(
            found.active,
            "firewall.ufw",
            "ufw",
            ok="active",
            bad="inactive",
            value="active" if found.active else "inactive",
            limit="active",
            evidence="ufw status verbose",
            next=BREACH,
        ),
        judge_condition(
            found.enabled_at_boot,
            "firewall.boot",
            "ufw",
            ok="comes up after a reboot",
            bad="stays off after a reboot",
            state=State.WARNING,
            value="yes" if found.enabled_at_boot else "no",
            limit="yes",
            evidence="/etc/ufw/ufw.conf: ENABLED",
            next=ACCESS,
        ),
    ]


def listeners(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Nothing listens beyond the server itself that nobody expects, and Docker opens no port past ufw."""
    found = facts.get("listeners")
    if isinstance(found, Missing):
        return [unknown("firewall.listener", "sockets", found, next_notebook=ACCESS)]
    expected = {*parameters.firewall.allowed_tcp_ports, *parameters.firewall.expected_listeners}
    public = {item.port: item for item in found if item.public}
    strangers = [item for port, item in sorted(public.items()) if port not in expected]
    verdicts = [
        Verdict(
            State.WARNING,
            "firewall.listener",
            str(item.port),
            f"nobody expects {item.program or 'this program'} to listen here",
            value=f"{item.address}:{item.port}",
            limit="nothing",
            evidence=f"ss -ltnp: {item.program} on {item.address}:{item.port}",
            next=BREACH,
        )
        for item in strangers
    ] or [
        Verdict(
            State.OK,
            "firewall.listener",
            "sockets",
            "nothing listens that nobody expects",
            value=f"{len(public)} ports",
            limit=f"{len(expected)} ports",
        )
    ]
    absent = sorted(set(parameters.firewall.allowed_tcp_ports) - public.keys())
    verdicts += [
        Verdict(
            State.CRITICAL,
            "firewall.listener",
            str(port),
            "nothing listens on an expected port",
            value="nothing",
            limit="a listener",
            evidence="ss -ltnp",
            next="02-services/status",
        )
        for port in absent
    ]
    return verdicts


def bypass(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Docker publishes only the expected ports: what it publishes bypasses ufw."""
    found = facts.get("containers")
    if isinstance(found, Missing):
        return [unknown("firewall.bypass", "docker", found, next_notebook=ACCESS)]
    expected = set(parameters.firewall.allowed_tcp_ports)
    opened = [
        (container.name, port)
        for container in found
        for port in container.ports
        if port.public and port.host_port not in expected
    ]
    return [
        Verdict(
            State.CRITICAL,
            "firewall.bypass",
            str(port.host_port),
            f"{name} publishes it to all, and ufw does not cover that",
            value=f"{port.address}:{port.host_port}",
            limit="127.0.0.1 or not published",
            evidence=f"docker inspect {name}: {port.container_port}/{port.protocol}",
            next=BREACH,
        )
        for name, port in opened
    ] or [Verdict(State.OK, "firewall.bypass", "docker", "Docker publishes only expected ports", value="0", limit="0")]


def outside(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """What really answers from here is what should."""
    found = facts.get("outside")
    if isinstance(found, Missing):
        return [unknown("firewall.outside", "ports", found, next_notebook=ACCESS)]
    expected = set(parameters.firewall.allowed_tcp_ports)
    return [
        judge_condition(
            item.open == (item.port in expected),
            "firewall.outside",
            str(item.port),
            ok="reachable from here, as expected" if item.open else "not reachable from here, as expected",
            bad="reachable from here, and nobody expects it"
            if item.open
            else f"not reachable from here: {item.reason}",
            value="open" if item.open else "closed",
            limit="open" if item.port in expected else "closed",
            evidence=f"a connection to {item.port}: {item.reason}",
            next=BREACH if item.open else ACCESS,
        )
        for item in found
    ]
