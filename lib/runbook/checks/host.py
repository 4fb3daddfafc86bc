"""What the host can no longer do: resolve names, forward packets, take one more file or process; what its logs say of it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from runbook.checks import judge_number, unknown
from runbook.facts import Missing
from runbook.parameters import Threshold
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.facts import Facts
    from runbook.parameters import Parameters

TRIAGE, OUTAGE, ACCESS = "08-troubleshoot/triage", "09-emergency/complete-outage", "01-access/ssh-and-sudo"
MOST_WORDS_OF_POLICY = 5
"""A rule without a condition ("filter: FORWARD -j DROP") is the end of a list, as a policy would be."""
ROOM = Threshold(warning=80, critical=95)


def host(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge what the program found."""
    probe = facts.get("host")
    if isinstance(probe, Missing):
        return [unknown("host.probe", "host", probe, next_notebook=TRIAGE)]
    found = {
        key: value
        for key, value in probe.found.items()
        if not (isinstance(value, dict) and ("late" in value or "failed" in value))
    }
    return [
        *_room(found.get("room") or {}),
        *_network(found, facts, parameters),
        *_names(found.get("resolvers") or []),
        *_logs(found),
    ]


def _room(room: dict[str, Any]) -> Iterator[Verdict]:
    for name, pair in sorted(room.items()):
        if pair and pair[0] is not None and pair[1]:
            percent = 100 * pair[0] / pair[1]
            yield judge_number(
                "host.room",
                name,
                percent,
                ROOM,
                unit="%",
                what="use",
                next_notebook=TRIAGE,
                evidence=f"{pair[0]} of {pair[1]}",
            )


def _network(found: dict[str, Any], facts: Facts, parameters: Parameters) -> Iterator[Verdict]:
    if found.get("forward") == 0:
        yield Verdict(
            State.CRITICAL, "kernel.setting", "net.ipv4.ip_forward", "the host forwards no packets: containers can neither be reached nor reach anything",
            "0", "1", "sysctl net.ipv4.ip_forward = 0", OUTAGE,
        )  # fmt: skip
    allowed = {str(port) for port in parameters.firewall.allowed_tcp_ports}
    for line in (text for text in found.get("drops") or [] if _hurts(text, allowed)):
        yield Verdict(
            State.WARNING,
            "firewall.drops",
            "packet filter",
            "a rule that neither ufw nor Docker wrote drops packets",
            "a rule",
            "none",
            line,
            ACCESS,
        )
    for line in found.get("shaped") or []:
        yield Verdict(
            State.CRITICAL,
            "network.shaped",
            "host",
            "traffic is delayed or dropped on purpose (tc)",
            "shaped",
            "not",
            f"tc qdisc show: {line}",
            TRIAGE,
        )
    for line in found.get("bridges") or []:
        yield Verdict(State.CRITICAL, "network.bridge", "host", line, "down", "up", f"ip address: {line}", OUTAGE)
    web = facts.get("web")
    served = (
        not isinstance(web, Missing) and web.front.status != 0
    )  # another way than this rule leads there: nftables, or a proxy of Docker's
    for port in () if served else found.get("published") or []:
        yield Verdict(
            State.WARNING, "network.published", str(port), "Docker's rule that leads this port to its container is gone", "no rule", "a rule",
            f"iptables -t nat: no DNAT for port {port}", OUTAGE,
        )  # fmt: skip


def _hurts(rule: str, allowed: set[str]) -> bool:
    """Whether a rule drops what everybody may send: not what comes from one source, is invalid, or is the end of a list of what is allowed."""
    words = rule.split()
    one_source = {"-s", "--source", "--match-set", "recent", "INVALID", "--ctstate"} & set(words) or any(
        "INVALID" in word for word in words
    )
    ports = {port for word, value in pairwise(words) if word in {"--dport", "--dports"} for port in value.split(",")}
    chance = "--probability" in words or "statistic" in words
    return chance or (
        not one_source
        and (
            bool(ports & allowed)
            or (
                not ports
                and any(chain in words for chain in ("DOCKER-USER", "FORWARD", "OUTPUT"))
                and len(words) > MOST_WORDS_OF_POLICY
            )
        )
    )


def _names(resolvers: list[dict[str, Any]]) -> Iterator[Verdict]:
    dead = [row for row in resolvers if not row["answers"]]
    if dead and len(dead) == len(resolvers):
        yield Verdict(
            State.CRITICAL, "host.names", "name resolution", "the host cannot resolve names: mail, updates and renewals fail", "none answers", "one answers",
            f"/etc/resolv.conf: {dead[0]['server']}: {dead[0]['said']}", TRIAGE,
        )  # fmt: skip
    elif dead:
        yield Verdict(
            State.WARNING,
            "host.names",
            "name resolution",
            "one of the host's name servers does not answer: every look-up may wait for it",
            "no answer",
            "answers",
            f"/etc/resolv.conf: {dead[0]['server']}: {dead[0]['said']}",
            TRIAGE,
        )
    elif resolvers:
        yield Verdict(
            State.OK, "host.names", "name resolution", "the host's name servers answer", str(len(resolvers)), "1"
        )


def _logs(found: dict[str, Any]) -> Iterator[Verdict]:
    if lines := found.get("kernel"):
        yield Verdict(
            State.CRITICAL,
            "kernel.log",
            "kernel",
            f"the kernel met trouble: {lines[-1][:120]}",
            f"{len(lines)} lines",
            "none",
            f"journalctl --dmesg: {lines[-1][:240]}",
            TRIAGE,
        )
