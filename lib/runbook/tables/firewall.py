"""The firewall's own words, and each port from every side: rules, listeners, Docker, and a real connection from here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.facts import Missing
from runbook.tables.shown import count, shown
from runbook.tables.table import Cell, Table
from runbook.tables.verdicts import findings_of, reason_of, state_of, titled

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.firewall import PacketFilter, PortProbe, Ufw
    from runbook.parameters import Parameters
    from runbook.verdict import Verdicts

UNSEEN = "no evidence"


@shown("ufw")
def firewall(fact: Ufw, facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return what ufw says, and what the kernel really does."""
    kernel: PacketFilter | Missing = facts.get("packet_filter")
    seen: list[tuple[str, str]] = [
        ("ufw", "active" if fact.active else "NOT active"),
        ("what no rule names", fact.default_incoming or "not said"),
        ("after a reboot", "comes up by itself" if fact.enabled_at_boot else "stays off"),
    ]
    if isinstance(kernel, Missing):
        seen.append(("the kernel", f"{UNSEEN}: {kernel.reason}"))
    else:
        hooked = "with ufw's rules" if kernel.ufw_hooked else "WITHOUT ufw's rules"
        seen.append(
            ("the kernel drops the rest", f"{kernel.policy} {hooked}; IPv6 {kernel.policy_6 or 'has no rules'}")
        )
        seen.append(
            ("rules for Docker's ports", "; ".join(kernel.docker_user) or "none: published ports are open to all")
        )
    seen += [("rule", rule) for rule in fact.rules]
    found = findings_of(verdicts, None, "firewall")
    title = f"ufw is {'active' if fact.active else 'NOT active'} with {count(len(fact.rules), 'rule')}"
    return Table(("what", "seen"), tuple(seen), titled(title, found), note=reason_of(found)).all


def ports(facts: Facts, parameters: Parameters, verdicts: Verdicts | None = None) -> Table:
    """Return every port that is expected, allowed, listened on beyond the server itself, published, or tried from here."""
    listens = _listens(facts)
    published = _published(facts)
    allowed = _allowed(facts)
    reached: dict[int, PortProbe] = {item.port: item for item in _tuple(facts, "outside")}
    expected = set(parameters.firewall.allowed_tcp_ports)
    rows: list[tuple[Cell, ...]] = []
    for port in sorted(expected | listens.keys() | published.keys() | reached.keys() | allowed.keys()):
        found = findings_of(verdicts, str(port), "firewall")
        tried = reached.get(port)
        rows.append(
            (
                state_of(found),
                str(port),
                port in expected,
                allowed.get(port, "no"),
                listens.get(port, "nobody"),
                published.get(port, "no"),
                "not tried" if tried is None else "open" if tried.open else f"closed: {tried.reason}",
                reason_of(found),
            )
        )
    unseen = [
        name for name in ("packet_filter", "listeners", "containers", "outside") if isinstance(facts.get(name), Missing)
    ]
    note = f"No evidence of: {', '.join(unseen)}; their columns say nothing." if unseen else ""
    columns = (
        "state",
        "port",
        "expected",
        "firewall lets in",
        "listens",
        "published by Docker",
        "from outside",
        "finding",
    )
    opened = sum(1 for item in reached.values() if item.open)
    return Table.of(
        columns, rows, title=f"{count(opened, 'port')} of {len(reached)} tried from outside are open", note=note
    )


def _tuple(facts: Facts, name: str) -> tuple[PortProbe, ...]:
    fact = facts.get(name)
    return () if isinstance(fact, Missing) else fact


def _listens(facts: Facts) -> dict[int, str]:
    fact = facts.get("listeners")
    if isinstance(fact, Missing):
        return {}
    programs: dict[int, set[str]] = {}
    for item in fact:
        if item.public:
            programs.setdefault(item.port, set()).add(item.program or "unknown")
    return {port: ", ".join(sorted(names)) for port, names in programs.items()}


def _published(facts: Facts) -> dict[int, str]:
    fact = facts.get("containers")
    if isinstance(fact, Missing):
        return {}
    return {
        port.host_port: item.service for item in fact for port in item.ports if port.public and port.protocol == "tcp"
    }


def _allowed(facts: Facts) -> dict[int, str]:
    fact = facts.get("packet_filter")
    if isinstance(fact, Missing):
        return {}
    return {int(port): ", ".join(sources) for port, sources in fact.accepted.items() if port.isdigit()}
