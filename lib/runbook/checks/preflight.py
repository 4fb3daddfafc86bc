"""Does a runbook apply here and now? Every row that is not OK is a reason to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters

ROOM_FOR_RECORDS_BYTES = 50_000_000  # a record with plots and its HTML take 1 to 5 MB


def preflight(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Given the preflight facts, return a verdict on the host, sudo, and the room for the record on this machine."""
    return [_host(facts, parameters), _sudo(facts), _room(facts)]


def _host(facts: Facts, parameters: Parameters) -> Verdict:
    found, wanted = facts["hostname"], parameters.connection.hostname
    if isinstance(found, Missing):
        return unknown("preflight.host", "host", found)
    if wanted is not None and found != wanted:
        reason = f"this is {found}, but the params file of {parameters.target} says {wanted}: is it the right server?"
        return Verdict(State.CRITICAL, "preflight.host", "host", reason, value=found, limit=wanted)
    reason = (
        "the right host answers"
        if wanted
        else "the params file names no host name to compare with (connection.hostname)"
    )
    return Verdict(State.OK, "preflight.host", "host", reason, value=found, limit=wanted or "")


def _sudo(facts: Facts) -> Verdict:
    found = facts["rights"]
    if isinstance(found, Missing):
        return unknown("preflight.sudo", "sudo", found)
    if found.sudo == "refused":
        reason = f"sudo refused the password of the params file: {found.reason}"
        return Verdict(State.CRITICAL, "preflight.sudo", "sudo", reason, value="refused", next="01-access/ssh-and-sudo")
    if found.sudo == "not configured":
        return Verdict(
            State.OK,
            "preflight.sudo",
            "sudo",
            "no sudo password is configured; what needs root will be UNKNOWN",
            value=found.sudo,
        )
    return Verdict(State.OK, "preflight.sudo", "sudo", "sudo lets the operator in", value=found.sudo)


def _room(facts: Facts) -> Verdict:
    found = facts["free_bytes_here"]
    if isinstance(found, Missing):
        return unknown("preflight.room", "outputs/", found)
    limit = f"at least {ROOM_FOR_RECORDS_BYTES // 1_000_000} MB"
    if found < ROOM_FOR_RECORDS_BYTES:
        return Verdict(
            State.CRITICAL,
            "preflight.room",
            "outputs/",
            "this machine has no room left for the record",
            f"{found // 1_000_000} MB",
            limit,
        )
    return Verdict(
        State.OK, "preflight.room", "outputs/", "there is room for the record on this machine", "enough", limit
    )
