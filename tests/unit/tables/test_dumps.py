"""Tables of dumps: what is proven of each, what a way of compressing took, what vacuum did."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from captured import Captured

from runbook import tables
from runbook.facts import Facts, Missing, dumps, gather
from runbook.facts.database import database

if TYPE_CHECKING:
    from runbook.parameters import Parameters

AT = 1795550000.0  # 2026-11-24 19:53 UTC


def seen(parameters: Parameters, case: str = "healthy") -> Facts:
    gate = Captured(Path(f"dumps/dumps-{case}.out"), Path("database/database-healthy.out"))
    return gather(gate, parameters, [dumps.dumps, database], clock=lambda: AT)


def cells(table: tables.Table, column: str) -> dict[str, str]:
    """Return a column by the first one."""
    place = table.columns.index(column)
    return {str(row[0]): str(row[place]) for row in table.rows}


def test_each_dump_says_how_far_it_is_proven(parameters: Parameters) -> None:
    proven = cells(tables.dumps(seen(parameters)), "proven")
    assert proven["pazpaz-20261124-100241.dump"] == "only a checksum beside it"
    assert proven["pazpaz-20261124-114911.dump"].startswith("read to its end ")
    assert proven["pazpaz-20261124-115639.dump"].startswith("restored and compared ")
    broken = cells(tables.dumps(seen(parameters, "broken")), "proven")
    assert broken["pazpaz-20261124-130200.dump"].startswith("its manifest cannot be used")
    assert broken["pazpaz-20261124-130100.dump"] == "nothing beside it"


def test_a_checksum_that_is_not_the_manifests_is_told(parameters: Parameters) -> None:
    facts = seen(parameters)
    odd = tuple(dataclasses.replace(dump, checksum="0" * 64) for dump in facts.dumps)
    table = tables.dumps(Facts({"dumps": odd}, {}, seconds=0, begun=AT))
    assert cells(table, "proven")["pazpaz-20261124-115639.dump"] == "NOT GOOD: its checksum and its manifest differ"


def test_ways_of_compressing_are_compared_the_smallest_first(parameters: Parameters) -> None:
    table = tables.backup_methods(seen(parameters))
    assert [row[:2] for row in table.rows] == [("zstd:3", 1), ("lz4", 1)]
    assert table.title == "2 ways of compressing tried so far, the smallest result first"
    assert len(tables.backup_methods(Facts({"dumps": ()}, {}, seconds=0)).rows) == 0


def test_dead_rows_before_and_after(parameters: Parameters) -> None:
    facts = seen(parameters)
    before = Facts({"database": dataclasses.replace(facts.database, answers=facts.database.answers | {"tables": [
        row | {"dead_rows": 500 if row["name"] == "clients" else 0} for row in facts.database.rows("tables")
    ]})}, {}, seconds=0)  # fmt: skip
    after = Facts({"database": dataclasses.replace(facts.database, answers=facts.database.answers | {"tables": [
        row | {"dead_rows": 20 if row["name"] == "clients" else 0} for row in facts.database.rows("tables")
    ]})}, {}, seconds=0)  # fmt: skip
    table = tables.vacuumed(before, after)
    assert table.title == "480 dead rows fewer than before"
    assert table.rows[0][0] == "public.clients"
    assert table.rows[0][2:4] == (500, 20)
    away = Facts({"database": Missing("database", "away")}, {}, seconds=0)
    assert "No evidence" in tables.vacuumed(before, away).title


def test_the_database_nearest_to_wraparound_comes_first(parameters: Parameters) -> None:
    rows = tables.wraparound(seen(parameters)).rows
    assert [float(str(row[2])) for row in rows] == sorted((float(str(row[2])) for row in rows), reverse=True)
