"""Plans of restart, recreate, stop, start, down and up: their order, what they are confirmed for, and what they say beforehand."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from captured import Captured

from runbook.actions.services.control import control
from runbook.changes.plan import Context, Plan
from runbook.errors import PreflightError
from runbook.facts import Facts, Missing, gather
from runbook.facts.compose import ComposeFile
from runbook.facts.services import Containers, containers
from runbook.verdict import Verdicts

if TYPE_CHECKING:
    from runbook.parameters import Parameters

STAMP = "20261124T110500Z"
ORDER = ["db", "redis", "minio", "clamav", "api", "arq-worker", "frontend", "nginx"]


@pytest.fixture
def healthy(parameters: Parameters) -> Containers:
    """All of them, as captured while they ran."""
    found: Containers = gather(Captured(Path("services/containers-healthy.out")), parameters, [containers])[
        "containers"
    ]
    return found


def among(found: Containers, **states: str) -> Containers:
    """Give services another state; "absent" takes the container away."""
    expected = {
        name: dataclasses.replace(item, state=states.get(name.replace("-", "_"), item.state))
        for name, item in found.expected.items()
        if states.get(name.replace("-", "_")) != "absent"
    }
    return dataclasses.replace(found, expected=expected)


def plan(
    parameters: Parameters, found: Containers, *, compose: Any = None, resumed: bool = False, **values: Any
) -> Plan:
    would = {item.name: "Running" for item in found.expected.values()}
    facts = {"containers": found, "compose": compose or ComposeFile(valid=True, error="", would=would, unset=False)}
    asked = {"action": "restart", "services": "", "wait_seconds": 150} | values
    return control(Context(Facts(facts, {}, seconds=0), Verdicts(()), parameters, asked, STAMP, resumed))


def names(made: Plan) -> list[str]:
    return [step.name for step in made.steps]


def changed(found: Containers, *services: str) -> ComposeFile:
    """What Compose says when these would be made anew."""
    would = {item.name: "Recreate" if name in services else "Running" for name, item in found.expected.items()}
    return ComposeFile(valid=True, error="", would=would, unset=False)


def words(made: Plan, name: str) -> list[str]:
    """The services that a step's command names, in its order."""
    argv = next(step for step in made.steps if step.name == name).command.argv
    return [word for word in argv if word in ORDER]


@pytest.mark.parametrize("action", ["restart", "recreate"])
def test_several_services_come_one_after_the_other_what_is_needed_first(
    parameters: Parameters, healthy: Containers, action: str
) -> None:
    found = names(plan(parameters, healthy, action=action, services="nginx, api,redis,api"))
    assert [name for name in found if name.startswith((action, "wait"))] == [
        f"{action}-redis", "wait-redis", f"{action}-api", "wait-api", f"{action}-nginx", "wait-nginx",
    ]  # fmt: skip
    assert found[-2:] == ["prove-health", "prove-ready"]


def test_they_are_stopped_backwards_and_started_forwards(parameters: Parameters, healthy: Containers) -> None:
    made = plan(parameters, healthy, action="stop", services="db,nginx,api")
    assert words(made, "stop") == ["nginx", "api", "db"]
    assert [word for word in made.steps[0].undo[0].command.argv if word in ORDER] == ["db", "api", "nginx"]
    stopped = among(healthy, db="exited", nginx="exited", api="exited")
    assert words(plan(parameters, stopped, action="start"), "start") == ["db", "api", "nginx"]


def test_all_of_them_where_none_is_named(parameters: Parameters, healthy: Containers) -> None:
    found = names(plan(parameters, healthy))
    assert [name for name in found if name.startswith("restart")] == [f"restart-{name}" for name in ORDER]


def test_a_restart_says_what_it_does_not_read_again(parameters: Parameters, healthy: Containers) -> None:
    made = plan(parameters, healthy, services="api,db", compose=changed(healthy, "api", "nginx"))
    assert len(made.notes) == 1
    assert made.notes[0].startswith("api: the compose file or .env.production changed since")
    assert 'action="recreate"' in made.notes[0]
    assert plan(parameters, healthy, services="db", compose=changed(healthy, "api")).notes == ()


def test_what_has_no_container_is_not_restarted(parameters: Parameters, healthy: Containers) -> None:
    with pytest.raises(PreflightError, match="redis: there is no container"):
        plan(parameters, among(healthy, redis="absent"), services="redis,api")


@pytest.mark.parametrize("action", ["restart", "recreate", "stop", "start", "up"])
def test_a_service_that_crashes_again_and_again_does_not_change_the_plan(
    parameters: Parameters, healthy: Containers, action: str
) -> None:
    seen = [plan(parameters, among(healthy, redis=state), action=action) for state in ("running", "restarting")]
    assert seen[0].digest == seen[1].digest
    assert names(seen[0]) == names(seen[1])


@pytest.mark.parametrize("action", ["restart", "recreate"])
def test_only_a_resumed_run_takes_a_new_container_for_its_own_work(
    parameters: Parameters, healthy: Containers, action: str
) -> None:
    probes = [
        next(step.done for step in plan(parameters, healthy, action=action, services="redis", resumed=resumed).steps
             if step.name == f"{action}-redis")
        for resumed in (False, True)
    ]  # fmt: skip
    assert probes[0] is None
    assert probes[1] is not None
    assert probes[1].argv[-2:] == (STAMP, "pazpaz-redis")


def test_bringing_up_saves_the_logs_of_what_is_made_anew(parameters: Parameters, healthy: Containers) -> None:
    made = plan(parameters, among(healthy, nginx="exited"), action="up", compose=changed(healthy, "api", "redis"))
    assert names(made)[:3] == ["save-logs", "up", "wait-healthy"]
    assert made.steps[0].command.argv[-2:] == ("pazpaz-redis", "pazpaz-api")
    assert "logs are saved before" in made.losses[0]
    assert names(plan(parameters, among(healthy, nginx="exited"), action="up"))[0] == "up"


def test_taking_down_back_starts_only_what_ran_before(parameters: Parameters, healthy: Containers) -> None:
    def back(found: Containers) -> dict[str, list[str]]:
        down = next(step for step in plan(parameters, found, action="down").steps if step.name == "down")
        return {step.name: list(step.command.argv) for step in down.undo}

    every = back(healthy)
    assert list(every) == ["up-again", "wait-up"]
    assert every["up-again"][-3:] == ["--detach", "--pull", "never"]
    some = back(among(healthy, arq_worker="exited", clamav="absent", redis="restarting"))
    assert list(some) == ["up-again", "make-stopped", "wait-up"]
    assert some["up-again"][-9:] == ["--no-deps", "--pull", "never", "db", "redis", "minio", "api", "frontend", "nginx"]
    assert some["make-stopped"][-5:] == ["create", "--no-build", "--pull", "never", "arq-worker"]
    assert "pazpaz-arq-worker" not in " ".join(some["wait-up"])
    assert list(back(among(healthy, **{name.replace("-", "_"): "exited" for name in ORDER}))) == ["make-stopped"]


def test_bringing_up_says_what_an_undo_leaves(parameters: Parameters, healthy: Containers) -> None:
    made = plan(parameters, among(healthy, nginx="exited"), action="up", compose=changed(healthy, "api"))
    assert [
        note for note in made.notes if note.startswith("api will be made anew") and "an undo leaves them so" in note
    ]
    assert [word for word in made.steps[1].undo[0].command.argv if word in ORDER] == ["nginx"]


@pytest.mark.parametrize(
    ("compose", "reason"),
    [
        (Missing("compose", "docker: it took too long"), "is not known: docker: it took too long"),
        (
            ComposeFile(valid=False, error="yaml: line 3", would={}, unset=False),
            "since Compose refuses them: yaml: line 3",
        ),
    ],
)
def test_where_compose_gives_no_answer_that_is_said(
    parameters: Parameters, healthy: Containers, compose: Any, reason: str
) -> None:
    made = plan(parameters, healthy, services="api", compose=compose)
    assert len(made.notes) == 1
    assert made.notes[0].endswith(reason)
    assert plan(parameters, healthy, action="up", compose=compose).nothing.endswith(reason)
    assert plan(parameters, among(healthy, api="exited"), action="up", compose=compose).notes[0].endswith(reason)
