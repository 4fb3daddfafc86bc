"""The plan of a rotation: what it consists of, how it is taken back, and when it is refused."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from runbook.actions.rotation.rotate import rotate
from runbook.changes.earlier_run import undo_steps
from runbook.changes.plan import Context, Plan
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Facts, Missing
from runbook.facts.rotation import SECRETS, Entry, Proof, Rotation, selected_secret, settings
from runbook.verdict import Verdicts

if TYPE_CHECKING:
    from runbook.parameters import Parameters

STAMP, EARLIER = "20261124T110500Z", "20261120T080000Z"
NOW = dt.datetime(2026, 11, 24, 11, 5, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
YOUNG = Proof(True, "/opt/pazpaz/backups/a.dump", NOW - HOUR)


def entry(secret: str, state: str, run: str = EARLIER, hours: float = 50) -> Entry:
    return Entry(secret, state, NOW - hours * HOUR, run)


def plan(parameters: Parameters, secret: str, action: str = "rotate", *entries: Entry, **more: Any) -> Plan:
    found = Rotation(entries, NOW - 90 * HOUR, more.pop("problems", ()), "pazpaz", (), more.pop("persistent", ""))
    facts = Facts(
        {"rotation": more.pop("rotation", found), "proof": more.pop("proof", YOUNG)},
        {},
        seconds=0,
        begun=NOW.timestamp(),
    )
    return rotate(Context(facts, Verdicts.of([]), parameters, {"secret": secret, "action": action}, STAMP))


def names(made: Plan) -> list[str]:
    return [step.name for step in made.steps]


END = ["save-logs", "recreate", "wait-healthy", "prove-containers"]
SERVED = ["prove-health", "prove-ready", "note"]


def test_steps_of_each_secret(parameters: Parameters) -> None:
    begin = ["begin", "make-secret"]
    assert names(plan(parameters, "database-password")) == [
        *begin,
        "write-env",
        "alter-role",
        *END,
        "prove-new",
        *SERVED,
    ]
    assert names(plan(parameters, "redis-password")) == [*begin, "write-env", "set-redis", *END, "prove-new", *SERVED]
    assert names(plan(parameters, "jwt-secret")) == [*begin, "write-env", *END, *SERVED]
    assert names(plan(parameters, "encryption-key")) == [
        *begin,
        "stop",
        "reencrypt",
        "write-env",
        *END,
        "prove-rows",
        *SERVED,
    ]


def test_containers_are_made_anew_and_never_only_restarted(parameters: Parameters) -> None:
    for secret, services in (("database-password", ["db", "api", "arq-worker"]), ("redis-password", ["redis", "api", "arq-worker"]), ("jwt-secret", ["api", "arq-worker"])):  # fmt: skip
        step = next(step for step in plan(parameters, secret).steps if step.name == "recreate")
        assert list(step.command.argv[step.command.argv.index("up") :]) == [
            "up",
            "--detach",
            "--no-deps",
            "--pull",
            "never",
            *services,
        ]


@pytest.mark.parametrize("secret", SECRETS)
def test_taking_back_puts_the_file_back_before_containers_are_made_from_it(parameters: Parameters, secret: str) -> None:
    taken = [step.name for step in undo_steps(plan(parameters, secret).steps)]
    assert taken.index("undo-restore-env") < taken.index("undo-recreate-back") < taken.index("undo-prove-back-ready")
    assert taken[-1] == "undo-note-undone"


def test_rows_go_back_under_the_old_key_only_while_nobody_writes(parameters: Parameters) -> None:
    taken = [step.name for step in undo_steps(plan(parameters, "encryption-key").steps)]
    assert taken[:3] == ["undo-wait-docker-stop", "undo-stop-again", "undo-restore-env"]
    assert taken.index("undo-reencrypt-back") < taken.index("undo-prove-old-rows") < taken.index("undo-recreate-back")


@pytest.mark.parametrize("secret", SECRETS)
def test_every_change_can_be_asked_whether_it_is_done_and_the_run_takes_itself_back(
    parameters: Parameters, secret: str
) -> None:
    made = plan(parameters, secret)
    assert [step.name for step in made.steps if step.changes and step.done is None] == []
    assert made.automatic_undo
    assert made.pinned == {"secret": secret, "action": "rotate"}


def test_what_users_lose_is_said(parameters: Parameters) -> None:
    assert "all users are logged out" in plan(parameters, "jwt-secret").losses[0]
    assert plan(parameters, "database-password").losses == ()
    assert "keeps nothing on disk" in plan(parameters, "redis-password", persistent="none").losses[0]
    assert plan(parameters, "redis-password", persistent="aof").losses == ()


@pytest.mark.parametrize(
    ("values", "reason"), [({"secret": "root-password"}, "'root-password' is none of"), ({"action": "undo"}, "'undo' is none of rotate, finish")]
)  # fmt: skip
def test_a_wrong_word_is_named(values: dict[str, str], reason: str) -> None:
    with pytest.raises(ParametersError, match=reason):
        selected_secret(values)


def test_without_a_command_for_sealed_data_its_key_stays(parameters: Parameters) -> None:
    bare = parameters.model_copy(update={"rotation": parameters.rotation.model_copy(update={"reencrypt_command": ()})})
    with pytest.raises(ParametersError, match=r"rotation\.reencrypt_command is not set"):
        plan(bare, "encryption-key")
    assert plan(bare, "jwt-secret").steps


@pytest.mark.parametrize(
    "proof",
    [Proof(True), Proof(True, "x", NOW - 27 * HOUR), Missing("proof", "sudo: refused")],
    ids=["none", "old", "unknown"],
)
def test_without_a_young_copy_that_was_read_the_key_stays(parameters: Parameters, proof: Proof | Missing) -> None:
    with pytest.raises(PreflightError, match=r"copy of the database|backups could not"):
        plan(parameters, "encryption-key", proof=proof)


@pytest.mark.parametrize("state", ["begun", "rotated"])
def test_a_second_rotation_waits_for_the_first(parameters: Parameters, state: str) -> None:
    with pytest.raises(PreflightError, match=rf"{EARLIER}.*would lose the way back"):
        plan(parameters, "redis-password", "rotate", entry("redis-password", state))
    assert plan(parameters, "jwt-secret", "rotate", entry("redis-password", state)).steps
    assert plan(parameters, "redis-password", "rotate", entry("redis-password", state, run=STAMP)).steps, (
        "its own, resumed"
    )


def test_a_file_that_cannot_be_changed_is_refused(parameters: Parameters) -> None:
    with pytest.raises(PreflightError, match="SECRET_KEY is set 2 times"):
        plan(parameters, "jwt-secret", problems=("SECRET_KEY is set 2 times",))
    with pytest.raises(PreflightError, match="could not be looked at: sudo: refused"):
        plan(parameters, "jwt-secret", rotation=Missing("rotation", "sudo: refused"))


def test_finish_removes_only_what_that_rotation_kept(parameters: Parameters) -> None:
    made = plan(
        parameters, "redis-password", "finish", entry("redis-password", "begun"), entry("redis-password", "rotated")
    )
    assert names(made) == ["prove-containers", "prove-health", "prove-ready", "forget", "note"]
    assert {step.command.argv[1] for step in made.steps if step.command.argv[0] == "python3"} == {
        f"/var/lib/runbook/{EARLIER}/rotation/rotation.py"
    }
    assert "cannot be taken back" in made.losses[0]


def test_finish_without_a_rotation_is_nothing_and_of_half_a_one_refused(parameters: Parameters) -> None:
    assert plan(parameters, "redis-password", "finish").steps == ()
    assert plan(parameters, "redis-password", "finish", entry("redis-password", "undone")).steps == ()
    with pytest.raises(PreflightError, match="has not come to its end"):
        plan(parameters, "redis-password", "finish", entry("redis-password", "begun"))


def test_the_old_key_goes_only_when_a_copy_under_the_new_one_is_there(parameters: Parameters) -> None:
    rotated = entry("encryption-key", "rotated", hours=2)
    with pytest.raises(PreflightError, match="made since the rotation"):
        plan(parameters, "encryption-key", "finish", rotated, proof=Proof(True, "x", NOW - 3 * HOUR))
    assert "prove-rows" in names(plan(parameters, "encryption-key", "finish", rotated))


@pytest.mark.parametrize("secret", SECRETS)
def test_the_program_is_told_places_and_no_values(parameters: Parameters, secret: str) -> None:
    told = settings(parameters, secret, STAMP, "pazpaz")
    assert told["env_file"] == "/opt/pazpaz/.env.production"
    assert told["variables"]
    assert set(told["containers"]) >= {"pazpaz-api", "pazpaz-arq-worker"}
