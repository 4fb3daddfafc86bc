"""Secrets: not older than they may be, no rotation left half done or unconfirmed, and no login that outlives its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition, state_when_high, threshold_text, unknown
from runbook.facts import Missing
from runbook.facts.rotation import SECRETS
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    import datetime as dt

    from runbook.facts import Facts
    from runbook.facts.rotation import Rotation
    from runbook.parameters import Parameters

ROTATE, BREACH = "10-maintenance/rotate-secrets", "09-emergency/security-breach"


def days(since: dt.datetime, now: dt.datetime) -> int:
    """Return whole days since then."""
    return max(0, (now - since).days)


def ages(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """No secret is older than it may be. One that was never rotated is at least as old as the env file's last change."""
    found = facts.get("rotation")
    if isinstance(found, Missing):
        return [unknown("rotation.age", "secrets", found, next_notebook=ROTATE)]
    return [_age(secret, found, facts.at, parameters) for secret in SECRETS]


def _age(secret: str, found: Rotation, now: dt.datetime, parameters: Parameters) -> Verdict:
    limit = parameters.rotation.age_days
    entry = found.last_change(secret)
    old = days(entry.at if entry else found.env_changed, now)
    state = state_when_high(old, limit)
    evidence = f"rotated by the run {entry.run}" if entry else "no rotation is on record; the env file was changed then"
    return Verdict(
        state, "rotation.age", secret, "rotated lately enough" if state is State.OK else "used for too long",
        f"{'' if entry else 'at least '}{old} days", threshold_text(limit, "days"), evidence=evidence, next="" if state is State.OK else ROTATE,
    )  # fmt: skip


def unfinished(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """No rotation stopped half-way, and none waits for its confirmation for long."""
    found = facts.get("rotation")
    if isinstance(found, Missing):
        return [unknown("rotation.unfinished", "secrets", found, next_notebook=ROTATE)]
    limit = parameters.rotation.confirm_within_days
    verdicts = []
    for secret in SECRETS:
        last = found.newest(secret)
        if last is None or last.state in {"finished", "undone"}:
            continue
        old = days(last.at, facts.at)
        if last.state == "begun":
            verdicts.append(Verdict(State.WARNING, "rotation.unfinished", secret, "a rotation was begun and has not come to its end", "begun", "rotated",
                                    evidence=f"run {last.run}: resume it or take it back", next=ROTATE))  # fmt: skip
            continue
        state = state_when_high(old, limit)
        reason = (
            "rotated, and not confirmed yet"
            if state is State.OK
            else "rotated long ago, and still not confirmed: the old value lies on the server"
        )
        verdicts.append(Verdict(state, "rotation.unfinished", secret, reason, f"{old} days", threshold_text(limit, "days"), evidence=f"run {last.run}",
                                next="" if state is State.OK else ROTATE))  # fmt: skip
    return verdicts


def session(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """A login from before a new JWT secret is refused; any other still counts.

    Nothing is said of a login from between a rotation's beginning and its end, as a resumed run has one: it may be under
    either secret.
    """
    found = facts.get("session")
    if isinstance(found, Missing):
        return [unknown("rotation.session", "earlier login", found, next_notebook=BREACH)]
    rotated = facts.get("rotation")
    if found.skipped or not found.earlier or isinstance(rotated, Missing):
        return []
    entry = rotated.last_change("jwt-secret")
    ended = entry is not None and entry.at.timestamp() >= found.since
    if entry is not None and ended and rotated.beginning(entry).at.timestamp() < found.since:
        return []
    wanted = "refused" if ended else "accepted"
    return [
        judge_condition(
            found.earlier == wanted,
            "rotation.session",
            "earlier login",
            ok="a login from before the new secret is refused" if ended else "a login goes on",
            bad="a login from before the new secret still counts"
            if ended
            else "a login was ended though the secret is the same",
            state=State.CRITICAL if ended else State.WARNING,
            value=found.earlier,
            limit=wanted,
            next=BREACH,
        )
    ]
