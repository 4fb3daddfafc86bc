"""What lines of a log blame, and when they count as of now."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from runbook.facts import Facts
from runbook.facts.log_lines import Line
from runbook.facts.logs import Logs
from runbook.facts.stack_probes import Link, Links
from runbook.triage.changed import changed
from runbook.triage.messages import from_logs
from runbook.triage.parts import model

if TYPE_CHECKING:
    from runbook.parameters import Parameters

NOW = dt.datetime(2026, 11, 27, 8, 0, tzinfo=dt.UTC)
LINKS = Links((Link("nginx", "nginx.conf", "api", 8000, "api", ("172.30.0.6",), ("api",), "", 1, 1, share_network=True, from_host=True, tried=True),), {}, {}, {})  # fmt: skip


def told(parameters: Parameters, *lines: Line, down: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Return (check, part) of what the lines give."""
    parts = model(Facts({}, {}, seconds=0), parameters)
    return [(row.check, row.subject) for row in from_logs(Logs(lines, "3m"), parts, LINKS, NOW, down)]


@pytest.mark.parametrize(
    ("service", "message", "check", "part"),
    [
        ("api", 'connection to server at "db" failed: FATAL:  password authentication failed for user "pazpaz"', "log.login", "db"),
        ("api", "sorry, too many clients already", "log.connections", "db"),
        ("api", "canceling statement due to statement timeout", "log.timeout", "db"),
        ("db", "invalid page in block 3 of relation base/16384/2619", "log.page", "db"),
        ("api", 'relation "clients" does not exist', "log.schema", "db"),
        ("api", 'duplicate key value violates unique constraint "audit_log_pkey"', "log.constraint", "db"),
        ("arq-worker", "OOM command not allowed when used memory > 'maxmemory'.", "log.memory", "redis"),
        ("api", "NOAUTH Authentication required.", "log.login", "redis"),
        ("api", "WRONGTYPE Operation against a key holding the wrong kind of value", "log.type", "redis"),
        ("api", "S3 operation failed; code: NoSuchBucket", "log.bucket", "minio"),
        ("clamav", "LibClamAV Error: cli_loaddbdir: no supported database files found", "log.signatures", "clamav"),
        ("nginx", "client intended to send too large body: 200000 bytes", "log.body", "nginx"),
        ("nginx", 'limiting requests, excess: 1.0 by zone "all"', "log.rate", "nginx"),
        ("nginx", "connect() failed (111: Connection refused) while connecting to upstream, upstream: http://172.30.0.6:8000/", "link.said", "api"),
        ("redis", "Write error saving DB on disk: No space left on device", "log.no-space", "redis"),
        ("minio", "open /data/x: permission denied", "log.permission", "minio"),
        ("api", "pydantic_core.ValidationError: 1 validation error for Settings", "log.settings", "api"),
        ("api", "something that no rule knows broke", "log.other", "api"),
    ],
)  # fmt: skip
def test_a_message_blames_its_part(service: str, message: str, check: str, part: str, parameters: Parameters) -> None:
    assert told(parameters, Line(NOW, service, "ERROR", message)) == [(check, part)]


def test_only_what_is_of_now_is_a_cause(parameters: Parameters) -> None:
    line = "NOAUTH Authentication required."
    seconds = dt.timedelta(seconds=1)
    assert told(parameters, Line(NOW - 60 * seconds, "api", "ERROR", line)) == [("log-before.login", "redis")]
    assert told(parameters, Line(NOW - 600 * seconds, "api", "ERROR", line)) == []
    assert told(parameters, Line(NOW - 600 * seconds, "api", "INFO", line), down=("api",)) == [("log.login", "redis")]
    assert told(parameters, Line(NOW, "api", "INFO", line)) == [], "what its own program calls no trouble is none"


def test_a_change_belongs_to_the_part_that_its_path_names(parameters: Parameters) -> None:
    parts = model(Facts({}, {}, seconds=0), parameters)
    found = changed(
        [
            ("backends.parts.redis.config.maxmemory", "0", "1"),
            ("database.answers.settings.fsync.setting", "on", "off"),
            ("packages.installed", "a", "b"),
            ("containers.expected.api.health", "healthy", "unhealthy"),
            ("containers.expected.api.depends_on", "db, redis", "[]"),
        ],
        "2026-11-26",
        parts,
    )
    assert [(row.subject, row.value, row.limit) for row in found] == [
        ("redis", "1", "0"),
        ("db", "off", "on"),
        ("host", "b", "a"),
    ]
    assert "was 0, is 1 (last good record 2026-11-26)" in found[0].evidence
