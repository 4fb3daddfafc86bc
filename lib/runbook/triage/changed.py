"""What changed since the last good record, as findings of the parts that it belongs to: what could be a cause. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runbook.triage.placing import service_of
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.triage.parts import Parts

MOST = 12
ROOMS = {"database": "database", "proxy_config": "nginx"}
# what follows from trouble, and is no cause of it
EFFECTS = re.compile(
    r"^(synthetic|web|links|host|kills|compose\.would|units\.\w+\.(sub|active)|units\.failed|machine|proxy_config|inside|backends\.parts\.\w+\.(failed|logins)|newest_dump|copies)\b"
    r"|\.(health|state|exit_code|error|restarts|started|created|oom_killed|running|id|config_hash|depends_on|made|made_by)$|(^|\.)containers\.all\b|read_only$"
)


def changed(found: Iterable[tuple[str, str, str]], since: str, parts: Parts) -> list[Verdict]:
    """Given (path, was, now) of what changed since a time, return findings that could be causes."""
    rows = []
    for path, was, now in found:
        if EFFECTS.search(path):
            continue
        words = re.split(r"[./ ]", path)
        part = next((name for word in words if (name := word if word in parts.roles else "")), "") or service_of(
            ROOMS.get(words[0], ""), parts
        )
        rows.append(
            Verdict(
                State.WARNING,
                "changed.since-good",
                part or "host",
                f"{path} changed since it was last well",
                now[:60] or "gone",
                was[:60] or "not there",
                f"{path}: was {was[:80] or 'not there'}, is {now[:80] or 'gone'} (last good record {since})",
                "02-services/control" if part else "01-access/server-inventory",
            )
        )
    return rows[:MOST]
