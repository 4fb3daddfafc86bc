"""The operator's own SELECT is a value on its way to the server, never a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.errors import ParametersError
from runbook.facts.database import query, script

if TYPE_CHECKING:
    from runbook.commands import Command
    from runbook.parameters import Parameters


@pytest.mark.parametrize("sql", ["", "delete from clients", "\\! id", "-- x", "; select 1", "drop table clients", "select 1\0", "explain select 1"])  # fmt: skip
def test_what_is_no_select_is_refused(sql: str) -> None:
    with pytest.raises(ParametersError, match="is not one SELECT"):
        query({"query": sql})


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=200))
def test_the_text_is_one_argument_and_nothing_else(text: str) -> None:
    """Whatever stands in the query, the SQL that psql reads is the same, and the text is the value of one variable."""
    command = _command(f"select {text}")
    plain = _command("select 1")
    assert command.stdin == plain.stdin
    assert len(command.argv) == len(plain.argv)
    assert f"query={f'select {text}'.strip().rstrip(';').rstrip()}" in command.argv


def _command(sql: str) -> Command:
    from runbook.parameters import (  # noqa: PLC0415 (pydantic costs a moment)
        ConnectionSettings,
        Parameters,
        Service,
        StackSettings,
        WebSettings,
    )

    parameters = Parameters(
        target="x",
        purpose="test",
        environment="sandbox",
        connection=ConnectionSettings(host="x"),
        web=WebSettings(url="https://pazpaz.test"),
        stack=StackSettings(services=(Service(name="db", container="pazpaz-db"),)),
    )
    return query({"query": sql, "rows": 5}).commands(parameters)["psql"]


def test_session_is_read_only_and_bounded(parameters: Parameters) -> None:
    command = query({"query": "select 1"}).commands(parameters)["psql"]
    options = next(word for word in command.argv if word.startswith("PGOPTIONS="))
    assert "default_transaction_read_only=on" in options
    assert "statement_timeout=15000" in options
    assert not command.changes


def test_names_of_tables_are_quoted(parameters: Parameters) -> None:
    """A table's name from the params file is an identifier, and what is no name is left out."""
    odd = parameters.model_copy(
        update={
            "database": parameters.database.model_copy(update={"expected_tables": ("audit.log", "x; drop table y")})
        }
    )
    assert 'from "audit"."log")' in script(odd)
    assert "drop table" not in script(odd)
