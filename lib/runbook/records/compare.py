"""What changed on a server between two records: images, compose file, certificates, firewall, packages, disk. Pure.

Works on facts as JSON, whatever facts there are: values that are never the same twice (times taken, load, counters) are
left out, fill levels count from `POINTS` percentage points on, everything else counts when it differs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook.records.index import item_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

POINTS = 2.0
TOPICS = (
    ("images", r"images?\b|.*\.(image|reference|digest)$"),
    ("compose file", r"compose\b|.*\.config_hash$|(paths|hashes)\b.*compose"),
    ("certificates", r".*certificate|.*letsencrypt|.*\bcerts?\b|renewal"),
    ("firewall", r"firewall|packet_filter|ufw|listen|outside|.*\bports?\b"),
    ("packages", r"packages|upgrades|reboot"),
    ("disk", r"filesystems|docker_disk|disk|backup|copies"),
    ("containers", r"containers"),
    ("access", r"sshd|accounts|sudo_rules|cron|login|sessions"),
    ("paths", r"locations|paths|hashes|variables"),
    ("database", r"database|tables|postgres"),
    ("units", r"units|timer"),
)
FILL = re.compile(r"(^|\.)(inodes_)?used_percent$")
# never the same twice, or told by another value of the same thing
RESTLESS = re.compile(
    r"(milliseconds|seconds|_bytes|percent|load_\d+|uptime|\bage|days_left|hours|_at|\.id|\.finished|\.status|\.text|failing_streak"
    r"|health_said|evidence|\.reason|\.ended|\.last|\.next|\.remaining|\.size|\.pid|connections?|\brows?|lines|count|usage\..*"
    r"|(dead|deleted|live)_rows|scans|\.bytes|\.filled|^database\.answers\.(activity|locks|sessions|waiting|connections|lock_holders|prepared)\b.*|_ago|\.used"
    r"|^clock\b.*|^machine\..*|^synthetic\..*|^kills\b.*|^processes\b.*|^log.*)$"
)


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs: where, what it was and what it is now ("" where it was or is not there)."""

    topic: str
    what: str
    was: str
    now: str


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Given a fact as JSON, return its plain values by path; items of a list are named by what they are about."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        if all(isinstance(item, str | int | float | bool) for item in value):
            yield path, ", ".join(sorted(map(str, value)))
            return
        for place, item in enumerate(value):
            yield from leaves(item, f"{path}.{item_name(item, place)}")
    else:
        yield path, value


def changes(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Given the facts of an earlier and a later record, return what changed, by topic.

    Facts that only one of the two has are not compared: a notebook that asks less has not lost anything.
    """
    shared = [name for name in was if name in now and not _missing(was[name]) and not _missing(now[name])]
    before = dict(pair for name in shared for pair in leaves(was[name], name))
    after = dict(pair for name in shared for pair in leaves(now[name], name))
    found = []
    for path in dict.fromkeys([*before, *after]):
        change = _change(path, before.get(path, _ABSENT), after.get(path, _ABSENT))
        if change is not None:
            found.append(change)
    order = {topic: number for number, (topic, _) in enumerate(TOPICS)}
    return sorted(_gathered(found), key=lambda change: (order.get(change.topic, len(order)), change.what))


_ABSENT: Any = object()


def _missing(fact: Any) -> bool:
    """Whether a fact is missing evidence (facts.Missing as JSON)."""
    return isinstance(fact, dict) and {"fact", "reason", "exit_code"} <= fact.keys()


def _change(path: str, was: Any, now: Any) -> Change | None:
    if was == now:
        return None
    if FILL.search(path):
        if isinstance(was, int | float) and isinstance(now, int | float) and abs(now - was) < POINTS:
            return None
        return Change(_topic(path), path, f"{_shown(was)} %", f"{_shown(now)} %")
    if RESTLESS.search(path) or isinstance(was, float) or isinstance(now, float):
        return None
    return Change(_topic(path), path, _shown(was), _shown(now))


def _gathered(found: list[Change]) -> list[Change]:
    """Tell a thing that is new or gone as one change, not as one for each of its values."""
    groups: dict[tuple[str, bool], list[Change]] = {}
    for change in found:
        if change.was == "" or change.now == "":
            stem = change.what.rsplit(".", 1)[0]
            groups.setdefault((stem, change.was == ""), []).append(change)
    told: list[Change] = [change for change in found if change.was != "" and change.now != ""]
    for (stem, new), members in groups.items():
        if len(members) == 1:
            told += members
        else:
            text = "; ".join(f"{item.what.rsplit('.', 1)[1]} {item.now or item.was}" for item in members[:4])
            told.append(Change(_topic(stem), stem, "" if new else text, text if new else ""))
    return told


def _topic(path: str) -> str:
    return next((topic for topic, pattern in TOPICS if re.match(pattern, path)), "other")


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return ""
    if value is None or value == "":
        return "(empty)"
    text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    return text if len(text) <= 120 else f"{text[:117]}..."  # noqa: PLR2004 (a line on a screen)
