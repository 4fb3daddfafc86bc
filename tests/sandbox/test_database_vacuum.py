"""Vacuum table by table, as the server's own statistics see it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dumps
import pytest
import snapshot
from changes import Desk, Warm

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(600)]
MAINTAIN = "06-database/maintain"


def dead(host: Host, table: str) -> tuple[int, str]:
    """Return the dead rows of a table, and when it was vacuumed last."""
    told = dumps.sql(host, f"select pg_stat_force_next_flush(); select n_dead_tup || ' ' || coalesce(last_vacuum::text, '') from pg_stat_user_tables where relname = '{table}'")  # noqa: S608 (a table's own name)  # fmt: skip
    rows, _, at = told.splitlines()[-1].partition(" ")
    return int(rows), at


def test_dead_rows_go_and_nothing_else_changes(host: Host, tmp_path: Path, warm: Warm) -> None:
    desk = Desk(tmp_path, f"sandbox@{host.name}", warm=warm)
    dumps.sql(host, "alter table appointments set (autovacuum_enabled = off); update appointments set status = status where id % 4 = 0")  # fmt: skip
    try:
        before = snapshot.take(host)
        found, _ = dead(host, "appointments")
        assert found > 20_000
        dry = desk.dry_run(MAINTAIN, table="appointments")
        assert dry.code <= 1, dry
        assert [step["name"] for step in dry.plan["steps"]] == ["vacuum-public-appointments"]
        assert abs(dead(host, "appointments")[0] - found) < 50, "users go on meanwhile"
        refused = desk.dry_run(MAINTAIN, table="appointmentz")
        assert refused.code == 4
        assert "public.appointments" in refused.text
        done = desk.apply(MAINTAIN, table="public.appointments")
        assert done.applied["state"] == "applied", done
        left, at = dead(host, "appointments")
        assert left < 1000
        assert at
        assert "dead rows" in "".join(str(e.data.get("output")) for e in done.events if e.kind == "step.end")
        assert before.differences(snapshot.take(host), ignore=("file /var/lib/runbook",)) == []
    finally:
        dumps.sql(host, "alter table appointments reset (autovacuum_enabled)")
