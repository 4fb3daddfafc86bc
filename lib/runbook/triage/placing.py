"""Which part a finding is about, how much it says, and whether it hurts now. Pure.

How much a finding says (`Level`): what a user sees names no cause; a part's own state names the part; a setting, a limit
or a missing file names what to mend. `Acts` tells what holds now from what only would matter later or at the next start.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from runbook.facts.roles import ROLES
from runbook.triage.parts import (
    ADDRESS,
    ENGINE,
    FIREWALL,
    HOST,
    NETWORKS,
    TLS,
    USERS,
    WAY_IN,
    backup,
    certificate,
    disk,
    journey_uses,
    unit,
)  # fmt: skip
from runbook.verdict import State

if TYPE_CHECKING:
    from runbook.parameters import Parameters
    from runbook.triage.parts import Parts
    from runbook.verdict import Verdict


class Level(enum.IntEnum):
    """How much a finding says of its cause."""

    USER = 0
    """What a user sees."""
    NEIGHBOUR = 1
    """What a part that needs it says of it, or that there is no evidence."""
    STATE = 2
    """What the part itself shows: gone, unhealthy, restarting, slow."""
    MESSAGE = 3
    """A message of the part that names what it met."""
    CAUSE = 4
    """A setting, a limit, a lock, a file: what would be mended."""


class Acts(enum.Enum):
    """When a finding has effects."""

    NOW = "now"
    COULD = "could"
    """Now or at the next start: it explains what nothing else does."""
    LATER = "later"
    """Not yet: it explains nothing of now."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding belongs. `uses` are the parts whose trouble would show as this finding."""

    part: str
    level: Level
    acts: Acts
    slow: bool = False
    """It says that something is slow, not that it is gone."""
    uses: frozenset[str] = frozenset()
    first: frozenset[str] = frozenset()
    """Those of `uses` that such a finding points to first: what the step of the journey is for."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How findings of a kind are placed. `part` may hold {subject}; "@role" means the service of that role."""

    checks: str
    part: str
    level: Level
    acts: Acts = Acts.NOW
    slow: bool = False


U, N, S, M, C = Level.USER, Level.NEIGHBOUR, Level.STATE, Level.MESSAGE, Level.CAUSE
NOW, COULD, LATER = Acts.NOW, Acts.COULD, Acts.LATER
RULES = (
    # what users see
    Rule("web.front-page", USERS, U), Rule("web.health", USERS, U), Rule("web.assets", USERS, U),
    Rule("web.latency", USERS, U, slow=True), Rule("web.redirect", USERS, U),
    Rule("synthetic.guard", "@application", C), Rule("synthetic.*", USERS, U),
    Rule("web.ready", "word", N), Rule("web.certificate-days", TLS, C, LATER), Rule("web.certificate", TLS, C),
    Rule("web.proxy-config", "@proxy", C, COULD),
    # containers
    Rule("services.missing", "{subject}", C), Rule("services.memory-kill", "{subject}", C),
    Rule("services.state", "{subject}", S), Rule("services.health", "{subject}", S), Rule("services.restarts", "{subject}", S),
    Rule("services.restart-policy", "{subject}", C, LATER), Rule("services.extra", HOST, C, LATER),
    Rule("services.drift", "{subject}", C, COULD), Rule("services.image", "{subject}", C, COULD),
    Rule("resources.container-*", "container", C, COULD, slow=True),
    Rule("process.*", "container", C), Rule("limits.memory-share", "container", C, LATER), Rule("maybe.foreign-process", "container", C, COULD, slow=True), Rule("maybe.resolver", "@proxy", C, COULD), Rule("maybe.*", "@database", C, COULD), Rule("limits.*", "container", C), Rule("mounts.*", "container", C, COULD),
    Rule("settings.*", "container", C, COULD), Rule("log.other", "container", S), Rule("log.*", "container", M), Rule("log-before.*", "container", M, COULD),
    Rule("link.name", "container", C), Rule("link.port-wrong", "container", C), Rule("link.network", "container", C), Rule("link.ports-used", "container", C), Rule("link.outside", "container", C, COULD), Rule("link.flaps", NETWORKS, S),
    Rule("changed.*", "container", C, COULD), Rule("link.*", "container", N), Rule("network.*", NETWORKS, C),
    # what is asked of each part
    *(Rule(f"{room}.slow", f"@{room}", S, slow=True) for room in ("cache", "storage", "scanner", "application")),
    Rule("cache.answers", "@cache", S), Rule("cache.memory-share", "@cache", C, LATER), Rule("cache.*", "@cache", C),
    Rule("queue.wait", "@worker", S), Rule("queue.beat", "@worker", S), Rule("queue.*", "@worker", C),
    Rule("storage.answers", "@storage", S), Rule("storage.*", "@storage", C),
    Rule("scanner.answers", "@scanner", S), Rule("scanner.*", "@scanner", C),
    Rule("application.answers", "@application", S), Rule("proxy.answers", "@proxy", M),
    # database
    Rule("database.reachable", "@database", S), Rule("database.login", "@database", M), Rule("database.answers", "@database", S), Rule("database.answered", USERS, U, LATER),
    Rule("database.trust", "@database", C, LATER), Rule("database.dead-rows", "@database", C, LATER),
    Rule("database.wraparound", "@database", C, COULD), Rule("database.settings", "@database", C, LATER),
    Rule("database.sequences", "@database", C, COULD), Rule("database.constraints", "@database", C, LATER),
    Rule("database.indexes", "@database", C, COULD), Rule("database.expected-indexes", "@database", C, COULD, slow=True),
    Rule("database.triggers", "@database", C, COULD), Rule("database.revision", "@database", C, COULD),
    Rule("database.kept", "@database", C, LATER), Rule("database.long-query", "@database", C, COULD, slow=True),
    Rule("database.checksums", "@database", C, LATER), Rule("database.altered", "@database", C, COULD),
    Rule("database.*", "@database", C),
    # host
    Rule("resources.read-only", "disk", C), Rule("resources.disk", "disk", C), Rule("resources.inodes", "disk", C),
    Rule("resources.docker-disk", HOST, C, LATER), Rule("resources.reboot", HOST, C, LATER), Rule("resources.clock", HOST, C),
    Rule("resources.process-cpu", HOST, C, slow=True), Rule("resources.oom", HOST, C, COULD), Rule("resources.*", HOST, C, slow=True),
    Rule("kernel.setting", NETWORKS, C), Rule("kernel.*", HOST, C, COULD), Rule("host.*", HOST, C, COULD),
    Rule("units.enabled", "unit", C, LATER), Rule("units.*", "unit", S),
    Rule("firewall.port", FIREWALL, C, COULD), Rule("firewall.listener", ADDRESS, S, COULD), Rule("firewall.drops", FIREWALL, C, COULD),
    Rule("firewall.*", FIREWALL, C, LATER), Rule("access.way-in", WAY_IN, C), Rule("access.*", WAY_IN, C, LATER),
    # what is kept for later
    Rule("backup.age", "backup", S), Rule("backup.*", "backup", C, LATER), Rule("certificates.*", "certificate", C, LATER),
    Rule("inventory.env*", "@application", C, COULD), Rule("inventory.*", HOST, C, COULD), Rule("logs.*", "container", M, LATER),
    Rule("about.*", HOST, C, LATER), Rule("*", HOST, C, LATER),
)  # fmt: skip
TIMED_OUT = re.compile(r"timed? ?out|not done within|stopped after|slow|no answer in time", re.IGNORECASE)
ALTERED = re.compile(
    r"differs from its checksum|reads? back differently|does not read as it was written|is gone$|stored files instead of|not kept|is not listed"
)
OWN = "by its own configuration"
BY_PROXY = re.compile(r"^(4\d\d|500|503) text/html.*<center>(nginx|openresty)", re.IGNORECASE)
STOPPED = re.compile(r"^(paused|created|removing)|with code (0|137|143) \(|\): \S")


def place(row: Verdict, parts: Parts, parameters: Parameters) -> Place:
    """Given a finding, return where it belongs."""
    rule = next(item for item in RULES if fnmatchcase(row.check, item.checks))
    spot = Place(_part(rule, row, parts, parameters), rule.level, rule.acts, rule.slow)
    spot = _by_state(row, spot)
    spot = _by_words(row, spot, parts)
    told_slow = spot.level in (Level.USER, Level.NEIGHBOUR) and bool(TIMED_OUT.search(row.reason))
    first = journey_uses(row.check.partition(".")[2], parts) if row.check.startswith("synthetic.") else frozenset()
    # a comparison of what comes past the web server with what comes through it: nothing behind it can be the reason
    own = row.check == "proxy.answers" or (spot.level is Level.STATE and row.check.startswith("synthetic."))
    return replace(
        spot, slow=spot.slow or told_slow, uses=frozenset() if own else _uses(row, spot.part, parts), first=first
    )


def _by_state(row: Verdict, spot: Place) -> Place:
    """Return the place with what a finding's state says: no evidence is no cause, a warning limit has no effect yet."""
    warning, critical = row.state is State.WARNING, row.state is State.CRITICAL
    if row.state is State.UNKNOWN and row.check.startswith(
        ("synthetic.", "database.revision")
    ):  # not reached, or told by nobody
        return replace(spot, part=USERS, level=Level.USER)
    if row.state is State.UNKNOWN and spot.level > Level.STATE:
        return replace(spot, level=Level.NEIGHBOUR, acts=Acts.NOW)
    if row.check in {"resources.disk", "resources.inodes"} and not critical:
        return replace(spot, acts=Acts.LATER)
    if spot.slow and row.check.startswith("resources.") and warning:
        return replace(spot, acts=Acts.COULD)
    if critical and (row.check.startswith("certificates.") or row.check == "database.checksums"):
        return replace(
            spot, acts=Acts.COULD
        )  # an internal one that has expired, or does not fit its key; pages that only some rows need
    return spot


def _by_words(row: Verdict, spot: Place, parts: Parts) -> Place:  # noqa: PLR0911 (one line for each kind of words)
    """Return the place with what a finding's own words say of it."""
    if row.check == "web.certificate" and row.value == "none":  # nobody answered: that is no matter of certificates
        return replace(spot, part=USERS, level=Level.USER)
    if row.check == "web.certificate-days" and row.reason == "expired":  # web.certificate says it, too
        return replace(spot, level=Level.STATE, acts=Acts.NOW)
    if row.check == "web.ready" and (row.subject == "API" or not service_of(row.subject, parts)):
        return replace(spot, part=USERS, level=Level.USER)
    if row.check == "services.state" and STOPPED.search(row.reason):
        return replace(
            spot, level=Level.MESSAGE
        )  # it was stopped, by somebody or something, and did not fall over by itself
    if row.check == "proxy.answers" and row.reason.endswith(OWN):
        return replace(spot, level=Level.STATE)  # no line of its configuration says why: its log may
    if row.check.startswith("synthetic.") and BY_PROXY.search(
        row.evidence
    ):  # the web server's own page, not the application's answer
        return replace(spot, part=next(iter(parts.of_role("proxy")), USERS), level=Level.STATE)
    if row.check.startswith("synthetic.") and (content := _content(row, parts)):
        return replace(spot, part=content, level=Level.MESSAGE)
    return spot


UNITS = {"docker.service": ENGINE, "containerd.service": ENGINE, "ssh.service": WAY_IN}


def _part(rule: Rule, row: Verdict, parts: Parts, parameters: Parameters) -> str:
    subject, word = row.subject, row.subject.partition(" ")[0]
    if rule.part.startswith("@"):
        role, named = rule.part[1:], service_of(word, parts)
        return named if named and parts.roles.get(named) == role else next(iter(parts.of_role(role)), HOST)
    found = {
        "container": lambda: service_of(word, parts) or HOST,
        "word": lambda: service_of(subject, parts) or next(iter(parts.of_role("application")), HOST),
        "disk": lambda: disk(subject),
        "unit": lambda: UNITS.get(subject, unit(subject)),
        "backup": lambda: backup(_class_of(word, parameters)),
        "certificate": lambda: certificate(subject),
    }.get(rule.part)
    if subject == "docker" and rule.part != "certificate":
        return ENGINE
    if row.check == "access.way-in" and row.reason.startswith("neither"):
        return HOST
    return found() if found else rule.part.format(subject=subject)


def _class_of(word: str, parameters: Parameters) -> str:
    """Return the class of backups that a word names; what names none ("newest dump") is about the database's."""
    classes = {item.name: item.kind for item in parameters.backup.classes}
    return word if word in classes else next((name for name, kind in classes.items() if kind == "database"), word)


def service_of(word: str, parts: Parts) -> str:
    """Given a word that names a service, its container or its role, return the service; "" where none is meant.

    >>> from runbook.triage.parts import Parts
    >>> service_of("storage", Parts({}, {"minio": "storage", "db": "database"})), service_of("nobody", Parts({}, {"db": "database"}))
    ('minio', '')
    """
    if word in parts.roles:
        return word
    role = next((role for role, words in ROLES.items() if word == role or word in words), "")
    return (
        next(iter(parts.of_role(role)), "")
        if role
        else next((name for name in parts.roles if word.endswith(f"-{name}")), "")
    )


def _content(row: Verdict, parts: Parts) -> str:
    """Return the service whose data are not what they were, where a step of the journey says so; "" where it says something else."""
    if not ALTERED.search(row.reason):
        return ""
    role = "storage" if "file" in row.reason else "database"
    return next(iter(parts.of_role(role)), "")


FRONT = {"web.front-page": ("frontend",), "web.assets": ("frontend",), "web.redirect": ()}


def _uses(row: Verdict, part: str, parts: Parts) -> frozenset[str]:
    """Return the parts in whose trouble this finding can have its reason."""
    if (
        row.check == "web.ready"
    ):  # what the application says of a part: the reason can lie with the part, between them, or with itself
        return (
            parts.below(part)
            | frozenset(parts.of_role("application"))
            | frozenset(other for other in parts.below(USERS) if other not in parts.roles)
        )
    if part != USERS:
        return parts.below(part)
    if row.check not in FRONT:  # the API: nobody outside knows which parts it asks for an answer
        others = ("frontend",) if row.check == "synthetic.job" else ("frontend", "worker")
        return frozenset(parts.below(USERS) - set(parts.of_role(*others)))
    used = {TLS, ADDRESS, *parts.of_role("proxy", *FRONT[row.check])}
    return frozenset(used | {other for one in used for other in parts.below(one) if other not in parts.roles})
