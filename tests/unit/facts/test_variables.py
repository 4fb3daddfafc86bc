"""The program that runs on the server prints names of variables and never a piece of a value."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from runbook.facts.inventory import NAMES

if TYPE_CHECKING:
    from pathlib import Path

FILE = """# comment=no
PLAIN=secret-a
export EXPORTED=secret-b
  INDENTED = not one, since names have no blank
EMPTY=
QUOTED_EMPTY=""
COMMENTED= # nothing
EQUALS=a=b=secret-c
QUOTED="secret d"
KEY="-----BEGIN PRIVATE KEY-----
secret_e=
secret_f==
-----END PRIVATE KEY-----"
SINGLE='secret
secret_g=1
'
AFTER=secret-h
9BAD=x
"""


def names(path: Path, text: str) -> list[str]:
    """Run the program as it runs on the server."""
    path.write_text(text, encoding="utf-8")
    done = subprocess.run(["awk", NAMES, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_names_and_whether_they_are_empty(tmp_path: Path) -> None:
    assert names(tmp_path / "env", FILE) == [
        "PLAIN set",
        "EXPORTED set",
        "EMPTY empty",
        "QUOTED_EMPTY empty",
        "COMMENTED empty",
        "EQUALS set",
        "QUOTED set",
        "KEY set",
        "SINGLE set",
        "AFTER set",
    ]


@given(
    value=st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126, blacklist_characters='"'), max_size=60)
)
def test_no_quoted_value_surfaces(value: str, tmp_path_factory: object) -> None:
    """Whatever a quoted value of several lines holds, only its variable's name is printed."""
    folder = tmp_path_factory.mktemp("env")  # type: ignore[attr-defined]  # pytest's own type
    assert names(folder / "env", f'CANARY="first\n{value}\nlast"\nNEXT=1\n') == ["CANARY set", "NEXT set"]
