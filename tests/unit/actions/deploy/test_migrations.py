"""Plans of migrations, the SQL that they show, and what a way down drops."""

from __future__ import annotations

import dataclasses
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from captured import Captured

from runbook.actions.deploy import migrations
from runbook.changes.plan import Context
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Facts, Missing, gather
from runbook.facts import deploy as facts
from runbook.facts.dumps import Content, Dump, Manifest, OneDatabase, Room
from runbook.facts.release_probe import drops
from runbook.facts.revisions import Lost, Migration, Revisions, by_revision
from runbook.verdict import Verdicts

if TYPE_CHECKING:
    from collections.abc import Callable

    from runbook.changes.plan import Plan
    from runbook.facts.deploy import Found
    from runbook.parameters import Parameters

STAMP = "20261124T120000Z"
NOW = dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC)
UP = """BEGIN;

-- Running upgrade  -> 0001

CREATE TABLE a (id INTEGER);

INSERT INTO alembic_version (version_num) VALUES ('0001') RETURNING alembic_version.version_num;

-- Running upgrade 0001 -> 0002

ALTER TABLE a ADD COLUMN b TEXT;

UPDATE alembic_version SET version_num='0002' WHERE alembic_version.version_num = '0001';

COMMIT;
"""
DOWN = """BEGIN;

-- Running downgrade 0002 -> 0001

ALTER TABLE a DROP COLUMN b;

UPDATE alembic_version SET version_num='0001' WHERE alembic_version.version_num = '0002';

-- Running downgrade 0001 ->\x20

DROP TABLE a;

DELETE FROM alembic_version WHERE alembic_version.version_num = '0001';

COMMIT;
"""


@pytest.fixture(scope="module")
def deployed(parameters: Parameters) -> Found:
    """1.1.0 is deployed, the database is at 0004: as captured."""
    gate = Captured(Path("deploy/downgrade-counted.out"))
    found: Found = gather(gate, parameters, [facts.downgrade({})])["release"]
    assert not isinstance(found, Missing), found
    return found


def dump(hours: float) -> Dump:
    made = NOW - dt.timedelta(hours=hours)
    manifest = Manifest(
        "a.dump",
        1000,
        "0" * 64,
        "custom",
        "zstd:3",
        1,
        "17",
        made,
        1.0,
        made,
        None,
        "pazpaz",
        "17",
        1,
        "0004",
        {"a": Content(1, "x")},
    )
    return Dump("/opt/pazpaz/backups/a.dump", 1000, made, "0640", "pazpaz", "0" * 64, manifest)


def context(parameters: Parameters, found: Found, *dumps: Dump, **values: Any) -> Context:
    known = {
        "release": found,
        "dumps": dumps,
        "room": Room(10**10, 10**10, shared=True),
        "databases": {"pazpaz": OneDatabase("pazpaz", 10**7, "", 1)},
    }
    return Context(Facts(known, {}, seconds=0, begun=NOW.timestamp()), Verdicts(()), parameters, values, STAMP)


def upwards(found: Found, at: str, to: str) -> Found:
    way = Migration(at, to, {"0004": "ALTER TABLE x"}, {"0004": "ALTER TABLE y"}, (Lost("column", "a", "b", None),))
    return dataclasses.replace(found, migration=way)


def test_the_sql_of_each_revision_is_told_apart_without_alembics_own() -> None:
    assert by_revision(UP, up=True) == {
        "0001": "CREATE TABLE a (id INTEGER);",
        "0002": "ALTER TABLE a ADD COLUMN b TEXT;",
    }
    assert by_revision(DOWN, up=False) == {"0002": "ALTER TABLE a DROP COLUMN b;", "0001": "DROP TABLE a;"}


def test_what_is_dropped_is_found_in_the_sql() -> None:
    sql = 'DROP INDEX i;\nALTER TABLE ONLY "a" DROP COLUMN IF EXISTS "B";\ndrop table if exists s.t;\nDROP TYPE mood;\nalter table a drop constraint c;\nselect 1; -- DROP TABLE x'
    assert drops(sql) == [
        ["index", "", "i"], ["column", '"a"', '"B"'], ["table", "s.t", ""], ["type", "", "mood"], ["constraint", "a", "c"],
    ]  # fmt: skip


def test_the_way_between_revisions() -> None:
    known = Revisions({"3": ("2", ""), "2": ("1", ""), "1": ("", "")}, ("3",))
    assert known.between("", "3") == ("1", "2", "3")
    assert known.between("1", "3") == ("2", "3")
    assert known.between("3", "3") == ()


def test_each_revision_is_a_step_with_its_own_way_back(parameters: Parameters, deployed: Found) -> None:
    plan = migrations.upgrade(context(parameters, upwards(deployed, "0002", "0004"), dump(1)))
    assert [step.name for step in plan.steps] == [
        "upgrade-0003",
        "upgrade-0004",
        "prove-current",
        "prove-health",
        "prove-ready",
    ]
    argv = plan.steps[1].command.argv
    up, down = f"runbook-upgrade-0004-{STAMP.lower()}", f"runbook-downgrade-0004-{STAMP.lower()}"
    assert argv[4:13] == (up, down, "10", "0003", "0004", "stop", "pazpaz-db", "pazpaz", "pazpaz")
    assert argv[-6:] == (up, "--entrypoint", "alembic", "api", "upgrade", "0004")
    back = plan.steps[1].undo[0].command.argv
    assert back[4:6] == (down, up), "what still runs the other way ends first"
    assert back[7:10] == ("0004", "0003", "or")
    assert back[-2:] == ("downgrade", "0003")
    assert any("drops column a.b" in note for note in plan.notes)
    assert plan.pinned["to"] == "0004"


@pytest.mark.parametrize(("dumps", "first"), [((), "backup"), ((dump(27),), "backup"), ((dump(25),), "upgrade-0004")])
def test_without_a_verified_backup_that_is_young_enough_one_is_taken_first(
    parameters: Parameters, deployed: Found, dumps: tuple[Dump, ...], first: str
) -> None:
    plan = migrations.upgrade(context(parameters, upwards(deployed, "0003", "0004"), *dumps))
    assert plan.steps[0].name == first
    unread = tuple(dataclasses.replace(item, manifest=None) for item in dumps)
    assert migrations.upgrade(context(parameters, upwards(deployed, "0003", "0004"), *unread)).steps[0].name == "backup"


@pytest.mark.parametrize("change", [{"bytes": 999}, {"checksum": "1" * 64}, {"checksum": ""}, {"problem": "cut"}])
def test_a_backup_that_is_no_longer_as_its_manifest_says_does_not_count(
    parameters: Parameters, deployed: Found, change: dict[str, Any]
) -> None:
    spoilt = dataclasses.replace(dump(1), **change)
    assert migrations.upgrade(context(parameters, upwards(deployed, "0003", "0004"), spoilt)).steps[0].name == "backup"
    manifest = dump(1).manifest
    assert manifest is not None
    foreign = dataclasses.replace(dump(1), manifest=dataclasses.replace(manifest, database="other"))
    assert migrations.upgrade(context(parameters, upwards(deployed, "0003", "0004"), foreign)).steps[0].name == "backup"


def test_an_image_that_is_not_there_is_only_fetched(parameters: Parameters, deployed: Found) -> None:
    away = dataclasses.replace(deployed, version="1.1.0", there="", migration=None, pull_bytes=1)
    assert [step.name for step in migrations.upgrade(context(parameters, away)).steps] == ["pull"]


def test_at_its_goal_there_is_nothing_to_do(parameters: Parameters, deployed: Found) -> None:
    assert "at 0004" in migrations.upgrade(context(parameters, upwards(deployed, "0004", "0004"))).nothing


@pytest.mark.parametrize(
    ("at", "to", "reason"),
    [("0009", "0004", "the database is at 0009, which 1.1.0 does not know"), ("0004", "0002", "there is no way up from 0004 to 0002"), ("0003", "0007", "there is no way up")],
)  # fmt: skip
def test_a_way_that_does_not_exist_is_refused(
    parameters: Parameters, deployed: Found, at: str, to: str, reason: str
) -> None:
    with pytest.raises(PreflightError) as refused:
        migrations.upgrade(context(parameters, upwards(deployed, at, to), dump(1)))
    assert reason in refused.value.reason


@pytest.mark.parametrize(
    ("there", "knowing", "remedy"),
    [
        (True, (), "no image on the server knows it (asked: 1.0.0, 1.1.0)"),
        (True, ("1.3.0",), "1.3.0 on this server knows it: name it with version=..."),
        (False, (), "docker pull localhost:5000/pazpaz-backend@sha256:"),
    ],
)
@pytest.mark.parametrize("plan", [migrations.upgrade, migrations.downgrade])
def test_a_revision_that_nobody_knows_is_refused_with_what_is_known(
    parameters: Parameters,
    deployed: Found,
    plan: Callable[[Context], Plan],
    there: bool,
    knowing: tuple[str, ...],
    remedy: str,
) -> None:
    strange = facts.Stranger("0009_invoices", "after 2026-11-27 01:08", ("1.0.0", "1.1.0"), knowing)
    found = dataclasses.replace(upwards(deployed, "0009_invoices", ""), stranger=strange)
    if not there:
        found = dataclasses.replace(found, there="", schema=None, running={})
    with pytest.raises(PreflightError) as refused:
        plan(context(parameters, found, dump(1)))
    assert refused.value.reason.startswith("the database is at 0009_invoices, which")
    assert "it came after 2026-11-27 01:08 UTC" in refused.value.reason
    assert remedy in (refused.value.remedy or "")


def test_a_way_down_takes_a_backup_and_says_what_is_lost(parameters: Parameters, deployed: Found) -> None:
    plan = migrations.downgrade(context(parameters, deployed))
    assert [step.name for step in plan.steps][:3] == ["backup-before", "downgrade-0004", "prove-current"]
    assert plan.losses[0] == "index appointments_reminder_due_idx"
    assert plan.losses[1].startswith("column appointments.reminder_sent_at with 60,000 values")
    assert "the backend that runs (1.1.0) is made for 0004" in plan.losses[2]
    assert plan.steps[1].command.argv[7:10] == ("0004", "0003", "stop")
    assert plan.steps[1].undo[0].command.argv[7:10] == ("0003", "0004", "or")


def test_to_the_beginning_is_said_in_alembics_word(parameters: Parameters, deployed: Found) -> None:
    way = dataclasses.replace(
        deployed, migration=Migration("0001", "", {"0001": "x"}, {"0001": "DROP TABLE a"}, (Lost("table", "a", "", 5),))
    )
    plan = migrations.downgrade(context(parameters, way))
    assert plan.steps[1].command.argv[-2:] == ("downgrade", "base")
    assert plan.losses[0] == "table a with 5 rows"


@pytest.mark.parametrize("given", ["0003; drop table users", "$(id)", "a b", "x" * 65])
def test_what_cannot_be_a_revision_is_refused_before_the_server_is_asked(given: str) -> None:
    with pytest.raises(ParametersError):
        facts.upgrade({"version": "1.1.0", "to": given})
