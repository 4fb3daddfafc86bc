"""Lines of logs: levels from what programs write, never from a word in the text; access logs by their fields."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.commands import Command, Result
from runbook.errors import ParametersError
from runbook.facts.log_lines import parse_access, parse_line, shape_of
from runbook.facts.logs import Logs, checked_since, parse_logs, selected

AT = "2026-11-24T08:10:09.028817529Z "
MOMENT = dt.datetime(2026, 11, 24, 8, 10, 9, 28817, tzinfo=dt.UTC)
ACCESS = '172.17.0.1 - - [24/Nov/2026:08:10:09 +0000] "{request}" {status} {size} "-" "curl/8 \\"x\\""'


@pytest.mark.parametrize(
    ("service", "text", "level", "message"),
    [
        ("api", '{"time": "x", "level": "ERROR", "logger": "a", "message": "boom", "traceback": "T\\n  f\\nValueError: no"}', "ERROR", "boom: ValueError: no"),
        ("api", '{"level": "info", "message": "0 errors found"}', "INFO", "0 errors found"),
        ("api", '{"broken json', "INFO", '{"broken json'),
        ("api", "[1, 2]", "INFO", "[1, 2]"),
        ("db", "2026-11-24 08:11:00.442 UTC [172] pazpaz@pazpaz LOG:  disconnection: session time: 0:00:00.002", "INFO", "disconnection: session time: 0:00:00.002"),
        ("db", '2026-11-24 08:11:00.442 UTC [17] FATAL:  password authentication failed for user "pazpaz"', "CRITICAL", 'password authentication failed for user "pazpaz"'),
        ("db", "2026-11-24 08:11:00.442 UTC [17] pazpaz@pazpaz ERROR:  invalid page in block 0", "ERROR", "invalid page in block 0"),
        ("redis", "1:M 24 Nov 2026 08:08:27.875 # WARNING Memory overcommit must be enabled", "WARNING", "WARNING Memory overcommit must be enabled"),
        ("redis", "1:M 24 Nov 2026 08:08:27.875 * Ready to accept connections tcp", "INFO", "Ready to accept connections tcp"),
        ("nginx", "2026/11/24 08:10:09 [error] 29#29: *7 connect() failed (111: Connection refused) while connecting to upstream", "ERROR", "*7 connect() failed (111: Connection refused) while connecting to upstream"),
        ("minio", "2026/11/24 08:08:28.061728 juicefs[1] <WARNING>: Metadata backup is disabled [x@mount.go:446]", "WARNING", "Metadata backup is disabled [x@mount.go:446]"),
        ("clamav", "Tue Nov 24 08:10:00 2026 -> instream(172.30.0.6@37702): Eicar-Test-Signature FOUND", "INFO", "instream(172.30.0.6@37702): Eicar-Test-Signature FOUND"),
        ("clamav", "Tue Nov 24 08:10:00 2026 -> ERROR: Can't open the database", "ERROR", "ERROR: Can't open the database"),
        ("frontend", "done with 0 errors, error rate 0", "INFO", "done with 0 errors, error rate 0"),
        ("frontend", "", "INFO", ""),
    ],
)  # fmt: skip
def test_levels(service: str, text: str, level: str, message: str) -> None:
    line = parse_line(service, AT + text)
    assert line is not None
    assert (line.at, line.level, line.message) == (MOMENT, level, message)


@pytest.mark.parametrize(
    ("request_line", "status", "size", "path", "failed"),
    [
        ("GET /api/v1/clients?limit=5 HTTP/1.1", "200", "512", "/api/v1/clients", False),
        ("GET /download/500 HTTP/1.1", "200", "503", "/download/500", False),
        ("POST /api/v1/jobs HTTP/2.0", "502", "157", "/api/v1/jobs", True),
        ("GET /a%20b\\x22c HTTP/1.1", "500", "-", "/a%20b\\x22c", True),
        ("\\x16\\x03\\x01", "400", "150", "\\x16\\x03\\x01", False),
        ("", "400", "0", "", False),
        ("GET / HTTP/1.1", "499", "0", "/", False),
    ],
)
def test_access_log(request_line: str, status: str, size: str, path: str, failed: bool) -> None:
    """A byte count of 503 is no failure, and a path with 500 in it neither."""
    found = parse_access(ACCESS.format(request=request_line, status=status, size=size))
    assert found is not None
    assert (found.path, found.status, found.failed) == (path, int(status), failed)


def test_upstream_from_a_longer_format() -> None:
    text = ACCESS.format(request="GET /x HTTP/1.1", status=502, size=0) + " upstream=172.30.0.6:8000 rt=0.1"
    found = parse_access(text)
    assert found is not None
    assert found.upstream == "172.30.0.6:8000"


def result(stdout: str = "", stderr: str = "", code: int = 0) -> Result:
    return Result(Command(("docker", "logs")), code, stdout, stderr, 0.1)


def test_both_streams_are_put_in_order_and_a_lost_log_is_said() -> None:
    early, late = "2026-11-24T08:00:00Z ", "2026-11-24T09:00:00.5Z "
    failed = ACCESS.format(request="GET /api/v1/clients/7 HTTP/1.1", status=502, size=9)
    told = '2026/11/24 08:10:09 [error] 29#29: *7 x, request: "GET /api/v1/clients/7 HTTP/1.1", upstream: "http://172.30.0.6:8000/api/v1/clients/7"'
    logs = parse_logs(
        {
            "nginx": result(f"{late}{failed}\n", f"{early}{told}\n"),
            "api": result(stderr="Error response from daemon: No such container: pazpaz-api", code=1),
        },
        "1h",
    )
    assert [line.at.hour for line in logs.lines] == [8, 9]
    assert logs.unread == {"api": "Error response from daemon: No such container: pazpaz-api"}
    assert logs.failures_by_path() == ((502, "/api/v1/clients/<n>", "http://172.30.0.6:8000", 1),)
    assert [(count, errors) for _, _, count, errors in logs.counts()] == [(1, 1), (1, 1)]


@pytest.mark.parametrize(
    ("message", "trouble"),
    [
        ('FATAL:  password authentication failed for user "x"', True),
        ("FATAL:  sorry, too many clients already", True),
        ("ERROR:  relation does not exist", False),
        ("LOG:  connection authorized: user=pazpaz", False),
    ],
)
def test_trouble_with_connections(message: str, trouble: bool) -> None:
    """A connection that works is none, though the word is the same."""
    logs = parse_logs({"db": result(f"{AT}2026-11-24 08:11:00.442 UTC [17] a@b {message}\n")}, "1h")
    assert bool(logs.connection_trouble) is trouble


def test_same_trouble_counts_once() -> None:
    lines = "".join(
        f'2026-11-24T08:0{n}:00Z {{"level": "ERROR", "message": "client {n}f1e2d3c-0000-4000-8000-00000000000{n} failed after {n}.5 s"}}\n'
        for n in range(5)
    )
    shapes = parse_logs({"api": result(lines)}, "1h").shapes()
    assert [(shape.count, shape.shape) for shape in shapes] == [(5, "client <uuid> failed after <n> s")]


@pytest.mark.parametrize("text", ["30m", "1h", "1.5h", "2d", "2026-11-24", "2026-11-24T08:00:00Z", "2026-11-24T08:00:00+01:00"])  # fmt: skip
def test_times_that_docker_takes(text: str) -> None:
    assert checked_since(text)


@pytest.mark.parametrize("text", ["", "yesterday", "--help", "1h; rm -rf /", "-1h", "1h\n", "$(id)", "1 h"])
def test_times_that_are_none(text: str) -> None:
    if text == "1h\n":  # a line end that came with a paste does no harm
        assert checked_since(text) == "1h"
        return
    with pytest.raises(ParametersError, match="is no time"):
        checked_since(text)


def test_unknown_service_is_refused(parameters: object) -> None:
    with pytest.raises(ParametersError, match="one of: nginx, api"):
        selected(parameters, "apii; id")  # type: ignore[arg-type]  # the fixture's type is only known to pytest


@given(st.text(max_size=300))
def test_no_line_breaks_the_reader(text: str) -> None:
    """Whatever a program writes, it is read as a line or not at all."""
    assert parse_line("x", text) is None or parse_line("x", text) is not None
    line = parse_line("x", AT + text, from_stderr=True)
    assert line is not None
    assert line.level in {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}


@given(st.text(max_size=400))
def test_a_shape_is_its_own_shape(text: str) -> None:
    """Taking out what varies twice gives the same: counts do not split."""
    once = shape_of(text)
    assert shape_of(once) == once
    assert len(once) <= 160


@given(st.from_regex(r"[a-z]{1,8} [0-9]{1,9} [a-z]{1,8}", fullmatch=True), st.integers(0, 10**9))
def test_numbers_do_not_make_a_new_shape(text: str, number: int) -> None:
    words = text.split(" ")
    assert shape_of(text) == shape_of(f"{words[0]} {number} {words[2]}")


def test_empty_logs() -> None:
    logs = Logs((), "1h")
    assert (logs.errors, logs.shapes(), logs.counts(), logs.failures_by_path()) == ((), (), (), ())
