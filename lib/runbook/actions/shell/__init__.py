"""Scripts (bash, SQL) that plans run on the server: each one a whole, safe to run again when it ran half.

Each begins with what it does and its arguments. They read nothing from standard input, so that they can be pasted as well.
"""

from __future__ import annotations

from pathlib import Path


def text(name: str) -> str:
    """Given a file's name in this folder, return its text."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
