"""Scripts (bash, SQL) that plans run on the server, beside their planners: each a whole, safe to run again when it ran half.

Each begins with what it does and its arguments. They read nothing from standard input, so that they can be pasted as well.
"""

from __future__ import annotations

from pathlib import Path


def text(name: str) -> str:
    """Given a script's name, which no two subjects share, return its text."""
    (found,) = Path(__file__).parent.glob(f"*/{name}")
    return found.read_text(encoding="utf-8")
