"""Containers against what is expected: there, running, healthy, not restarting, from the file and image they should be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from runbook.checks import judge_condition, number_of, state_when_high, threshold_text, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    import datetime as dt

    from runbook.facts import Facts
    from runbook.facts.services import Container
    from runbook.parameters import Parameters, Service


STATUS, WONT_START, CONTROL = "02-services/status", "08-troubleshoot/service-wont-start", "02-services/control"


BREACH, USAGE = "09-emergency/security-breach", "08-troubleshoot/high-cpu-memory"


def state(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Every expected container exists and runs."""
    found = facts.get("containers")
    if isinstance(found, Missing):
        return [unknown("services.state", "docker", found, next_notebook=WONT_START)]
    return [_state(service, found.expected.get(service.name)) for service in parameters.stack.services]


def _state(service: Service, container: Container | None) -> Verdict:
    worst = State.CRITICAL if service.critical else State.WARNING
    if container is None:
        return Verdict(
            worst,
            "services.missing",
            service.name,
            f"there is no container {service.container}",
            value="absent",
            limit="running",
            evidence="docker ps --all does not list it",
            next=WONT_START,
        )
    more = f": {container.error}" if container.error else ""
    if container.state in {"exited", "dead"}:
        reason = f"{container.state} with code {container.exit_code} ({container.exit_meaning}){more}"
    elif container.state == "paused":
        reason = "paused: it holds its connections and answers nothing"
    elif container.state == "restarting":
        reason = f"restarting again and again, last exit code {container.exit_code} ({container.exit_meaning}){more}"
    else:
        reason = f"{container.state}{more}"
    return judge_condition(
        container.running,
        "services.state",
        service.name,
        ok="running",
        bad=reason,
        state=worst,
        value=container.state,
        limit="running",
        next=WONT_START,
        evidence=f"docker inspect {container.name}: {container.state}, exit code {container.exit_code}",
    )


def health(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Every running container that has a health check passes it."""
    found = facts.get("containers")
    if isinstance(found, Missing):
        return []  # services.state says so
    return [
        _health(service, found.expected[service.name])
        for service in parameters.stack.services
        if service.name in found.expected and found.expected[service.name].running
    ]


def _health(service: Service, container: Container) -> Verdict:
    worst = State.CRITICAL if service.critical else State.WARNING
    evidence = f"{container.failing_streak} failures in a row; it said: {container.health_said or '(nothing)'}"
    if not container.health:
        return Verdict(
            State.OK, "services.health", service.name, "running; it has no health check", value="none", limit="healthy"
        )
    if container.health == "starting":
        return Verdict(
            State.WARNING,
            "services.health",
            service.name,
            "starting: look again shortly",
            value="starting",
            limit="healthy",
            evidence=evidence,
            next=STATUS,
        )
    tuned = (
        f"; a well tuned check would be {service.well_tuned_health_check}" if service.well_tuned_health_check else ""
    )
    return judge_condition(
        container.health == "healthy",
        "services.health",
        service.name,
        ok="healthy",
        bad=f"its health check fails{tuned}",
        state=worst,
        value=container.health,
        limit="healthy",
        evidence="" if container.health == "healthy" else evidence,
        next=WONT_START,
    )


def _restarts(container: Container, facts: Facts, parameters: Parameters) -> Verdict:
    """Judge Docker's count of restarts, which goes back to the container's creation, where the last one is recent."""
    limit, count = parameters.limits.container_restarts, container.restarts
    row = Verdict(
        State.OK, "services.restarts", container.service, "never restarted by Docker", value=str(count), limit=threshold_text(limit),
        evidence=f"last started {container.started:%Y-%m-%d %H:%M:%S} UTC" if container.started else "never started",
    )  # fmt: skip
    if not count:
        return row
    times = f"restarted {number_of(count, 'time')} by Docker since it was created"
    ago = minutes_ago(container.started, facts)
    if container.running and ago is not None and ago > parameters.limits.recent_minutes:
        return replace(
            row, reason=f"it has run for {ago:.0f} minutes", history=f"{times}, the last time {ago:.0f} minutes ago"
        )
    return replace(row, state=state_when_high(count, limit), reason=times, next=WONT_START)


def _memory_kill(container: Container, facts: Facts, parameters: Parameters) -> Verdict:
    """Judge Docker's mark, which stays until the next start and has no time of its own."""
    row = Verdict(
        State.WARNING, "services.memory-kill", container.service, "a process in it was killed because memory ran out",
        value="OOMKilled", limit="never", evidence=f"docker inspect {container.name}: OOMKilled=true", next=USAGE,
    )  # fmt: skip
    ago = minutes_ago(container.started, facts)
    if not container.running or ago is None or ago <= parameters.limits.recent_minutes:
        return row
    kills = facts.get("kills") if "kills" in facts else None
    if kills is None or isinstance(kills, Missing):
        return row  # nothing says when it was
    last = max((kill.at for kill in kills if kill.where in (container.name, "kernel")), default=None)
    since = minutes_ago(last, facts)
    if since is not None and since <= parameters.limits.recent_minutes:
        return row
    when = f"{since:.0f} minutes ago" if since is not None else "more than a day ago"
    return replace(
        row,
        state=State.OK,
        reason="no process in it was killed lately",
        history=f"a process in it was killed because memory ran out {when}",
        next="",
    )


def minutes_ago(moment: dt.datetime | None, facts: Facts) -> float | None:
    """Given a moment, return the minutes from it to when the facts were gathered; None where there is none, or no gathering."""
    return (facts.at - moment).total_seconds() / 60 if moment is not None and facts.begun else None


def restarts(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """No container was restarted by Docker, was killed because memory ran out, or would stay down after a reboot."""
    found = facts.get("containers")
    if isinstance(found, Missing):
        return []  # services.state says so
    verdicts = []
    for container in found:
        verdicts.append(_restarts(container, facts, parameters))
        if container.oom_killed:
            verdicts.append(_memory_kill(container, facts, parameters))
        if container.restart_policy == "no":
            verdicts.append(
                Verdict(
                    State.WARNING,
                    "services.restart-policy",
                    container.service,
                    "it would stay down after a crash or a reboot",
                    value="no",
                    limit="unless-stopped or always",
                    evidence=f"docker inspect {container.name}: restart policy no",
                    next=CONTROL,
                )
            )
    return verdicts


ASKING = "runbook-asks-"  # facts/release_probe.py asks an image in a container that is gone a moment later


def unexpected(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """No container is there that nobody expects."""
    found = facts.get("containers")
    if isinstance(found, Missing):
        return []  # services.state says so
    known = {service.container for service in parameters.stack.services}
    strangers = [item for item in found.all if item.name not in known and not item.name.startswith(ASKING)]
    if not strangers:
        return [
            Verdict(State.OK, "services.extra", "containers", "no container that nobody expects", value="0", limit="0")
        ]
    return [
        Verdict(
            State.WARNING,
            "services.extra",
            item.name,
            f"nobody expects this container ({item.image})",
            value=item.state,
            limit="not there",
            evidence=f"docker ps: {item.name} {item.image} {item.status}",
            next=BREACH,
        )
        for item in strangers
    ]
