"""A secret in an env file: found, replaced, and nothing else touched."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.facts.rotation_lines import holds, password_in, problems_of, replaced, states, unquoted, value_of, verifier

FILE = """\
# passwords
ENVIRONMENT=production
POSTGRES_PASSWORD=a1b2
 export DATABASE_URL="postgresql+asyncpg://pazpaz:a1b2@db:5432/pazpaz"  # keep
OTHER=a1b2

LAST='no newline'"""
VARIABLES, URLS = ["POSTGRES_PASSWORD"], ["DATABASE_URL"]


def test_only_the_secret_changes_and_only_in_its_lines() -> None:
    lines = zip(FILE.split("\n"), replaced(FILE, VARIABLES, URLS, "n3w").split("\n"), strict=True)
    assert [after for before, after in lines if before != after] == [
        "POSTGRES_PASSWORD=n3w",
        ' export DATABASE_URL="postgresql+asyncpg://pazpaz:n3w@db:5432/pazpaz"  # keep',
    ]


SAFE = st.text("abcXYZ0189-_", min_size=1, max_size=12)


@settings(max_examples=60)
@given(
    st.lists(st.text(st.characters(blacklist_characters="\r\n\x00", codec="utf-8"), max_size=20)),
    SAFE,
    st.text("aZ0/+:@%=-_", min_size=1),
    st.sampled_from(["", "'", '"']),
)
def test_what_was_written_reads_back_and_the_way_back_gives_the_same_bytes(
    noise: list[str], old: str, new: str, mark: str
) -> None:
    rest = [line for line in noise if "SECRET" not in line and "PLACE" not in line]
    text = "\n".join([*rest, f"SECRET={mark}{old}{mark}", *rest, f"PLACE={mark}redis://:{old}@redis/0{mark}"])
    assert problems_of(text, ["SECRET"], ["PLACE"]) == []
    changed = replaced(text, ["SECRET"], ["PLACE"], new)
    assert value_of(changed, "SECRET") == new
    assert password_in(value_of(changed, "PLACE") or "") == new
    assert replaced(changed, ["SECRET"], ["PLACE"], old) == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("A=x", "U is not set"),
        ("A=x\nA=y\nU=redis://:x@r", "A is set 2 times"),
        ("A=\nU=redis://:x@r", "A is empty"),
        ("A=x\nU=redis://r", "U is not a URL with a password"),
        ("A=x\nU=redis://:y@r", "the password in U is not the one in A"),
        (
            "A=\u00e4\nU=redis://:%C3%A4@r",
            "A holds a $ or a letter outside of ASCII, which programs read in different ways",
        ),
        ("A=x$y\nU=redis://:x$y@r", "A holds a $ or a letter outside of ASCII, which programs read in different ways"),
    ],
)
def test_what_cannot_be_replaced_is_said(text: str, problem: str) -> None:
    assert problem in problems_of(text, ["A"], ["U"])


def test_a_url_that_refers_to_the_variable_follows_by_itself() -> None:
    text = "A=x\nU=redis://:${A}@r"
    assert problems_of(text, ["A"], ["U"]) == []
    assert replaced(text, ["A"], ["U"], "n") == "A=n\nU=redis://:${A}@r"


def test_quotes_are_read_as_compose_reads_them() -> None:
    assert [unquoted(text) for text in ("a", "'a\\b'", '"a\\"b"', "'")] == ["a", "a\\b", 'a"b', "'"]


def test_verifier_is_the_one_that_a_client_with_the_password_can_meet() -> None:
    """The exchange of RFC 7677, section 3: user `user`, password `pencil`."""
    told = verifier("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    assert told.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    stored, server = (base64.b64decode(part) for part in told.rpartition("$")[2].split(":"))
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    said = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}".encode()
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    key = bytes(a ^ b for a, b in zip(proof, hmac.digest(stored, said, "sha256"), strict=True))
    assert hashlib.sha256(key).digest() == stored
    assert base64.b64encode(hmac.digest(server, said, "sha256")) == b"6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_a_container_holds_the_value_everywhere_or_not() -> None:
    environment = {"A": "x", "U": "redis://:x@r"}
    assert holds(environment, ["A"], ["U"], "x") is True
    assert holds(environment | {"U": "redis://:y@r"}, ["A"], ["U"], "x") is False
    assert holds({"B": "x"}, ["A"], ["U"], "x") is None


def test_a_torn_line_of_the_log_is_left_out() -> None:
    text = '{"secret": "s", "state": "begun", "run": "1"}\n{"secret": "s", "sta\n{"secret": "s", "state": "rotated", "run": "1"}\n{"secret": "t", "state": "begun", "run": "2"}\n'
    assert states(text, "s") == [("1", "begun"), ("1", "rotated")]
