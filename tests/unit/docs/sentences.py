"""Every sentence that checks, steps, tables and errors can produce, in one list to be read as a stranger would.

    python tests/unit/docs/sentences.py     writes docs/sentences.md anew

What stands in braces is filled in at run time.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
LIBRARY = ROOT / "lib" / "runbook"
PAGE = ROOT / "docs" / "sentences.md"
KEYWORDS = {"ok", "bad", "what", "why", "remedy", "title", "note", "notes", "nothing", "losses", "reason", "caption"}
SPEAKS = ("Error", "Wrong", "Verdict", "Lost", "BrokenLink")
FEWEST_WORDS = 3


def alternatives(node: ast.expr) -> list[ast.expr]:
    """Return the parts of an expression that can each be what is told."""
    match node:
        case ast.IfExp(body=one, orelse=other):
            return [one, other]
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.BoolOp(values=parts):
            return parts
        case ast.Starred(value=part):
            return [part]
        case ast.JoinedStr(values=parts):
            return [part.value for part in parts if isinstance(part, ast.FormattedValue)]
    return []


def text_of(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression can become; each value put in as its expression, in braces."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    if isinstance(node, ast.JoinedStr):
        yield "".join(map(_part, node.values))
    for part in alternatives(node):
        yield from text_of(part)


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue):
        return "{" + ast.unparse(part.value).replace('"', "'") + "}"  # Python 3.12 quotes nested strings in another way
    return str(part.value) if isinstance(part, ast.Constant) else ""


def sentences(path: Path) -> Iterator[str]:
    """Yield the sentences of one module in the order in which they stand there."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            told = list(node.args) if name.endswith(SPEAKS) else []
            told += [item.value for item in node.keywords if item.arg in KEYWORDS]
            for item in told:
                yield from text_of(item)
        elif isinstance(node, ast.Return | ast.Yield) and node.value is not None:
            yield from text_of(node.value)


def page() -> str:
    """Return the whole list."""
    lines = [
        "# Sentences",
        "",
        "What checks, steps, tables and errors can say; what stands in braces is filled in at run time.",
        "Made by `python tests/unit/docs/sentences.py`.",
    ]
    for path in sorted(LIBRARY.rglob("*.py")):
        found = dict.fromkeys(
            " ".join(text.split())
            for text in sentences(path)
            if len(text.split()) >= FEWEST_WORDS and "\n" not in text.strip()
        )
        if found:
            lines += ["", f"## {path.relative_to(LIBRARY).as_posix()}", "", *(f"- {text}" for text in found)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
