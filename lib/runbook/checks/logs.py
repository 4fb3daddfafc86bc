"""Logs: few errors, hardly any failed requests, the database always reached, nothing floods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import state_when_high, threshold_text, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.logs import Logs
    from runbook.parameters import Parameters

SCAN, LOGS, CONNECTIONS, DISK = (
    "04-health/log-scan",
    "02-services/logs",
    "08-troubleshoot/database-connections",
    "08-troubleshoot/disk-full",
)
SHORTEST_HOURS = 1 / 60


def logs(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge errors by service, failed requests, and trouble with the database."""
    found = facts.get("logs")
    if isinstance(found, Missing):
        return [unknown("logs.errors", "logs", found, next_notebook=LOGS)]
    verdicts = [
        Verdict(
            State.UNKNOWN,
            "logs.read",
            service,
            f"no evidence: {why}",
            value="not read",
            limit="read",
            evidence=why,
            next="02-services/status",
        )
        for service, why in sorted(found.unread.items())
    ]
    verdicts += [
        Verdict(
            State.WARNING,
            "logs.read",
            service,
            "the log is longer than what is read at once: its oldest lines are missing here",
            value="cut",
            limit="whole",
            next=DISK,
        )
        for service in found.cut
    ]
    hours = _hours(found)
    return [*verdicts, *_errors(found, hours, parameters), *_requests(found, parameters), *_connections(found)]


def _hours(found: Logs) -> float:
    """The time that the lines span, which is shorter than asked for where a container is young."""
    if not found.lines:
        return SHORTEST_HOURS
    return max(SHORTEST_HOURS, (found.lines[-1].at - found.lines[0].at).total_seconds() / 3600)


def _errors(found: Logs, hours: float, parameters: Parameters) -> list[Verdict]:
    verdicts = []
    limit, most = parameters.limits.log_errors_per_hour, parameters.limits.log_lines_per_hour
    for service in sorted({*found.read, *(line.service for line in found.lines)}):
        # a failed request is counted among the requests
        errors = [line for line in found.errors if line.service == service and line.access is None]
        rate = len(errors) / max(1.0, hours)
        state = state_when_high(rate, limit)
        shapes = found.shapes(errors)
        evidence = f"{shapes[0].count} x {shapes[0].shape}" if shapes else ""
        verdicts.append(
            Verdict(
                state,
                "logs.errors",
                service,
                f"{len(errors)} errors of {len(shapes)} kinds",
                value=f"{rate:.1f} per h",
                limit=threshold_text(limit, "per h"),
                evidence=evidence,
                next="" if state is State.OK else SCAN,
            )
        )
        lines = sum(1 for line in found.lines if line.service == service) / max(1.0, hours)
        flood = state_when_high(lines, most)
        if flood is not State.OK:
            verdicts.append(
                Verdict(
                    flood,
                    "logs.flood",
                    service,
                    "it writes far more than usual",
                    value=f"{lines:.0f} lines per h",
                    limit=threshold_text(most, "lines per h"),
                    evidence=found.shapes([line for line in found.lines if line.service == service])[0].shape,
                    next=DISK,
                )
            )
    return verdicts


def _requests(found: Logs, parameters: Parameters) -> list[Verdict]:
    failed, total = found.failed_requests, len(found.requests)
    if not total:
        return []
    limit = parameters.limits.http_5xx_percent
    percent = 100 * len(failed) / total
    state = state_when_high(percent, limit) if failed else State.OK
    worst = found.failures_by_path()[:1]
    evidence = f"{worst[0][3]} x {worst[0][0]} {worst[0][1]} {worst[0][2]}" if worst else ""
    return [
        Verdict(
            state,
            "logs.failed-requests",
            "nginx",
            f"{len(failed)} of {total} requests failed",
            value=f"{percent:.1f} %",
            limit=threshold_text(limit, "%"),
            evidence=evidence,
            next="" if state is State.OK else SCAN,
        )
    ]


def _connections(found: Logs) -> list[Verdict]:
    trouble = found.connection_trouble
    shapes = found.shapes(trouble)
    state = State.WARNING if trouble else State.OK
    reason = (
        f"{len(trouble)} lines speak of trouble with connections"
        if trouble
        else "no line speaks of trouble with connections"
    )
    return [
        Verdict(
            state,
            "logs.connections",
            "database",
            reason,
            value=str(len(trouble)),
            limit="0",
            evidence=f"{shapes[0].service}: {shapes[0].count} x {shapes[0].shape}" if shapes else "",
            next=CONNECTIONS if trouble else "",
        )
    ]
