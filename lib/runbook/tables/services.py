"""Containers, their images, and the compose file against what runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.facts import Missing
from runbook.tables.shown import count, shown
from runbook.tables.table import Cell, Table
from runbook.tables.verdicts import findings_of, reason_of, state_of

if TYPE_CHECKING:
    import datetime as dt

    from runbook.facts import Facts
    from runbook.facts.compose import ComposeFile
    from runbook.facts.services import Containers
    from runbook.verdict import Verdicts

SHORT_DIGEST = 19  # "sha256:" and twelve digits, as Docker shortens them


@shown("containers")
def containers(fact: Containers, facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return every expected container and every other one, what it does and what is found about it."""
    rows: list[tuple[Cell, ...]] = []
    for item in fact:
        found = findings_of(verdicts, item.service, "services")
        since = _since(item.started if item.running else item.finished, facts.at)
        rows.append(
            (
                state_of(found),
                item.service,
                item.state,
                item.health or "none",
                since,
                item.restarts,
                None if item.running else f"{item.exit_code}: {item.exit_meaning}",
                reason_of(found),
            )
        )
    known = {item.name for item in fact}
    for other in fact.all:
        if other.name not in known:
            found = findings_of(verdicts, other.name, "services")
            rows.append((state_of(found), other.name, other.state, None, None, None, None, reason_of(found)))
    running = sum(1 for item in fact if item.running)
    columns = ("state", "service", "container is", "health", "for", "restarts", "exit code", "finding")
    return Table.of(columns, rows, title=f"{count(len(fact), 'expected container')} found, {running} running")


@shown("containers")
def images(fact: Containers, facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return which image each container runs: its reference and digest, and when the container was made."""
    rows = [
        (
            state_of(findings_of(verdicts, item.service, "services.image")),
            item.service,
            item.reference,
            item.image[:SHORT_DIGEST],
            facts.at - item.created,
            item.restart_policy,
        )
        for item in fact
    ]
    columns = ("state", "service", "image", "digest", "container age", "restart policy")
    return Table.of(columns, rows, title=f"{count(len({item.image for item in fact}), 'image')} in use")


@shown("compose")
def compose(fact: ComposeFile, facts: Facts, verdicts: Verdicts | None) -> Table:
    """Return what Compose would do with each container now; one that it would recreate runs on an earlier file."""
    unset = "A variable has no value: 01-access/server-inventory names it." if fact.unset else ""
    if not fact.valid:
        rows = [("refused", fact.error)]
        return Table.of(("compose file", "Compose says"), rows, title="Compose refuses the file.", note=unset)
    known = facts.get("containers")
    services = {} if isinstance(known, Missing) else {item.name: item.service for item in known}
    judged = []
    for container, would in sorted(fact.would.items()):
        service = services.get(container, container)
        found = findings_of(verdicts, service, "services.drift")
        judged.append((state_of(found), service, "leave it" if would == "Running" else would.lower(), reason_of(found)))
    changed = sum(1 for would in fact.would.values() if would != "Running")
    title = f"The compose file is valid; {count(changed, 'container')} would be changed by it now"
    return Table.of(("state", "service", "Compose would", "finding"), judged, title=title, note=unset)


def _since(moment: dt.datetime | None, now: dt.datetime) -> dt.timedelta | None:
    return None if moment is None else now - moment
