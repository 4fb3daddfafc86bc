"""What the environment file says, what Compose makes of it and what the container has: told apart, and no value told."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from runbook import parameters
from runbook.connection import Connection
from runbook.execution import bundles
from runbook.facts import gather, plain
from runbook.verdict import State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Host
    from runbook.verdict import Verdict

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]

INVENTORY, STATUS = "01-access/server-inventory", "02-services/status"
COMPOSE = "cd /opt/pazpaz; docker compose -f docker-compose.prod.yml --env-file .env.production"
VALUES = ("P@ss", "word123", "first-value", "second-value")


@pytest.fixture
def stack(host: Host) -> Iterator[Host]:
    """The server, its two files and its containers brought back afterwards."""
    host.sh("cd /opt/pazpaz; cp -p .env.production docker-compose.prod.yml /root/")
    yield host
    host.sh("cd /opt/pazpaz; for file in .env.production docker-compose.prod.yml; do cat /root/$file >$file; done")
    host.sh(f"{COMPOSE} up -d >/dev/null 2>&1")


@pytest.fixture(scope="module")
def connection(host: Host) -> Iterator[Connection]:
    """One connection for all looks: the firewall lets few new ones in within half a minute."""
    with Connection(parameters.load(f"sandbox@{host.name}")) as opened:
        yield opened


def judged(connection: Connection, name: str) -> dict[tuple[str, str], Verdict]:
    """Return the findings of a notebook by check and subject, after a look for values in all that would be recorded."""
    settings = connection.parameters
    facts = gather(connection, settings, bundles.facts(name, {}))
    rows = [row for check in bundles.checks(name) for row in check(facts, settings)]
    recorded = f"{plain(facts.as_json())} {[row.as_json() for row in rows]}"
    assert not [value for value in VALUES if value in recorded]
    return {
        (row.check, row.subject): row
        for row in rows
        if row.check.startswith(("inventory.env", "services.drift", "inventory.compose"))
    }


def append(host: Host, *lines: str) -> None:
    """Add lines to the environment file, as they are."""
    host.sh(f"printf '%s\\n' {shlex.join(lines)} >>/opt/pazpaz/.env.production")


def findings(rows: dict[tuple[str, str], Verdict]) -> set[tuple[str, str]]:
    return {where for where, row in rows.items() if row.state is not State.OK}


def test_a_container_made_alone_is_no_finding(stack: Host, connection: Connection) -> None:
    stack.sh(f"{COMPOSE} up -d --no-deps --force-recreate api >/dev/null 2>&1")
    rows = judged(connection, STATUS)
    assert findings(rows) == set()
    assert "without all its dependencies (up --no-deps)" in rows["services.drift", "api"].reason
    assert "along with api" in rows["services.drift", "nginx"].reason


def test_what_the_file_seems_to_say_is_not_what_the_container_gets(stack: Host, connection: Connection) -> None:
    append(stack, "MAIL_PASSWORD=P@ss$word123", "MAIL_USER=first-value", "MAIL_USER=second-value", "MAIL_NAME=first-value # word123")  # fmt: skip
    rows = judged(connection, INVENTORY)
    assert "follows a $" in rows["inventory.env-value", "MAIL_PASSWORD"].reason
    assert "api, arq-worker" in rows["inventory.env-value", "MAIL_PASSWORD"].reason
    assert rows["inventory.env-twice", "MAIL_USER"].evidence == ".env.production, lines 22, 23"
    assert "' #'" in rows["inventory.env-value", "MAIL_NAME"].reason
    assert "MAIL_NAME, MAIL_PASSWORD, MAIL_USER" in rows["inventory.env-container", "api"].reason
    stack.sh(f"{COMPOSE} up -d --wait --no-deps api arq-worker >/dev/null 2>&1", check=False)
    assert stack.sh("docker exec pazpaz-api printenv MAIL_PASSWORD").strip() == "P@ss"
    rows = judged(connection, INVENTORY)
    assert rows["inventory.env-container", "api"].state is State.OK
    assert "follows a $" in rows["inventory.env-value", "MAIL_PASSWORD"].reason


def test_the_setting_that_changed_is_named(stack: Host, connection: Connection) -> None:
    stack.sh("cd /opt/pazpaz; sed -i 's/mem_limit: 512m/mem_limit: 600m/' docker-compose.prod.yml")
    stack.sh("cd /opt/pazpaz; sed -i 's/^CLAMAV_PORT=.*/CLAMAV_PORT=3311/' .env.production")
    rows = judged(connection, STATUS)
    assert findings(rows) == {("services.drift", "api"), ("services.drift", "arq-worker")}
    assert "its environment was changed since it was made: CLAMAV_PORT" in rows["services.drift", "arq-worker"].reason
    assert "along with api" in rows["services.drift", "nginx"].reason


@pytest.mark.parametrize(
    "line", ['MAIL_PASSWORD="P@ss$word123', "MAIL_PASSWORD=P@ss${word123", "MAIL_PASSWORD='P@ss''word123'"]
)
def test_a_file_that_compose_refuses_is_told_without_its_values(stack: Host, connection: Connection, line: str) -> None:
    append(stack, line)
    rows = judged(connection, INVENTORY)
    assert rows["inventory.compose", "compose file"].state is State.CRITICAL
    assert ".env.production" in rows["inventory.compose", "compose file"].evidence
