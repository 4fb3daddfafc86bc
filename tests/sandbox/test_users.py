"""The users of the tests notice what they are to notice: a lost row, and how long the service is away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
import users

if TYPE_CHECKING:
    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(120)]


def test_a_lost_row_and_an_outage_are_noticed(host: Host) -> None:
    with users.Users(host) as at_work:
        at_work.wait_for_writes(5)
        host.sh("docker stop -t 1 pazpaz-api")
        time.sleep(2)
        host.sh("docker start pazpaz-api")
        at_work.wait_for_writes(3)
    assert 2 <= at_work.downtime_seconds < 20
    assert at_work.lost() == []
    gone = at_work.acknowledged[2]
    host.sh(f"docker exec pazpaz-db psql -q -U pazpaz -d pazpaz -c \"delete from clients where id = '{gone}'\"")  # noqa: S608  # an id of our own
    assert at_work.lost() == [gone]
    host.sh("docker exec pazpaz-db createdb -U pazpaz -T template0 kept")
    host.sh("docker exec pazpaz-db psql -q -U pazpaz -d kept -c 'create table clients (id uuid, name text)'")
    host.sh(
        f"docker exec pazpaz-db psql -q -U pazpaz -d kept -c \"insert into clients values ('{gone}', '{users.NAME}')\""  # noqa: S608  # as above
    )
    assert at_work.lost() == []
    host.sh("docker exec pazpaz-db dropdb -U pazpaz kept")
    at_work.clear()
    assert users.rows(host) == set()
