"""What the database holds: its tables are there and not empty; indexes, triggers, constraints and sequences do their work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition, judge_none, judge_number
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.facts.database import Database
    from runbook.parameters import DatabaseSettings

CORRUPTION, RESTORE = "09-emergency/data-corruption", "06-database/restore"
MAINTAIN, QUERY = "06-database/maintain", "06-database/query"


def tables(found: Database, settings: DatabaseSettings) -> Iterator[Verdict]:
    if "tables" not in found.answers:
        return
    there = {
        row["name"] if row["schema"] == "public" else f"{row['schema']}.{row['name']}": row
        for row in found.rows("tables")
    }
    for name in settings.expected_tables:
        row = there.get(name)
        if row is None:
            yield Verdict(
                State.CRITICAL,
                "database.tables",
                name,
                "the table is gone",
                value="absent",
                limit="there",
                evidence="pg_class does not list it",
                next=RESTORE,
            )
            continue
        answer = found.answers.get(f"filled:{name}")
        filled = bool(answer[0]["filled"]) if answer else True  # without an answer database.answers says so
        yield judge_condition(
            filled or name in settings.may_be_empty,
            "database.tables",
            name,
            ok="there",
            bad="the table is empty",
            value=f"about {row['live_rows'] or row['estimated_rows']} rows",
            limit="at least 1 row" if name not in settings.may_be_empty else "there",
            evidence=f"a row in {name}: {filled}",
            next=RESTORE,
        )


def indexes(found: Database, settings: DatabaseSettings) -> Iterator[Verdict]:
    absent = sorted(set(settings.expected_indexes) - {row["name"] for row in found.rows("indexes")})
    invalid = [row["name"] for row in found.rows("indexes") if not row["valid"]]
    yield judge_none(
        absent, "database.expected-indexes", "indexes",
        ok="all that are expected are there", bad="gone", word="gone", evidence="pg_index", next=MAINTAIN,
    )  # fmt: skip
    yield judge_none(
        invalid, "database.indexes", "indexes",
        ok="all valid", bad="not valid", word="invalid", evidence="pg_index.indisvalid", next=MAINTAIN,
    )  # fmt: skip


def triggers(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    off = [f"{row['name']} on {row['table']}" for row in found.rows("triggers") if row["disabled"]]
    if off:
        yield judge_none(off, "database.triggers", "triggers", ok="", bad="switched off", evidence="pg_trigger.tgenabled", next=QUERY)  # fmt: skip


def constraints(found: Database, _settings: DatabaseSettings) -> Iterator[Verdict]:
    loose = [f"{row['name']} on {row['table']}" for row in found.rows("constraints")]
    if loose:
        yield judge_none(loose, "database.constraints", "constraints", ok="", bad="not validated", evidence="pg_constraint.convalidated", next=QUERY)  # fmt: skip


def sequences(found: Database, settings: DatabaseSettings) -> Iterator[Verdict]:
    worst = max(found.rows("sequences"), key=lambda row: row["percent"], default=None)
    if worst is not None:
        yield judge_number(
            "database.sequences",
            worst["name"],
            float(worst["percent"]),
            settings.sequence_percent,
            unit="%",
            what="numbers used up",
            next_notebook=QUERY,
        )
