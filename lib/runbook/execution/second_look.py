"""The second look of triage: asked only where the first one leaves a symptom without a cause.

first look -> causes -> (one is open) -> the last lines of the logs, what changed since the last good record
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from runbook.facts import Missing, gather, recent_logs
from runbook.records.last_good import since_last_good
from runbook.triage.changed import changed
from runbook.triage.messages import from_logs
from runbook.triage.parts import model

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.facts import CommandRunner, Facts
    from runbook.facts.stack_probes import Links
    from runbook.parameters import Parameters
    from runbook.verdict import Verdict


def look_again(connection: CommandRunner, facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Given a first look that leaves something open, ask the server once more and return the findings of that."""
    containers = facts.get("containers")
    expected = {} if isinstance(containers, Missing) else containers.expected
    down = frozenset(
        item.name for item in parameters.stack.services if item.name in expected and not expected[item.name].running
    )
    more = gather(connection, parameters, [recent_logs.recent_logs(down)])
    parts = model(facts, parameters)
    rows: list[Verdict] = []
    logs, links = more.get("recent_logs"), facts.get("links")
    known: Links | None = None if isinstance(links, Missing) else links
    if not isinstance(logs, Missing):
        clock = facts.get("clock")
        begun = (
            facts.at
            if isinstance(clock, Missing)
            else dt.datetime.fromtimestamp(clock - (facts.ended - facts.begun), dt.UTC)
        )
        rows += from_logs(logs, parts, known, begun, down)
    return rows


def changes_since_good(outputs: Path, notebook: str, facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Return what changed since the last good record of this notebook, as findings."""
    since = since_last_good(outputs, notebook, parameters.target, facts.as_json())
    parts = model(facts, parameters)
    return (
        changed([(item.what, item.was, item.now) for item in since.changes], since.started, parts) if since.name else []
    )
