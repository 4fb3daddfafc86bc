"""Restart, recreate, stop and start services, and the whole stack down and up. Pure.

Longer than 300 lines: one planner for six actions that share their order and their proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.actions import stack
from runbook.changes.plan import Context, Plan, Step
from runbook.commands import Command
from runbook.errors import PreflightError
from runbook.facts import Missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.facts.services import Containers
    from runbook.parameters import Parameters

RESTART_SECONDS, START_SECONDS = 5.0, 10.0
ANEW = "the containers' own logs and files outside of volumes; the logs are saved before"
# when a container was made, or started on request: a start by hand sets Docker's count of its own restarts back to 0
CREATED, STARTED = "{{.Created}}", "{{if .RestartCount}}0{{else}}{{.State.StartedAt}}{{end}}"
# what was started (or made) since the run began need not be started again; times as Docker writes them, to the second
SINCE = """
shown=$1; since=${2%Z}; shift 2
for name in "$@"; do
  at=$(docker inspect --format "$shown" "$name" | tr -d ':-' | cut -c 1-15) || exit 1
  [ "$at" \\> "$since" ] || [ "$at" = "$since" ] || exit 1
done
"""
STATE_IS = """
wanted=$1; shift
for name in "$@"; do
  [ "$(docker inspect --format '{{.State.Running}}' "$name" 2>/dev/null)" = "$wanted" ] || exit 1
done
"""
GONE = 'for name in "$@"; do if docker inspect "$name" >/dev/null 2>&1; then exit 1; fi; done'


def control(context: Context) -> Plan:
    """Given `action` and `services`, return the plan. Raises ParametersError, PreflightError."""
    found = context.facts.get("containers")
    if isinstance(found, Missing):
        raise PreflightError(f"the containers could not be looked at: {found}", remedy="open 02-services/status first")
    services = stack.chosen_services(context.parameters, str(context.values.get("services", "")))
    actions: dict[str, Callable[[Context, tuple[str, ...], Containers], Plan]] = {
        "restart": _restart, "recreate": _recreate, "stop": _stop, "start": _start, "down": _down, "up": _up,
    }  # fmt: skip
    return actions[str(context.values.get("action", "restart"))](context, services, found)


def _patience(context: Context) -> float:
    return float(context.values.get("wait_seconds", stack.HEALTHY_SECONDS))


def _names(services: tuple[str, ...], context: Context) -> str:
    everything = len(services) == len(context.parameters.stack.services)
    return "all services" if everything else ", ".join(services)


def _basis(services: tuple[str, ...], found: Containers) -> dict[str, object]:
    return {
        "containers": {
            name: {"exists": name in found.expected, "running": _runs(name, found),
                   "image": found.expected[name].image if name in found.expected else ""}
            for name in services
        }
    }  # fmt: skip


def _runs(name: str, found: Containers) -> bool:
    """Whether a service is meant to run; one that crashes again and again is, so that its plan does not change every second."""
    return name in found.expected and found.expected[name].started_for_good


def _stale(context: Context, services: tuple[str, ...], found: Containers) -> list[str]:
    """Services whose container was made from other files than there are now."""
    compose = context.facts.get("compose")
    if isinstance(compose, Missing) or not compose.valid:
        return []
    return [
        name for name in services
        if name in found.expected and compose.would.get(found.expected[name].name) not in {None, "Running"} and _runs(name, found)
    ]  # fmt: skip


def _unknown(context: Context) -> str:
    """Why it is not known whether the files changed since the containers were made; empty where it is."""
    compose = context.facts.get("compose")
    if isinstance(compose, Missing):
        return f"whether the files changed since the containers were made is not known: {compose.reason}"
    if not compose.valid:
        return f"whether the files changed since the containers were made is not known, since Compose refuses them: {compose.error}"
    return ""


def _since(context: Context, shown: str, container: str) -> Command | None:
    """Return the probe whether an earlier run did it; none in a run of its own, where it was somebody else or Docker itself."""
    if not context.resumed:
        return None
    return Command(("bash", "-c", SINCE, "since", shown, context.stamp, container), why="done since the run began")


def _state_is(running: bool, *names: str) -> Command:
    return Command(("bash", "-c", STATE_IS, "state", "true" if running else "false", *names))


def _restart(context: Context, services: tuple[str, ...], found: Containers) -> Plan:
    absent = [name for name in services if name not in found.expected]
    if absent:
        raise PreflightError(
            f"{', '.join(absent)}: there is no container to restart",
            remedy='make it with action="up"',
        )
    parameters = context.parameters
    steps: list[Step] = []
    for name in services:
        container = parameters.stack.container(name)
        steps += [
            Step(
                f"restart-{name}",
                stack.compose(parameters, "restart", name, why=f"restart {name}"),
                affects=name,
                downtime_seconds=0 if name in {"clamav", "arq-worker"} else RESTART_SECONDS,
                no_undo="a restart keeps the container and its data; there is nothing to take back",
                done=_since(context, STARTED, container),
                evidence=stack.evidence(parameters, [name]),
            ),
            stack.healthy(parameters, [name], name=f"wait-{name}", seconds=_patience(context)),
        ]
    stale = _stale(context, services, found)
    unknown = _unknown(context)
    notes = (
        (f'{", ".join(stale)}: the compose file or {parameters.stack.env_file} changed since the container was made, and a restart does not re-read them; action="recreate" does',)
        if stale
        else (unknown,) if unknown else ()
    )  # fmt: skip
    return Plan(
        f"Restart {_names(services, context)}", parameters.target, context.stamp, steps=(*steps, *stack.served(parameters)),
        basis=_basis(services, found), notes=notes,
    )  # fmt: skip


def _recreate(context: Context, services: tuple[str, ...], found: Containers) -> Plan:
    parameters = context.parameters
    steps = [stack.save_logs(parameters, services, context.work)]
    for name in services:
        steps += [
            Step(
                f"recreate-{name}",
                stack.compose(parameters, "up", "--detach", "--no-deps", "--force-recreate", "--pull", "never", name, why=f"make {name} anew from the files as they are now"),
                affects=name,
                downtime_seconds=RESTART_SECONDS,
                no_undo="the container is made from the files as they are now; to go back, put the files back and recreate",
                done=_since(context, CREATED, parameters.stack.container(name)),
                evidence=stack.evidence(parameters, [name]),
            ),
            stack.healthy(parameters, [name], name=f"wait-{name}", seconds=_patience(context)),
        ]  # fmt: skip
    return Plan(
        f"Recreate {_names(services, context)}", parameters.target, context.stamp, steps=(*steps, *stack.served(parameters)),
        basis=_basis(services, found), losses=(ANEW,),
    )  # fmt: skip


def _stop(context: Context, services: tuple[str, ...], found: Containers) -> Plan:
    parameters = context.parameters
    running = tuple(name for name in services if _runs(name, found))
    title = f"Stop {_names(services, context)}"
    if not running:
        return Plan(title, parameters.target, context.stamp, nothing="none of them runs", basis=_basis(services, found))
    backwards = stack.ordered(parameters, running, backwards=True)
    back = (
        Step("start-again", stack.compose(parameters, "start", *reversed(backwards), why="start them again")),
        stack.healthy(parameters, tuple(reversed(backwards)), name="wait-started"),
    )
    step = Step(
        "stop",
        stack.compose(parameters, "stop", *backwards, why=f"stop {', '.join(backwards)}, those that depend on others first"),
        affects=", ".join(backwards),
        undo=back,
        done=_state_is(False, *stack.containers(parameters, backwards)),
    )  # fmt: skip
    return Plan(
        title, parameters.target, context.stamp, steps=(step,), basis=_basis(services, found), tolerates=("*",),
        notes=('they stay stopped, also after a reboot, until action="start"',),
    )  # fmt: skip


def _start(context: Context, services: tuple[str, ...], found: Containers) -> Plan:
    parameters = context.parameters
    absent = [name for name in services if name not in found.expected]
    if absent:
        raise PreflightError(f"{', '.join(absent)}: there is no container to start", remedy='make it with action="up"')
    stopped = tuple(name for name in services if not _runs(name, found))
    title = f"Start {_names(services, context)}"
    if not stopped:
        return Plan(
            title, parameters.target, context.stamp, nothing="none of them is stopped", basis=_basis(services, found)
        )
    step = Step(
        "start",
        stack.compose(parameters, "start", *stopped, why=f"start {', '.join(stopped)} in order"),
        affects=", ".join(stopped),
        undo=(Step("stop-again", stack.compose(parameters, "stop", *reversed(stopped), why="stop them again")),),
        done=_state_is(True, *stack.containers(parameters, stopped)),
        evidence=stack.evidence(parameters, stopped),
    )
    proofs = stack.served(parameters) if _all_run(context, found, stopped) else ()
    return Plan(
        title, parameters.target, context.stamp, steps=(step, stack.healthy(parameters, stopped, seconds=_patience(context)), *proofs), basis=_basis(services, found)
    )  # fmt: skip


def _all_run(context: Context, found: Containers, after: tuple[str, ...]) -> bool:
    names = [service.name for service in context.parameters.stack.services]
    return all(name in after or _runs(name, found) for name in names)


def _down(context: Context, _services: tuple[str, ...], found: Containers) -> Plan:
    parameters = context.parameters
    everything = stack.chosen_services(parameters, "")
    there = tuple(name for name in everything if name in found.expected)
    title = "Take the whole stack down"
    if not there:
        return Plan(
            title, parameters.target, context.stamp, nothing="there are no containers", basis=_basis(everything, found)
        )
    steps = (
        stack.save_logs(parameters, there, context.work),
        Step(
            "down",
            stack.compose(parameters, "down", why="remove the containers and the network; volumes stay"),
            affects=", ".join(there),
            undo=_up_again(parameters, there, tuple(name for name in there if _runs(name, found))),
            done=Command(("bash", "-c", GONE, "gone", *stack.containers(parameters, everything))),
        ),
    )
    return Plan(
        title, parameters.target, context.stamp, steps=steps, basis=_basis(everything, found), tolerates=("*",),
        losses=("the containers with their logs and what they wrote outside of volumes; the logs are saved before",),
    )  # fmt: skip


def _up_again(parameters: Parameters, there: tuple[str, ...], ran: tuple[str, ...]) -> tuple[Step, ...]:
    """Return what brings back the containers that were there; those that did not run were stopped on purpose and stay so."""
    stopped = tuple(name for name in there if name not in ran)
    every = len(ran) == len(parameters.stack.services)
    why = f"make and start {', '.join(ran)}, in order; what did not run before is not started"
    up = stack.compose(parameters, "up", "--detach", "--no-deps", "--pull", "never", *ran, why=why)
    made = stack.compose(parameters, "create", "--no-build", "--pull", "never", *stopped, why=f"make {', '.join(stopped)}, which did not run before, and do not start them")  # fmt: skip
    return (
        *((Step("up-again", _up_command(parameters) if every else up),) if ran else ()),
        *((Step("make-stopped", made),) if stopped else ()),
        *((stack.healthy(parameters, ran, name="wait-up"),) if ran else ()),
    )


def _up_command(parameters: Parameters) -> Command:
    return stack.compose(
        parameters, "up", "--detach", "--pull", "never", why="make and start what is missing, in order"
    )


def _up(context: Context, _services: tuple[str, ...], found: Containers) -> Plan:
    parameters = context.parameters
    everything = stack.chosen_services(parameters, "")
    lacking = tuple(name for name in everything if not _runs(name, found))
    stale, unknown = _stale(context, everything, found), _unknown(context)
    title = "Bring the whole stack up"
    if not lacking and not stale:
        return Plan(
            title,
            parameters.target,
            context.stamp,
            nothing=f"everything is started; {unknown}"
            if unknown
            else "everything is started, made from the files as they are now",
            basis=_basis(everything, found),
        )
    back = (
        (
            Step(
                "stop-again",
                stack.compose(parameters, "stop", *reversed(lacking), why="stop again what did not run before"),
            ),
        )
        if lacking
        else ()
    )
    step = Step(
        "up",
        _up_command(parameters),
        affects=", ".join((*lacking, *stale)),
        downtime_seconds=START_SECONDS if stale else 0,
        undo=back,
        no_undo="" if back else "containers are made from the files as they are now; put the files back to go back",
        evidence=stack.evidence(parameters, lacking or everything),
    )
    notes = (
        (f"{', '.join(stale)} will be made anew: their files changed since; an undo leaves them so, the old containers are gone",)
        if stale
        else (unknown,) if unknown else ()
    )  # fmt: skip
    saved = (stack.save_logs(parameters, stale, context.work),) if stale else ()
    return Plan(
        title, parameters.target, context.stamp, steps=(*saved, step, stack.healthy(parameters, everything, seconds=_patience(context)), *stack.served(parameters)),
        basis=_basis(everything, found), notes=notes, losses=(ANEW,) if stale else (),
    )  # fmt: skip
