"""Captured outputs of the server: tests/cases/facts/<module>/<fact>-<case>.out.

A line `#### <probe> exit=<code>` stands before each probe's output, `#### <probe> stderr` before what it said there; a
NUL byte stands as \u2400, and a backslash alone before the end means: no newline there.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook.commands import Command, Result
from runbook.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1] / "cases" / "facts"
CASES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.out"))
HEAD = re.compile(r"^#### (\S+) (?:exit=(-?\d+)|(stderr))\n", re.MULTILINE)


class Captured:
    """A gate that answers every command with what was captured for its name."""

    def __init__(self, *cases: Path) -> None:
        self.said: dict[str, tuple[int, str, str]] = {}
        for case in cases:
            name = fact_of(case).name
            parts = HEAD.split((ROOT / case).read_text(encoding="utf-8").replace("\u2400", "\0"))
            for at in range(1, len(parts), 4):
                probe, code, stderr, body = parts[at : at + 4]
                body = body.removesuffix("\\\n")
                known = self.said.get(f"{name}.{probe}", (0, "", ""))
                self.said[f"{name}.{probe}"] = (known[0], known[1], body) if stderr else (int(code), body, "")

    def run_all(self, commands: Mapping[str, Command]) -> dict[str, Result]:
        """Return the captured results."""
        return {name: Result(asked, *self.said[name], 0.01) for name, asked in commands.items()}


def fact_of(case: Path) -> Fact[Any]:
    """Return the fact that a case belongs to."""
    name = case.stem.split("-")[0]
    found = getattr(importlib.import_module(f"runbook.facts.{case.parent.name}"), name)
    return found if isinstance(found, Fact) else found({"since": "10m", "query": "select 1", "rows": 2})
