"""Causes, ranked: each finding that no other one explains leads, with what it explains folded under it. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runbook.triage.parts import ADDRESS, ENGINE, FIREWALL, HOST, NETWORKS, TLS, USERS, WAY_IN, model
from runbook.triage.placing import Acts, Level, place
from runbook.verdict import State, Verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runbook.facts import Facts
    from runbook.parameters import Parameters
    from runbook.triage.parts import Parts
    from runbook.triage.placing import Place
    from runbook.verdict import Verdict


EVIDENCE_ONLY = ("log-before.", "changed.", "maybe.")
"""Rooms of what is usual on many a server: it is told where it explains a symptom, and is no finding by itself."""
NO_SERVICE = frozenset({USERS, TLS, ADDRESS, FIREWALL, ENGINE, NETWORKS, HOST, WAY_IN})
RECREATE = frozenset(
    {
        "services.missing",
        "services.drift",
        "services.image",
        "mounts.replaced",
        "mounts.gone",
        "process.mount",
        "settings.differ",
        "link.name",
        "inventory.env-container",
    }
)
"""What a restart leaves as it is: the container must be made anew."""
SECRETS = {"database.login": "database-password", "cache.login": "redis-password"}


class Group(enum.IntEnum):
    """The three groups of causes, in the order of the page."""

    NOW = 0
    LATER = 1
    ACCEPTED = 2

    def __str__(self) -> str:
        return {Group.NOW: "hurts users now", Group.LATER: "will hurt", Group.ACCEPTED: "accepted"}[self]


@dataclass(frozen=True, slots=True)
class Finding:
    """A row, and where it belongs."""

    row: Verdict
    place: Place


@dataclass(frozen=True, slots=True)
class Look:
    """What was found, against which model, and which parts passed a probe of their own."""

    found: tuple[Finding, ...]
    parts: Parts
    passed: frozenset[str]
    asked: frozenset[str]
    """Those of `passed` that were asked themselves, and so are well now, whatever their logs said before."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause: the finding that leads, what it explains, what else could explain that, and how sure it is, in words."""

    row: Verdict
    part: str
    group: Group
    explains: tuple[Verdict, ...]
    rivals: tuple[Verdict, ...]
    confidence: str
    ruled_out: tuple[str, ...]
    open: bool = False
    """It hurts users, and what was found of it is a symptom or a state, not what is to be mended."""
    fits: int = 0
    """How many steps of the journey that fail are those which need this part."""

    @property
    def next_values(self) -> tuple[tuple[str, str], ...]:
        """Parameters for the notebook that mends it (name, value)."""
        name = {
            "02-services/control": "services",
            "02-services/logs": "service",
            "08-troubleshoot/service-wont-start": "service",
            "08-troubleshoot/high-cpu-memory": "service",
        }.get(self.row.next, "")
        if name and self.part not in NO_SERVICE:
            action = (("action", "recreate"),) if self.row.check in RECREATE and name == "services" else ()
            return ((name, self.part), *action)
        if self.row.next == "10-maintenance/rotate-secrets" and self.row.check in SECRETS:
            return (("secret", SECRETS[self.row.check]),)
        return ()


@dataclass(frozen=True, slots=True)
class Causes:
    """All causes, ranked, and what is well; iterating gives `Cause`s."""

    rows: tuple[Cause, ...]
    well: tuple[Verdict, ...] = ()

    def __iter__(self) -> Iterator[Cause]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def open(self) -> bool:
        """Whether a symptom has no cause yet."""
        return any(cause.open for cause in self.rows)

    @property
    def verdicts(self) -> Verdicts:
        """All rows in the order of the page: each cause, then what follows from it, then what is well."""
        rows = []
        for cause in self.rows:
            lead = f"{cause.row.check} {cause.row.subject}"
            rows += [cause.row, *(replace(row, cause=lead) for row in cause.explains)]
        return Verdicts((*rows, *sorted(self.well, key=lambda row: (row.check, row.subject))))


def causes(rows: Iterable[Verdict], facts: Facts, parameters: Parameters) -> Causes:
    """Given all verdicts, the facts and the params file, return the causes, the one to mend first in front."""
    parts = model(facts, parameters)
    placed = [Finding(row, place(row, parts, parameters)) for row in rows]
    found = [item for item in placed if item.row.state is not State.OK]
    well = [item for item in placed if item.row.state is State.OK]
    others = tuple(item for item in found if not item.row.voided)
    look = Look(
        found=others,
        parts=parts,
        passed=frozenset(item.place.part for item in well if not item.row.known),
        asked=frozenset(item.place.part for item in well if item.row.check.endswith((".answers", ".reachable"))),
    )
    leads = [one for one in others if not any(explains(other, one) for other in others)]
    made = _promote([_cause(lead, leads, look) for lead in leads], look)
    # an exception is void because its probe failed: where that has a cause of its own, the accepted finding has nothing to do with it
    group, told = (
        (Group.ACCEPTED, "accepted, but for a probe that fails for another reason")
        if others
        else (Group.NOW, "accepted no longer: its probe fails")
    )
    made += [Cause(item.row, item.place.part, group, (), (), told, ()) for item in found if item.row.voided]
    ranked = sorted(made, key=lambda cause: _key(cause, parts))
    return Causes(tuple(ranked), tuple(item.row for item in well))


def explains(one: Finding, other: Finding) -> bool:
    """Whether a finding explains another one: it says more of the same part, or is about a part that the other one needs."""
    mine, its = one.place, other.place
    if one is other or mine.acts is not Acts.NOW or its.acts is Acts.LATER:
        return False
    if one.row.check == "access.way-in" and other.row.state is State.UNKNOWN:
        return True  # nobody could be asked
    if its.level is Level.CAUSE or (mine.level is Level.USER and mine.part != its.part):
        return False  # it says itself what is wrong, or what a user sees would explain what he does not
    if mine.part == its.part:
        return (mine.level, _weight(one)) > (its.level, _weight(other))
    # what a neighbour says explains what users see, and no more; that there is no evidence explains nothing
    hearsay = mine.level is Level.NEIGHBOUR and (its.level > Level.NEIGHBOUR or one.row.state is State.UNKNOWN)
    return mine.part in its.uses and not hearsay and (its.slow or not mine.slow)


def _weight(item: Finding) -> tuple[int, bool, str]:
    """Order findings of one part and level: the worse first, then what Docker says of the container, then by name."""
    return (
        item.row.state.rank,
        item.row.check in {"services.state", "services.missing"},
        "".join(chr(0x10FFFF - ord(letter)) for letter in f"{item.row.check} {item.row.subject}"),
    )


def _cause(lead: Finding, leads: Sequence[Finding], look: Look) -> Cause:
    mine = [item for item in look.found if explains(lead, item)]
    # what several explain is told under each; a rival is another lead that explains the same of users
    rivals = [
        other.row
        for other in leads
        if other is not lead and any(explains(other, item) for item in mine if item.place.part == USERS)
    ]
    hurts = lead.place.part == USERS or any(item.place.part == USERS for item in mine)
    down = lead.place.acts is Acts.NOW and lead.place.level >= Level.STATE and lead.row.state is State.CRITICAL
    group = Group.NOW if hurts or (down and lead.place.part in look.parts.below(USERS)) else Group.LATER
    return Cause(
        row=lead.row,
        part=lead.place.part,
        group=group,
        explains=tuple(sorted((item.row for item in mine), key=lambda row: (-row.state.rank, row.check, row.subject))),
        rivals=tuple(rivals),
        confidence=_confidence(lead, rivals),
        ruled_out=tuple(sorted(look.parts.below(lead.place.part) & look.passed)),
        open=group is Group.NOW and lead.place.level <= Level.STATE,
        fits=sum(lead.place.part in item.place.first for item in mine),
    )


def _confidence(lead: Finding, rivals: Sequence[Verdict]) -> str:
    if lead.place.acts is Acts.LATER:
        return "measured"
    if rivals and lead.place.level >= Level.STATE:
        return "cannot be told apart from the other causes that explain the same"
    if lead.place.level >= Level.MESSAGE:
        return "measured on the part itself"
    if lead.place.level is Level.STATE:
        return "the part is sure, its reason is not"
    return "a symptom: no cause was found for it"


def _promote(made: list[Cause], look: Look) -> list[Cause]:
    """Where a symptom has no cause, let lead what could be one: on the same part, or on one that the symptom needs."""
    places = {id(item.row): item.place for item in look.found}
    taken: set[int] = set()
    for number, cause in enumerate(made):
        spot = places[id(cause.row)]
        if not cause.open or number in taken:
            continue
        could = [
            place_
            for place_, other in enumerate(made)
            if place_ != number
            and places[id(other.row)].acts is Acts.COULD
            and not (
                other.row.check.startswith("log-before.") and (other.part in look.asked or other.part != cause.part)
            )
            and (other.part == cause.part or other.part in spot.uses)
            and (spot.slow or not places[id(other.row)].slow)
        ]
        if not could:
            continue
        could.sort(key=lambda place_: _closeness(made[place_], cause, spot, look.parts))
        lead, rest = made[could[0]], [made[place_].row for place_ in could[1:]]
        told = f"likely; {len(rest)} more could explain it, too" if rest else "likely: nothing else explains it"
        explained = (*lead.explains, cause.row, *cause.explains)
        made[could[0]] = replace(lead, group=Group.NOW, explains=explained, confidence=told, rivals=tuple(rest))
        taken.add(number)
    # what was only asked for as evidence is no finding where it explains nothing
    return [
        cause
        for number, cause in enumerate(made)
        if number not in taken and (cause.explains or not cause.row.check.startswith(EVIDENCE_ONLY))
    ]


def _closeness(other: Cause, cause: Cause, spot: Place, parts: Parts) -> tuple[object, ...]:
    """Order what could explain a symptom: a change that was seen to happen, what the step is for, the part itself, the worse."""
    return (
        other.row.check.startswith("changed."),
        other.part not in spot.first,
        other.part != cause.part,
        -other.row.state.rank,
        parts.depth(other.part),
        other.row.check,
        other.row.subject,
    )


def _key(cause: Cause, parts: Parts) -> tuple[object, ...]:
    users = sum(row.check.startswith(("web.", "synthetic.")) for row in cause.explains)
    return (
        cause.group,
        -(cause.row.state is State.CRITICAL or users > 0),
        -users,
        -cause.fits,
        -cause.row.state.rank,
        -parts.depth(cause.part),
        cause.row.check,
        cause.row.subject,
    )
