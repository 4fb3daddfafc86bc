"""Connections between containers: every name that a service needs resolves to the right one, and its port answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbook.checks import judge_condition, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.facts import Facts
    from runbook.facts.stack_probes import Link
    from runbook.parameters import Parameters

CONTROL, START = "02-services/control", "08-troubleshoot/service-wont-start"
SLOW_MILLISECONDS = 300
"""Between two containers of one host a connection takes less than a millisecond; under heavy load some tens."""


def links(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """Judge every connection that a service's settings name, seen from that service."""
    found = facts.get("links")
    if isinstance(found, Missing):
        return [unknown("link.answers", "docker", found, next_notebook=CONTROL)]
    rows = _merged(
        [
            row
            for link in found.links
            if link.to and link.tried
            for row in _link(link, facts, found.listens.get(link.to))
        ]
    )
    rows += [
        Verdict(
            State.UNKNOWN, "link.answers", service, f"no evidence: its network could not be entered: {said[:120]}", evidence=said[:200], next=CONTROL
        )
        for service, said in found.failed.items()
    ]  # fmt: skip
    rows += [
        Verdict(
            State.CRITICAL, "network.shaped", service, "its traffic is delayed or dropped on purpose (tc)",
            value=str(len(lines)), limit="0", evidence=f"tc qdisc show: {lines[0]}", next=CONTROL,
        )
        for service, lines in found.shaped.items()
    ]  # fmt: skip
    rows += [
        Verdict(
            State.CRITICAL, "network.filter", service, "packets are dropped inside its own network", value=str(len(lines)), limit="0",
            evidence=f"iptables in the container's network: {lines[0]}", next=CONTROL,
        )
        for service, lines in found.filters.items()
    ]  # fmt: skip
    return rows


def _link(link: Link, facts: Facts, listens: tuple[int, ...] | None) -> Iterator[Verdict]:
    subject = f"{link.service} to {link.to}"
    place = f"{link.host}:{link.port} ({link.by})"
    target = _running(link.to, facts)
    if link.said.startswith("name:") or not link.names:
        if not target:
            return  # a container that does not run has no name: services.state says so
        why = "" if link.share_network else f": {link.service} and {link.to} share no network"
        yield Verdict(
            State.CRITICAL, "link.name", subject, f"{link.service} cannot resolve the name {link.host}{why}", value="no address",
            limit="an address", evidence=f"{place}: {link.said.removeprefix('name: ') or 'no answer'}", next=CONTROL,
        )  # fmt: skip
        return
    if link.owners and link.to not in link.owners and target:
        yield Verdict(
            State.CRITICAL, "link.name", subject, f"for {link.service} the name {link.host} means {', '.join(link.owners)}, not {link.to}",
            value=", ".join(link.names), limit=f"the address of {link.to}",
            evidence=f"{place} resolves to {', '.join(link.names)} inside {link.service}: its list of hosts, or an alias", next=CONTROL,
        )  # fmt: skip
        return
    if link.connected_ms is None and listens and link.port not in listens and "refused" in link.said:
        ports = ", ".join(map(str, listens))
        yield Verdict(
            State.CRITICAL, "link.port-wrong", subject, f"{link.service} asks {link.to} at port {link.port}, where nothing listens; {link.to} listens at {ports}",
            value=str(link.port), limit=ports, evidence=f"{place}: {link.said.removeprefix('port: ')}; /proc/net/tcp of {link.to}: {ports}", next=CONTROL,
        )  # fmt: skip
        return
    if link.connected_ms is None:
        blocked = link.from_host is True
        yield Verdict(
            State.CRITICAL, "network.blocked" if blocked else "link.port", subject,
            f"{link.service} does not get through to {link.to}, whose port answers the host: something between them drops it"
            if blocked
            else f"nothing answers {link.service} at {place}",
            value=link.said.removeprefix("port: "), limit="answers", evidence=f"a connection from {link.service} to {place}: {link.said}",
            next=CONTROL if blocked else START,
        )  # fmt: skip
        return
    slow = max(link.connected_ms, link.resolved_ms or 0)
    yield judge_condition(
        slow < SLOW_MILLISECONDS, "link.time", subject, ok="its name resolves and its port answers",
        bad="the way between them is slow: " + ("the name is slow to resolve" if (link.resolved_ms or 0) >= link.connected_ms else "a connection takes long"),
        state=State.WARNING, value=f"{slow} ms", limit=f"{SLOW_MILLISECONDS} ms", evidence=f"a connection from {link.service} to {place}",
        next=CONTROL,
    )  # fmt: skip


def _merged(rows: list[Verdict]) -> list[Verdict]:
    """Tell what one service has with several others in one row: what is wrong is then on its own side."""
    told: list[Verdict] = []
    for check, words in (("link.name", "cannot resolve the names of"), ("network.blocked", "does not get through to")):
        mine: dict[str, list[Verdict]] = {}
        for row in rows:
            if row.check == check and row.value in {
                "no address",
                "timed out",
                "No route to host",
                "Connection refused",
                "Network is unreachable",
            }:
                mine.setdefault(row.subject.partition(" to ")[0], []).append(row)
        for service, several in mine.items():
            if len(several) > 1:
                others = [row.subject.partition(" to ")[2] for row in several]
                told.append(replace(several[0], subject=service, reason=f"{service} {words} {', '.join(others)}"))
                rows = [row for row in rows if row not in several]
    return [*told, *rows]


def _running(service: str, facts: Facts) -> bool:
    found = facts.get("containers")
    if isinstance(found, Missing):
        return True
    container = found.expected.get(service)
    return container is not None and container.running
