"""What the server says about rotations and copies, read; and that what cannot be read is no evidence."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import pytest

from runbook.commands import Command, Result
from runbook.errors import ParseError
from runbook.facts import rotation

if TYPE_CHECKING:
    from runbook.parameters import Parameters

PLACES = {"problems": [], "role": "pazpaz", "elsewhere": ["/opt/pazpaz/old.env"], "persistent": "aof"}
LOG = """\
{"secret": "jwt-secret", "state": "rotated", "at": "2026-11-24T11:00:00Z", "run": "20261124T105000Z"}
{"secret": "jwt-secret", "sta
{"secret": "redis-password", "state": "begun", "at": "2026-11-24T12:00:00Z", "run": "20261124T115900Z"}
"""


def said(text: str, code: int = 0) -> Result:
    return Result(Command(("true",)), code, text, "", 0.01)


def test_log_and_places_are_read_and_a_torn_line_is_left_out(parameters: Parameters) -> None:
    results = {"log": said(LOG), "env": said("1795514400\n"), "places": said(json.dumps(PLACES))}
    found = rotation.parse_rotation(results, parameters)
    assert [(entry.secret, entry.state) for entry in found.entries] == [
        ("jwt-secret", "rotated"),
        ("redis-password", "begun"),
    ]
    assert found.env_changed == dt.datetime.fromtimestamp(1795514400, dt.UTC)
    assert (found.role, found.elsewhere, found.persistent) == ("pazpaz", ("/opt/pazpaz/old.env",), "aof")
    last = found.last_change("jwt-secret")
    assert last is not None
    assert last.at == dt.datetime(2026, 11, 24, 11, tzinfo=dt.UTC)
    assert found.last_change("redis-password") is None


@pytest.mark.parametrize(("places", "env"), [("", "1"), ("{}", "1"), (json.dumps(PLACES), "stat: no such file")])
def test_what_cannot_be_read_is_no_evidence(parameters: Parameters, places: str, env: str) -> None:
    with pytest.raises(ParseError):
        rotation.parse_rotation({"log": said(""), "env": said(env), "places": said(places)}, parameters)


def copies(*names: str) -> str:
    fields = (
        ("f", "640", "pazpaz", "90000", str(1795514400 + age), f"/opt/pazpaz/backups/{name}")
        for age, name in enumerate(names)
    )
    return "".join("\0".join(row) + "\0" for row in fields)


def looked_at(*fields: str) -> str:
    return "".join(f"{field}\0" for field in fields)


def test_the_newest_copy_that_was_read_to_its_end_counts(parameters: Parameters) -> None:
    asked = rotation.proof({"secret": "encryption-key"}).commands(parameters)
    assert set(asked) == {"list", "database"}
    cut_off = looked_at("/opt/pazpaz/backups/c.dump", "9", "x", "x", "", "1", "", "cut off")
    good = looked_at("/opt/pazpaz/backups/b.dump", "9", "x", "x", "", "0", "", "0003")
    found = rotation.parse_proof(
        {"list": said(copies("a.dump", "b.dump", "c.dump")), "database": said(cut_off + good)}, parameters
    )
    assert (found.path, found.modified) == ("/opt/pazpaz/backups/b.dump", dt.datetime.fromtimestamp(1795514401, dt.UTC))
    bad = rotation.parse_proof({"list": said(copies("c.dump")), "database": said(cut_off)}, parameters)
    assert (bad.modified, bad.said) == (None, "it cannot be read to its end: cut off")


def test_a_copy_is_only_read_for_the_encryption_key(parameters: Parameters) -> None:
    assert rotation.proof({"secret": "jwt-secret"}).commands(parameters) == {}
    none = parameters.model_copy(update={"backup": parameters.backup.model_copy(update={"classes": ()})})
    assert rotation.proof({"secret": "encryption-key"}).commands(none) == {}
    assert rotation.parse_proof({}, none).modified is None


def test_nobody_logs_in_where_no_login_is_to_end(parameters: Parameters) -> None:
    look = rotation.session({"secret": "redis-password"}).look
    assert look(parameters).skipped
    assert rotation.look_at_session(parameters.model_copy(update={"synthetic": None})).skipped
