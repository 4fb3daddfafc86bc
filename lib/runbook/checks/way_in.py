"""The way in over SSH: where it is gone, what can be said of the server from outside. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

ACCESS = "01-access/ssh-and-sudo"
FROM_OUTSIDE = ("web.", "synthetic.")
GATES = ("web.front-page", "web.health")  # who gets neither of them gets nothing


def way_in(reason: str, rows: Sequence[Verdict], *, evidence: str = "") -> Verdict:
    """Given why nobody gets in over SSH and everything that was judged all the same, return the finding that says which it is.

    `evidence` is all that the connection said, the remedy included. Users who are served where only the operator's way is gone are another night than a host that is gone.
    """
    unseen = f"no evidence: {reason}"  # asked of the server itself
    outside = [row for row in rows if row.check.startswith(FROM_OUTSIDE) and row.reason != unseen]
    bad = [row for row in outside if row.state not in (State.OK, State.WARNING)]
    gates = [row for row in outside if row.check in GATES]
    if not outside:
        told = "the way in over SSH is gone, and nothing was looked at from outside"
    elif not bad:
        told = "users are served; only the way in over SSH is gone"
    elif gates and all(row in bad for row in gates):
        told = "neither users nor operators get through: the host or its network is gone, or all that listens there"
    else:
        told = f"users get through in part ({len(bad)} of {len(outside)} checks from outside fail), and the way in over SSH is gone"
    return Verdict(
        State.CRITICAL, "access.way-in", "ssh", told, "closed", "open", evidence=evidence or reason, next=ACCESS
    )
