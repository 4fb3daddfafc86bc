"""The database."""

from __future__ import annotations

from pydantic import Field

from runbook.parameters.model import Model, Seconds, Threshold


class DatabaseSettings(Model):
    """The database in the stack; queries run in its container, as a read-only session.

    `writers` are the services that write to it, in the order of their start; the first has the migrations.
    """

    service: str = "db"
    name: str = "pazpaz"
    user: str = "pazpaz"
    statement_timeout_seconds: Seconds = 15
    writers: tuple[str, ...] = Field(default=("api", "arq-worker"), min_length=1)
    expected_tables: tuple[str, ...] = ()
    may_be_empty: tuple[str, ...] = ()
    expected_indexes: tuple[str, ...] = ()
    blocked_seconds: Threshold = Threshold(warning=5, critical=60)
    damage_recent_minutes: int = Field(default=60, ge=1)
    sequence_percent: Threshold = Threshold(warning=75, critical=95)
    dead_rows_minimum: int = 10_000
    connections_percent: Threshold = Threshold(warning=80, critical=95)
    long_query_seconds: Threshold = Threshold(warning=60, critical=600)
    idle_in_transaction_seconds: Threshold = Threshold(warning=60, critical=600)
    dead_rows_percent: Threshold = Threshold(warning=20, critical=50)
    wraparound_percent: Threshold = Threshold(warning=50, critical=80)
