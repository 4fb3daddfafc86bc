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
    from runbook.facts.stack_probes import Link, Links
    from runbook.parameters import Parameters

CONTROL, START = "08-troubleshoot/service-wont-start", "08-troubleshoot/service-wont-start"
SETTLING_SECONDS = 3
SLOW_MILLISECONDS = 300
"""Between two containers of one host a connection takes less than a millisecond; under heavy load some tens. The fastest of three tries counts."""


def links(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge every connection that a service's settings name, seen from that service."""
    found = facts.get("links")
    if isinstance(found, Missing):
        return [unknown("link.answers", "docker", found, next_notebook=CONTROL)]
    fresh = _just_started(facts)
    rows = _merged(
        [
            row
            for link in found.links
            if link.to and link.tried and link.service not in fresh
            for row in _link(link, facts, found.listens.get(link.to))
        ]
    )
    rows += _cut_off(found, facts)
    rows += [row for link in found.links if not link.to and link.tried for row in _outside(link, parameters)]
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


def _link(link: Link, facts: Facts, listens: tuple[int, ...] | None) -> Iterator[Verdict]:  # noqa: PLR0911 (one end for each way in which a connection fails)
    subject = f"{link.service} to {link.to}"
    place = f"{link.host}:{link.port} ({link.by})"
    target = _running(link.to, facts)
    if not link.names:
        if not target or not link.share_network:
            return  # a container that does not run has no name: services.state says so; one that is cut off is told once
        yield Verdict(
            State.CRITICAL, "link.name", subject, f"{link.service} cannot resolve the name {link.host}", value="no address",
            limit="an address", evidence=f"{place}: {link.said.removeprefix('name: ') or 'no answer'}", next=CONTROL,
        )  # fmt: skip
        return
    others = [owner for owner in link.owners if owner != link.to]
    if others and target:
        too = link.to in link.owners
        told = (
            f"also means {', '.join(others)}: some connections go there"
            if too
            else f"means {', '.join(others)}, not {link.to}"
        )
        yield Verdict(
            State.CRITICAL, "link.name", subject, f"for {link.service} the name {link.host} {told}", value=", ".join(link.names),
            limit=f"the address of {link.to}", evidence=f"{place} resolves to {', '.join(link.names)} inside {link.service}: its list of hosts, or an alias",
            next=CONTROL,
        )  # fmt: skip
        return
    if link.connected_ms is None and "assign requested address" in link.said:
        yield Verdict(
            State.CRITICAL, "link.ports-used", link.service, f"{link.service} has no port left for connections of its own", value="none", limit="thousands",
            evidence=f"a connection from {link.service} to {place}: {link.said.removeprefix('port: ')} (net.ipv4.ip_local_port_range)", next=CONTROL,
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
    if link.failures:
        yield Verdict(
            State.CRITICAL, "link.flaps", subject, f"the way from {link.service} to {link.to} comes and goes: {link.failures} of {link.tries} tries failed",
            value=f"{link.failures} of {link.tries}", limit="0", evidence=f"a connection from {link.service} to {place}: {link.said}", next=CONTROL,
        )  # fmt: skip
        return
    slow = max(link.connected_ms, link.resolved_ms or 0)
    yield judge_condition(
        slow < SLOW_MILLISECONDS, "link.time", subject, ok="its name resolves and its port answers",
        bad="the way between them is slow: " + ("the name is slow to resolve" if (link.resolved_ms or 0) >= link.connected_ms else "a connection takes long"),
        state=State.WARNING, value=f"{slow} ms", limit=f"{SLOW_MILLISECONDS} ms", evidence=f"a connection from {link.service} to {place}",
        next=CONTROL,
    )  # fmt: skip


def _cut_off(found: Links, facts: Facts) -> list[Verdict]:
    """Tell of each container that shares no network with those that need it: the one that is alone."""
    rows: dict[str, Verdict] = {}
    for link in found.links:
        if not link.to or link.share_network or not _running(link.to, facts) or not _running(link.service, facts):
            continue

        def company(name: str) -> int:
            mine = set(found.networks.get(name, ()))
            return sum(bool(mine & set(other)) for service, other in found.networks.items() if service != name)

        alone = min((link.to, link.service), key=company)
        other = link.service if alone == link.to else link.to
        networks = ", ".join(found.networks.get(alone, ())) or "none"
        rows.setdefault(
            alone,
            Verdict(
                State.CRITICAL, "link.network", alone, f"{alone} is cut off: it shares no network with {other}", networks, ", ".join(found.networks.get(other, ())),
                f"docker inspect: networks of {alone}: {networks}", CONTROL,
            ),
        )  # fmt: skip
    return list(rows.values())


def _outside(link: Link, parameters: Parameters) -> Iterator[Verdict]:
    """Judge a connection to what is no service of the stack: a name without a dot means one all the same."""
    subject, place = f"{link.service} to {link.host}", f"{link.host}:{link.port} ({link.by})"
    if not link.names and "." not in link.host:
        yield Verdict(
            State.CRITICAL, "link.name", subject, f"{link.service} is told to use {link.host}, and nothing has that name", value="no address", limit="a service's name",
            evidence=f"{place}: {link.said.removeprefix('name: ') or 'no answer'}", next="01-access/server-inventory",
        )  # fmt: skip
    elif link.host != parameters.web.name and (not link.names or link.connected_ms is None):
        yield Verdict(
            State.WARNING, "link.outside", subject, f"{link.service} does not reach {link.host}, which is no service of the stack", value=link.said or "no answer", limit="answers",
            evidence=f"a connection from {link.service} to {place}: {link.said}", next="01-access/server-inventory",
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
    return list({(row.check, row.subject): row for row in reversed([*told, *rows])}.values())[::-1]


def _just_started(facts: Facts) -> set[str]:
    """Return the services whose container was started while it was looked at, or a moment before: its network is not up yet, or gone already."""
    found = facts.get("containers")
    if isinstance(found, Missing):
        return set()
    moments = {item.service: item.started for item in found if item.started is not None}
    return {name for name, at in moments.items() if facts.begun and (facts.at - at).total_seconds() < SETTLING_SECONDS}


def _running(service: str, facts: Facts) -> bool:
    found = facts.get("containers")
    if isinstance(found, Missing):
        return True
    container = found.expected.get(service)
    return container is not None and container.running
