"""Plans of vacuum and of dropping what a restore has kept: one step a table, and no other database can be dropped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from captured import Captured

from runbook.actions.database.maintain import MOST_STEPS, vacuum
from runbook.changes.plan import Context, Plan
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Facts, Missing, dumps, gather
from runbook.facts.database import Database, database
from runbook.verdict import Verdicts

if TYPE_CHECKING:
    from runbook.parameters import Parameters

KEPT = "pazpaz_before_20261124t120000z"


def plan(parameters: Parameters, *, others: dict[str, Any] | None = None, **values: Any) -> Plan:
    gate = Captured(Path("dumps/databases-kept.out"), Path("database/database-healthy.out"))
    facts = gather(gate, parameters, [dumps.databases, database])
    facts = Facts({name: facts[name] for name in facts} | (others or {}), {}, seconds=0)
    return vacuum(Context(facts, Verdicts(()), parameters, {"table": "", "drop": ""} | values, "20261124T120000Z"))


def test_one_step_a_table_in_the_order_of_their_names(parameters: Parameters) -> None:
    made = plan(parameters)
    names = [step.name for step in made.steps]
    assert names == sorted(names)
    assert "vacuum-public-alembic-version" in names
    assert all(step.command.argv[4:7] == ("pazpaz-db", "pazpaz", "pazpaz") for step in made.steps)
    assert not any("full" in step.command.argv[2].lower() for step in made.steps)
    assert any("never VACUUM FULL" in note for note in made.notes)
    assert not made.danger


@pytest.mark.parametrize("table", ["clients", "public.clients"])
def test_one_table_with_or_without_its_schema(parameters: Parameters, table: str) -> None:
    assert [step.affects for step in plan(parameters, table=table).steps] == ["public.clients"]


def test_an_unknown_table_is_refused_with_those_that_there_are(parameters: Parameters) -> None:
    with pytest.raises(ParametersError, match=r"'clientz' fits 0 tables; there are: .*public\.clients"):
        plan(parameters, table="clientz")


def test_of_very_many_tables_those_with_the_most_dead_rows(parameters: Parameters) -> None:
    rows = [{"schema": "public", "name": f"t{number:03}", "dead_rows": number} for number in range(MOST_STEPS + 5)]
    made = plan(parameters, others={"database": Database({"tables": rows})})
    assert len(made.steps) == MOST_STEPS
    assert made.steps[0].affects == "public.t005"
    assert any("5 tables with fewer dead rows are left out" in note for note in made.notes)


def test_only_a_kept_database_can_be_dropped_and_it_needs_the_phrase(parameters: Parameters) -> None:
    made = plan(parameters, drop=KEPT)
    assert made.danger
    assert made.steps[0].command.argv[-1] == KEPT
    assert "gone for good" in made.losses[0]
    assert plan(parameters, drop="pazpaz_undone_20261124t120000z").steps == ()
    for name in ("pazpaz", "postgres", "template1", "other_before_20261124t120000z", f"{KEPT}; drop database pazpaz"):
        with pytest.raises(ParametersError, match="is not a database that a restore has kept"):
            plan(parameters, drop=name)


def test_without_evidence_nothing_is_planned(parameters: Parameters) -> None:
    for others, values in (({"database": Missing("database", "away")}, {}), ({"databases": Missing("databases", "away")}, {"drop": KEPT})):  # fmt: skip
        with pytest.raises(PreflightError, match="away"):
            plan(parameters, others=others, **values)
