"""The house: imports go one way, one room has the SSH library, and the practice server stays outside."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

import runbook
from runbook.parameters import project_root

LIBRARY = Path(runbook.__file__).parent
MODULES = sorted(LIBRARY.rglob("*.py"))
# the rooms from bottom to top: a module may import from its own room and from those before it
ORDER = [
    ("errors", "commands", "verdict", "secrets", "screen"),
    ("parameters",),
    ("notebook", "records.journal", "records.chain", "records.chained_lines"),
    ("connection",),
    ("offhost",),
    ("facts",),
    ("checks",),
    ("triage",),
    ("changes",),
    ("actions",),
    ("tables", "plots"),
    ("records",),
    ("execution", "doctor"),
    ("cli",),
]


def _names(nodes: list[ast.AST]) -> frozenset[str]:
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` means the module: it may stand lower than the rest of its package
            named = {f"{node.module}.{alias.name}" for alias in node.names}
            modules = {name for name in named if (LIBRARY.parent / name.replace(".", "/")).with_suffix(".py").exists()}
            found |= named if modules == named else {node.module, *named}
    return frozenset(found)


@functools.cache
def imported(path: Path, *, late: bool = True) -> frozenset[str]:
    """Return the modules that a file imports; `late` counts imports inside functions too."""
    tree = ast.parse(path.read_text())
    if not late:
        return _names(list(tree.body))
    pending: list[ast.AST] = [tree]
    nodes: list[ast.AST] = []
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        nodes.append(node)
        pending += ast.iter_child_nodes(node)
    return _names(nodes)


def room(module: str) -> int | None:
    """Return the level of a module of ours, None for one that is not listed."""
    parts = module.split(".")
    if parts[0] != "runbook" or len(parts) < 2:
        return None
    names = (".".join(parts[1:3]), parts[1])  # a module may stand lower than the rest of its room
    return next((level for name in names for level, rooms in enumerate(ORDER) if name in rooms), None)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_ssh_is_in_one_room(path: Path) -> None:
    if path.relative_to(LIBRARY).parts[0] != "connection":
        assert not {
            name for name in imported(path) if name.split(".")[0] in {"fabric", "paramiko", "invoke", "asyncssh"}
        }


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_the_library_never_imports_the_practice_server(path: Path) -> None:
    if path.relative_to(LIBRARY).parts[0] != "cli":  # the command line hands `sandbox` over by name
        assert not {name for name in imported(path) if name.split(".")[0] == "sandbox"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_imports_go_one_way(path: Path) -> None:
    own = room("runbook." + ".".join(path.relative_to(LIBRARY).with_suffix("").parts))
    if path == LIBRARY / "__init__.py" or path.name == "__main__.py":
        return
    assert own is not None, f"{path.name} is in no room: add it to ORDER"
    above = {name for name in imported(path, late=False) if (level := room(name)) is not None and level > own}
    assert not above


def test_help_needs_nothing_heavy() -> None:
    code = "import sys, runbook, runbook.cli; print([m for m in ('paramiko','pandas','matplotlib','papermill','nbformat','pydantic','IPython') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_names_of_test_files_are_unique() -> None:
    """Two of one name end the collection where neither lies in a package."""
    names = [path.name for path in (project_root() / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


LONGEST_MODULE = 300


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(LIBRARY).as_posix())
def test_a_long_module_says_why(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    is_long = len(text.splitlines()) > LONGEST_MODULE
    reason = f"Longer than {LONGEST_MODULE} lines: " in (ast.get_docstring(ast.parse(text)) or "")
    assert not is_long or reason, "split it, or give the reason in its first lines"
