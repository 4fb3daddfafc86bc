"""From the cause that triage names to the plan that mends it. Pure.

Each page mends some kinds of causes and refuses the others, naming the page that does mend them. What is done is the
least that brings back what the files say: start what is stopped, restart what hangs, make anew what differs.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from runbook import triage
from runbook.actions import stack
from runbook.actions.services import control
from runbook.actions.troubleshoot import certificates, sessions
from runbook.changes.plan import Context, Plan, Step
from runbook.errors import PreflightError
from runbook.triage import Group
from runbook.verdict import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runbook.triage import Cause

WONT_START = "08-troubleshoot/service-wont-start"
USAGE = "08-troubleshoot/high-cpu-memory"
CONNECTIONS = "08-troubleshoot/database-connections"
CERTIFICATES = "08-troubleshoot/certificate-errors"

TITLES = {
    WONT_START: "Bring a service back", USAGE: "End what uses up processor or memory", CONNECTIONS: "Let the application into its database",
    CERTIFICATES: "Have the right certificate served",
}  # fmt: skip


def service_wont_start(context: Context) -> Plan:
    """Return the plan that brings a service back. Raises PreflightError, ParametersError."""
    return _mend(context, WONT_START)


def high_cpu_memory(context: Context) -> Plan:
    """Return the plan that ends what takes processor or memory. Raises PreflightError, ParametersError."""
    return _mend(context, USAGE)


def database_connections(context: Context) -> Plan:
    """Return the plan that lets the application into its database again. Raises PreflightError, ParametersError."""
    return _mend(context, CONNECTIONS)


def certificate_errors(context: Context) -> Plan:
    """Return the plan that has the right certificate served. Raises PreflightError, ParametersError."""
    return _mend(context, CERTIFICATES)


def _mend(context: Context, page: str) -> Plan:
    found = triage.causes(context.verdicts, context.facts, context.parameters)
    wanted = str(context.values.get("service", "")).strip()
    if wanted:
        stack.chosen_services(context.parameters, wanted)
    open_ = [cause for cause in found if cause.group is not Group.ACCEPTED]
    for cause in open_:
        remedy = remedy_of(cause, page)
        mine = (
            page != CONNECTIONS
            or cause.part == context.parameters.database.service
            or cause.row.check.startswith(("database.", "maybe."))
        )
        if remedy is not None and mine and (not wanted or cause.part == wanted):
            plan = remedy(context, cause)
            basis = {**plan.basis, "cause": [cause.row.check, cause.row.subject]}
            return replace(
                plan, basis=basis, notes=(f"the cause: {cause.row.subject}: {cause.row.reason}", *plan.notes)
            )
    pressing = [cause for cause in open_ if cause.group is Group.NOW and cause.row.state is not State.WARNING]
    if not pressing:
        about = f" of {wanted}" if wanted else ""
        more = f"; what can wait: {open_[0].row.subject}: {open_[0].row.reason}" if open_ else ""
        return Plan(
            TITLES[page],
            context.parameters.target,
            context.stamp,
            nothing=f"nothing{about} hurts users now that this page mends{more}",
        )
    raise _elsewhere(open_, page, wanted)


def _elsewhere(found: list[Cause], page: str, wanted: str) -> PreflightError:
    about = f" of {wanted}" if wanted else ""
    first = found[0]
    here = "" if first.row.next != page else "; it is mended by hand, see the evidence"
    return PreflightError(
        f"this page mends nothing{about} now; the first cause is {first.row.subject}: {first.row.reason}{here}",
        remedy=f"open {first.row.next or '08-troubleshoot/triage'}",
    )


def remedy_of(cause: Cause, page: str) -> Callable[[Context, Cause], Plan] | None:
    """Given a cause and a page, return how that page mends it; None where it does not."""
    return next((remedy for pattern, remedy in REMEDIES[page].items() if fnmatchcase(cause.row.check, pattern)), None)


def _control(action: str) -> Callable[[Context, Cause], Plan]:
    def plan(context: Context, cause: Cause) -> Plan:
        services = cause.part if cause.part in {item.name for item in context.parameters.stack.services} else ""
        if not services:
            raise PreflightError(
                f"{cause.row.subject}: {cause.row.reason}: this is about no service", remedy=f"open {cause.row.next}"
            )
        return control.control(replace(context, values={**context.values, "action": action, "services": services}))

    return plan


def _state(context: Context, cause: Cause) -> Plan:
    """Mend a container by the state that it is in."""
    if cause.row.reason.startswith("paused"):
        return _unpause(context, cause)
    if "already in use" in cause.row.reason or "already allocated" in cause.row.reason:
        raise PreflightError(
            f"{cause.part} cannot start: its port is taken: {cause.row.reason}{_holder(context, cause.row.reason)}",
            remedy="stop the program that holds the port (or give it another one), then start the service with 02-services/control",
        )
    running = cause.row.reason.startswith("restarting")
    return _control("recreate" if running else "start")(context, cause)


def _holder(context: Context, reason: str) -> str:
    """Return who listens on a port that the message names."""
    found = context.facts.get("listeners")
    try:
        held = [item for item in found if f":{item.port}" in reason or f" {item.port} " in reason]
    except TypeError:
        return ""
    return "".join(f"; {item.program or 'a program'} listens on {item.address}:{item.port}" for item in held[:3])


def _unpause(context: Context, cause: Cause) -> Plan:
    container = context.parameters.stack.container(cause.part)
    back = Step(
        "pause-again", stack.script('docker pause "$1"', container, why=f"pause {cause.part} again", sudo=False)
    )
    step = Step(
        "unpause",
        stack.script('docker unpause "$1"', container, why=f"let {cause.part} go on: its processes are held since somebody paused them", sudo=False),
        affects=cause.part,
        undo=(back,),
        evidence=stack.evidence(context.parameters, [cause.part]),
    )  # fmt: skip
    steps = (step, stack.healthy(context.parameters, [cause.part]), *stack.served(context.parameters))
    return Plan(
        f"Unpause {cause.part}", context.parameters.target, context.stamp, steps=steps, basis={"container": container}
    )


def _by_hand(context: Context, cause: Cause) -> Plan:
    del context
    raise PreflightError(
        f"{cause.row.subject}: {cause.row.reason}: only a person can decide this",
        remedy=f"the evidence: {cause.row.evidence[:300]}",
    )


restart, recreate, start, up = (_control(action) for action in ("restart", "recreate", "start", "up"))
REMEDIES: Mapping[str, Mapping[str, Callable[[Context, Cause], Plan]]] = {
    WONT_START: {
        "services.missing": up, "services.state": _state, "services.health": restart, "services.restarts": recreate,
        "services.drift": recreate, "services.image": recreate, "settings.*": recreate, "mounts.*": recreate,
        "process.stopped": restart, "process.frozen": restart, "process.waiting": restart, "process.zombies": restart,
        "process.mount": recreate, "process.read-only": recreate, "process.owner": _by_hand,
        "link.name": recreate, "link.network": recreate, "link.port": restart, "network.blocked": recreate, "network.shaped": recreate, "network.filter": recreate,
        "application.*": restart, "cache.*": restart, "queue.*": restart, "storage.answers": restart, "scanner.*": recreate, "log.*": restart,
        "changed.*": recreate, "inventory.env-container": recreate, "proxy.answers": recreate,
    },
    USAGE: {
        "limits.*": recreate, "maybe.foreign-process": recreate, "services.memory-kill": restart, "process.stopped": restart, "cache.slow": restart,
        "database.long-query": sessions.end_sessions, "database.lock-holder": sessions.end_sessions, "database.locks": sessions.end_sessions,
    },
    CONNECTIONS: {
        "database.role": sessions.open_role, "database.limit": sessions.open_database, "database.timeout": sessions.reset_setting,
        "database.standby": sessions.reset_setting, "database.read-only": sessions.reset_setting, "database.altered": sessions.reset_setting,
        "database.lock-holder": sessions.end_sessions, "database.locks": sessions.end_sessions, "database.idle-in-transaction": sessions.end_sessions,
        "database.connections": sessions.end_largest, "database.login": sessions.same_password, "maybe.rejected": _by_hand, "maybe.session-setting": sessions.reset_setting, "services.state": _state,
        "database.reachable": restart, "link.name": recreate, "network.blocked": recreate,
    },
    CERTIFICATES: {"web.certificate": certificates.serve_stored, "certificates.served": certificates.serve_stored, "web.certificate-days": certificates.serve_stored, "web.proxy-config": _by_hand},
}  # fmt: skip
