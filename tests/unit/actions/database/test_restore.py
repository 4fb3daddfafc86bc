"""Plans of restores: which dump, what is refused, what is migrated, in which order, and what is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from captured import Captured

from runbook.actions.database.restore import restore
from runbook.changes.plan import Context, Plan
from runbook.checks.dumps import kept
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Facts, dumps, gather
from runbook.facts.database import database
from runbook.facts.dump_candidates import DumpCandidates, InspectedDump, dump_candidates, fault
from runbook.facts.revisions import Revisions
from runbook.verdict import State, Verdicts

if TYPE_CHECKING:
    from runbook.parameters import Parameters

STAMP = "20261124T120000Z"
NIGHTLY = "pazpaz-20261124-100241.dump"
REVISIONS = Revisions({"0003": ("0002", "Phones."), "0002": ("0001", "Files."), "0001": ("", "Clients.")}, ("0003",))


def seen(
    parameters: Parameters,
    *,
    case: str = "newest",
    listed: str = "healthy",
    backup: str = "",
    known: str = "healthy",
    **others: Any,
) -> Facts:
    """Return the captured facts, some of them replaced."""
    gate = Captured(*(Path(name) for name in (f"dumps/dumps-{listed}.out", "dumps/room-healthy.out", f"dumps/databases-{known}.out", f"dump_candidates/dump_candidates-{case}.out", "database/database-healthy.out")))  # fmt: skip
    facts = gather(
        gate, parameters, [dumps.dumps, dumps.room, dumps.databases, dump_candidates({"backup": backup}), database]
    )
    assert facts.missing == ()
    return Facts({name: facts[name] for name in facts} | others, {}, seconds=0)


def plan(parameters: Parameters, facts: Facts, *, stamp: str = STAMP, **values: Any) -> Plan:
    asked = {"backup": "", "jobs": 1, "safety_backup": True} | values
    return restore(Context(facts, Verdicts(()), parameters, asked, stamp))


def only(parameters: Parameters, **changed: Any) -> Facts:
    """Return facts in which the chosen dump is another one in some way."""
    facts = seen(parameters)
    looked: InspectedDump = dataclasses.replace(facts.dump_candidates.looked[0], **changed)
    return Facts(
        {name: facts[name] for name in facts} | {"dump_candidates": DumpCandidates((looked,), REVISIONS)}, {}, seconds=0
    )


def test_nothing_is_stopped_before_the_new_database_is_proven(parameters: Parameters) -> None:
    made = plan(parameters, seen(parameters))
    assert [step.name for step in made.steps] == [
        "safety-backup", "restore-new", "prove-new", "switch", "wait-writers", "prove-revision", "prove-health", "prove-ready", "tell-late-rows",
    ]  # fmt: skip
    down = [step.name for step in made.steps if step.downtime_seconds]
    assert down == ["switch"]
    switch = made.steps[3]
    assert switch.command.argv[4:] == (
        "pazpaz-db", "pazpaz", "pazpaz", "pazpaz_new_20261124t120000z", "pazpaz_before_20261124t120000z", "pazpaz-api", "pazpaz-arq-worker",
    )  # fmt: skip
    assert [step.name for step in switch.undo] == ["switch-back", "wait-back"]
    assert switch.undo[0].command.argv[4:] == switch.command.argv[4:]
    assert switch.done is None, "a resumed run must be able to take the swap back"
    assert made.automatic_undo
    assert made.pinned == {"backup": "pazpaz-20261124-115639.dump"}
    assert any("kept as pazpaz_before_20261124t120000z" in note for note in made.notes)


def test_the_time_of_the_run_is_not_what_is_confirmed(parameters: Parameters) -> None:
    facts = seen(parameters)
    assert plan(parameters, facts).digest == plan(parameters, facts, stamp="20261125T031500Z").digest
    assert plan(parameters, facts).digest != plan(parameters, facts, safety_backup=False).digest


def test_a_dump_without_a_manifest_is_restored_and_that_is_said_aloud(parameters: Parameters) -> None:
    made = plan(parameters, seen(parameters, case="nightly", backup=NIGHTLY), backup=NIGHTLY)
    assert any("no manifest lies beside it" in note for note in made.notes)
    prove = next(step for step in made.steps if step.name == "prove-new")
    assert prove.command.argv[9] == ""
    assert "every expected table is there" in prove.command.why


def test_every_dump_that_was_looked_at_is_refused_with_its_reason(parameters: Parameters) -> None:
    with pytest.raises(PreflightError) as refused:
        plan(parameters, seen(parameters, case="broken", listed="broken"))
    for said in (
        "pazpaz-20261124-130200.dump: cannot read a manifest",
        "pazpaz-20261124-130100.dump: it is empty",
        "pazpaz-20261124-130000.dump: its bytes are not those that its manifest was written for",
    ):
        assert said in refused.value.reason


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"bytes": 0}, "it is empty"),
        ({"sha256": "0" * 64}, "its bytes are not those that its manifest was written for"),
        ({"beside": "0" * 64}, "differs from the checksum beside it"),
        ({"beside": "", "in_manifest": ""}, "no checksum lies beside it"),
        ({"read": False, "said": "unexpected end of file"}, "cannot be read to its end: unexpected end of file"),
        ({"database": "other"}, "a dump of the database other, not of pazpaz"),
        ({"problem": "cannot read a manifest"}, "cannot read a manifest"),
        ({"revision": ""}, "holds no revision of the application"),
        ({"tables": ("alembic_version", "books")}, "no table appointments, attachments, audit_log, clients, users"),
    ],
)
def test_what_speaks_against_a_dump(parameters: Parameters, changed: dict[str, Any], reason: str) -> None:
    facts = only(parameters, **changed)
    assert reason in fault(facts.dump_candidates.looked[0], parameters)
    with pytest.raises(PreflightError, match="no backup can be restored from"):
        plan(parameters, facts)


def test_a_dump_of_a_kept_database_is_one_of_this_application(parameters: Parameters) -> None:
    facts = only(parameters, database="pazpaz_before_20261124t100000z")
    assert fault(facts.dump_candidates.looked[0], parameters) == ""


def older(parameters: Parameters, revision: str, revisions: Revisions | None = REVISIONS) -> Facts:
    facts = only(parameters)
    listed = tuple(
        dataclasses.replace(one, manifest=dataclasses.replace(one.manifest, revision=revision)) if one.manifest else one
        for one in facts.dumps
    )
    dumps_looked_at = tuple(dataclasses.replace(one, revision=revision) for one in facts.dump_candidates.looked)
    looked = dataclasses.replace(facts.dump_candidates, looked=dumps_looked_at, revisions=revisions)
    return Facts({name: facts[name] for name in facts} | {"dumps": listed, "dump_candidates": looked}, {}, seconds=0)


def test_an_older_revision_is_migrated_before_anything_is_stopped(parameters: Parameters) -> None:
    made = plan(parameters, older(parameters, "0001"))
    names = [step.name for step in made.steps]
    assert names.index("prove-new") < names.index("migrate-new") < names.index("switch")
    assert any("migrated: 0002 Files.; 0003 Phones." in note for note in made.notes)
    migrate = made.steps[names.index("migrate-new")]
    assert "0003" in migrate.command.argv
    assert not any("postgresql" in word for word in migrate.command.argv if word != migrate.command.argv[2])


def test_a_revision_that_the_release_does_not_know_is_refused(parameters: Parameters) -> None:
    with pytest.raises(PreflightError, match="which the running release does not know"):
        plan(parameters, older(parameters, "0009"))
    with pytest.raises(PreflightError, match="does not say which revisions it knows"):
        plan(parameters, older(parameters, "0002", None))
    with pytest.raises(PreflightError, match="holds no revision"):
        plan(parameters, older(parameters, ""))
    assert plan(parameters, older(parameters, "0003", None)).steps, "the revision that serves now needs no history"


def test_too_little_room_is_told_with_what_is_needed(parameters: Parameters) -> None:
    facts = seen(parameters)
    database_bytes = facts.dumps[0].manifest.database_bytes
    copy = round(database_bytes * 1.3)
    saved = round(max(found.bytes for found in facts.dumps[:3]) * parameters.backup.free_space_factor)
    fits = (dumps.Room(saved, copy, False), dumps.Room(saved + copy, saved + copy, True))
    for room in fits:
        plan(parameters, seen(parameters, room=room))
    for room, place in (
        (dumps.Room(saved - 1, copy, False), "the folder of backups"),
        (dumps.Room(saved, copy - 1, False), "the database's disk"),
        (dumps.Room(saved + copy - 1, saved + copy - 1, True), "the folder of backups"),
    ):
        with pytest.raises(PreflightError, match=f"there is no room: {place}"):
            plan(parameters, seen(parameters, room=room))


def test_a_resumed_run_is_not_stopped_by_the_room_that_it_has_taken_itself(parameters: Parameters) -> None:
    room = dumps.Room(1, 1, False)
    with pytest.raises(PreflightError):
        plan(parameters, seen(parameters, room=room))
    assert plan(parameters, seen(parameters, room=room, known="kept")).steps


def test_without_a_database_there_is_nothing_to_save_first(parameters: Parameters) -> None:
    made = plan(parameters, seen(parameters, databases={"postgres": dumps.OneDatabase("postgres", 1, "", 0)}))
    assert made.steps[0].name == "restore-new"
    assert any("no backup of the database as it is now is taken: there is none" in note for note in made.notes)


@pytest.mark.parametrize("name", ["../etc/passwd", "/etc/passwd", "a b", "-rf", "a\nb", "$(reboot)"])
def test_a_backup_is_a_name_in_the_folder(name: str) -> None:
    with pytest.raises(ParametersError, match="is not the name of a file"):
        dump_candidates({"backup": name})


@pytest.mark.parametrize("jobs", [0, 17, -1])
def test_a_number_of_processes_that_cannot_be_is_refused(parameters: Parameters, jobs: int) -> None:
    with pytest.raises(ParametersError, match=r"jobs: .* is not between 1 and 16"):
        plan(parameters, seen(parameters), jobs=jobs)


def test_kept_databases_are_a_finding(parameters: Parameters) -> None:
    found = kept(seen(parameters, known="kept"), parameters)
    assert [(row.state, row.subject) for row in found] == [(State.WARNING, "kept databases")]
    assert "pazpaz_before_20261124t120000z: the database from before a restore" in found[0].reason
    assert found[0].value == "7 MiB"
    assert [row.state for row in kept(seen(parameters), parameters)] == [State.OK]
