"""Plans of backups: what they refuse, what they leave when undone, and that a dump's name comes from the run's time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from captured import Captured

from runbook.actions.database import dump, proof
from runbook.actions.database.dump import backup
from runbook.changes.plan import Context, Plan
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Facts, Missing, dumps, gather
from runbook.verdict import Verdicts

if TYPE_CHECKING:
    from runbook.parameters import Parameters

STAMP = "20261124T120000Z"
PLACE = "/opt/pazpaz/backups/pazpaz-20261124-120000"


def seen(parameters: Parameters, **others: Any) -> Facts:
    """Return the captured facts, some of them replaced."""
    gate = Captured(Path("dumps/dumps-healthy.out"), Path("dumps/room-healthy.out"), Path("dumps/databases-healthy.out"), Path("database/database-healthy.out"))  # fmt: skip
    facts = gather(gate, parameters, [dumps.dumps, dumps.room, dumps.databases])
    return Facts({name: facts[name] for name in facts} | others, {}, seconds=0)


def plan(parameters: Parameters, facts: Facts | None = None, *, stamp: str = STAMP, **values: Any) -> Plan:
    asked = {"compression": "zstd:3", "parallel": 1, "prove": False} | values
    return backup(Context(facts or seen(parameters), Verdicts(()), parameters, asked, stamp))


def test_one_step_takes_it_and_undo_removes_just_that(parameters: Parameters) -> None:
    made = plan(parameters)
    assert [step.name for step in made.steps] == ["backup"]
    step = made.steps[0]
    assert step.command.argv[4:11] == ("pazpaz-db", "pazpaz", "pazpaz", f"{PLACE}.dump", "custom", "zstd:3", "1")
    assert [undo.command.argv[-1] for undo in step.undo] == [f"{PLACE}.dump"]
    assert step.done is not None
    assert step.done.argv[-1] == f"{PLACE}.dump"
    assert made.downtime_seconds == 0


def test_before_another_change_it_stays_when_that_is_undone(parameters: Parameters) -> None:
    context = Context(seen(parameters), Verdicts(()), parameters, {}, STAMP)
    (step,) = dump.backup_steps(context, name="safety-backup")
    assert (step.name, step.undo, step.no_undo) == ("safety-backup", (), f"the backup stays: {PLACE}.dump")
    assert dump.path_of(parameters, STAMP) == f"{PLACE}.dump"


def test_the_time_of_the_run_is_not_what_is_confirmed(parameters: Parameters) -> None:
    first, later = plan(parameters, prove=True), plan(parameters, prove=True, stamp="20261125T031500Z")
    assert first.steps != later.steps
    assert first.digest == later.digest
    assert first.digest != plan(parameters, compression="none", prove=True).digest


def test_proof_restores_compares_notes_and_drops(parameters: Parameters) -> None:
    made = plan(parameters, prove=True)
    assert [step.name for step in made.steps] == ["backup", "restore-scratch", "prove-scratch", "note-proof", "drop-scratch"]  # fmt: skip
    scratch = "pazpaz_scratch_20261124t120000z"
    assert scratch in made.steps[1].command.argv
    assert made.steps[1].undo[0].command.argv[-1] == scratch
    assert made.steps[2].command.argv[9:] == (f"{PLACE}.dump.manifest.json", *parameters.database.expected_tables)


def test_several_processes_make_a_packed_directory(parameters: Parameters) -> None:
    step = plan(parameters, parallel=4).steps[0]
    assert step.command.argv[7:11] == (f"{PLACE}.tar.dump", "directory", "zstd:3", "4")


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"compression": "zip"}, "'zip' is none of"),
        ({"compression": "zstd:23"}, "is none of"),
        ({"compression": "gzip:0"}, "is none of"),
        ({"compression": "zstd:3 --file=/etc/passwd"}, "is none of"),
        ({"parallel": 0}, "not between 1 and 16"),
        ({"parallel": 17, "compression": ""}, "2 problem"),
    ],
)
def test_what_pg_dump_does_not_take_is_refused(parameters: Parameters, values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ParametersError, match=reason):
        plan(parameters, **values)


@pytest.mark.parametrize("method", ["none", "gzip", "gzip:9", "lz4", "lz4:12", "zstd", "zstd:22"])
def test_methods_of_pg_dump_are_taken(method: str) -> None:
    dump.checked(method, 1)


def test_without_room_nothing_is_begun(parameters: Parameters) -> None:
    facts = seen(parameters)
    newest = facts.dumps[0].bytes
    need = round(max(found.bytes for found in facts.dumps[:3]) * parameters.backup.free_space_factor)
    assert need >= newest
    plan(parameters, seen(parameters, room=dumps.Room(need, 10**12, False)))
    with pytest.raises(PreflightError, match="there is no room for a backup"):
        plan(parameters, seen(parameters, room=dumps.Room(need - 1, 10**12, False)))
    with pytest.raises(PreflightError, match="there is no room to prove the backup"):
        plan(parameters, seen(parameters, room=dumps.Room(10**12, 1000, False)), prove=True)


def test_room_is_that_of_the_method_that_is_asked_for(parameters: Parameters) -> None:
    facts = seen(parameters)
    database = facts.databases[parameters.database.name].bytes
    packed = round(max(found.bytes for found in facts.dumps[:3]) * parameters.backup.free_space_factor)
    whole = round(database * parameters.backup.free_space_factor)
    assert packed < whole
    with pytest.raises(PreflightError, match="there is no room for a backup: "):
        plan(parameters, seen(parameters, room=dumps.Room(whole - 1, 10**12, False)), compression="none")
    plan(parameters, seen(parameters, room=dumps.Room(whole, 10**12, False)), compression="none")
    cramped = seen(parameters, room=dumps.Room(10**12, packed - 1, False))
    plan(parameters, cramped)
    with pytest.raises(PreflightError, match="by several processes"):
        plan(parameters, cramped, parallel=2)


@pytest.mark.parametrize("fact", ["room", "dumps", "databases"])
def test_without_evidence_nothing_is_begun(parameters: Parameters, fact: str) -> None:
    with pytest.raises(PreflightError, match="no backup can be taken: away"):
        plan(parameters, seen(parameters, **{fact: Missing(fact, "away")}))


def test_a_plan_says_what_the_last_one_like_it_took(parameters: Parameters) -> None:
    assert any("the last one made like this took" in note for note in plan(parameters, compression="lz4").notes)
    assert not any("the last one made like this" in note for note in plan(parameters, compression="gzip:9").notes)


def test_scripts_read_nothing_that_was_pasted_behind_them(parameters: Parameters) -> None:
    made = plan(parameters, prove=True)
    for command in [step.command for step in made.steps] + [proof.drop(parameters, "x")]:
        assert "\nset -euo pipefail\nexec </dev/null\n" in command.argv[2]
