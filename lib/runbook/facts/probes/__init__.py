"""Programs that are fed to python3 on the server: each asks one kind of thing of every container, within a deadline.

`source(name)` gives a program's text with the modules that it imports from this folder in it, so that it needs nothing
on the server but Python 3.8.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

FOLDER = Path(__file__).parent
IMPORTED = re.compile(r"^from runbook\.facts\.probes\.(\w+) import ", re.MULTILINE)
PROGRAM = """import sys, types
def load(name, text):
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(text, name, "exec"), module.__dict__)
"""


def _text(name: str) -> str:
    return (FOLDER / f"{name}.py").read_text(encoding="utf-8")


def _needed(name: str) -> list[str]:
    """Return the modules that a module imports from here, each behind those that it needs itself."""
    found: list[str] = []
    for other in IMPORTED.findall(_text(name)):
        found += [item for item in (*_needed(other), other) if item not in found]
    return found


@functools.cache
def source(name: str) -> str:
    """Given a program's name ("links"), return its whole text."""
    modules = "".join(f"load('runbook.facts.probes.{other}', {_text(other)!r})\n" for other in _needed(name))
    return f"{PROGRAM}{modules}exec(compile({_text(name)!r}, '{name}.py', 'exec'), {{'__name__': '__main__'}})\n"
