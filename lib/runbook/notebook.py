"""A notebook of the runbook as a file: where it is, what it is for, which parameters it takes.

Parameters are the typed lines of the cell tagged `parameters`, `name: type = default  # help`, as papermill's own
`--help-notebook` reads them. Values are checked against the types before anything starts.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (dataclass fields are read by tools at run time)
from typing import Any

from runbook.errors import NotebookError, ParametersError
from runbook.parameters import project_root

TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}
LONGEST_TEXT = 10_000
TRUE_WORDS = frozenset({"true", "yes", "on", "1"})
FALSE_WORDS = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True, slots=True)
class NotebookParameter:
    """One parameter: its name, type, default and what the comment beside it says. `choices` are read from `a | b` in it."""

    name: str
    type: str
    default: Any
    help: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook: `name` is its path under notebooks/ without the ending ("04-health/quick")."""

    name: str
    path: Path
    title: str
    procedures: tuple[str, ...]
    kind: str
    subsystem: str
    symptoms: tuple[str, ...]
    parameters: tuple[NotebookParameter, ...]
    content: dict[str, Any] = dataclasses.field(repr=False, compare=False)
    sha256: str = ""


def notebooks_folder() -> Path:
    """Return the folder of the notebooks."""
    return project_root() / "notebooks"


def names(folder: Path | None = None) -> list[str]:
    """Return the names of all notebooks, in order."""
    root = folder or notebooks_folder()
    found = (
        path for path in root.rglob("*.ipynb") if not any(part.startswith(".") for part in path.relative_to(root).parts)
    )
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in found)


def find(wanted: str, folder: Path | None = None) -> Notebook:
    """Given a notebook's name, path or unique short name ("quick"), return it.

    Raises NotebookError with the nearest name for one that is not there, and for an ambiguous or unreadable one.
    """
    root = folder or notebooks_folder()
    known = names(root)
    plain = re.sub(r"^(\./)?notebooks/", "", wanted.strip()).removesuffix(".ipynb")
    if not plain or "\0" in plain or len(plain) > LONGEST_TEXT:
        raise NotebookError(f"notebook {wanted[:80]!r}: not a notebook's name", remedy="./runbook notebooks lists all")
    matches = [name for name in known if name == plain] or [name for name in known if name.rsplit("/", 1)[-1] == plain]
    if not matches:
        candidate = root / f"{plain}.ipynb"
        inside = candidate.resolve().is_relative_to(root.resolve()) if len(plain) < 200 else False  # noqa: PLR2004 (longer than any path of ours)
        absolute = re.sub(r"\.ipynb$", "", wanted)
        for name in known:
            if inside and str((root / name).resolve()) == absolute:
                matches = [name]
    if len(matches) > 1:
        raise NotebookError(f"notebook {wanted!r} is ambiguous: {', '.join(matches)}", remedy="write the whole name")
    if not matches:
        short = {name.rsplit("/", 1)[-1]: name for name in known}
        near = difflib.get_close_matches(plain, known, n=1, cutoff=0.5) or [
            short[name] for name in difflib.get_close_matches(plain.rsplit("/", 1)[-1], list(short), n=1)
        ]
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise NotebookError(f"there is no notebook {wanted[:120]!r}", remedy=f"{hint}./runbook notebooks lists all")
    return read(root / f"{matches[0]}.ipynb", matches[0])


def read(path: Path, name: str) -> Notebook:
    """Given a notebook's file, return what it declares. Raises NotebookError when it is not one of ours."""
    try:
        raw = path.read_bytes()
        content = json.loads(raw)
        cells = content["cells"]
        declared = content["metadata"].get("runbook", {})
    except OSError as error:
        raise NotebookError(f"{path} cannot be read: {error.strerror}", remedy="check that it is there") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotebookError(
            f"{path} is not a notebook: {type(error).__name__}: {error}", remedy="restore it from git"
        ) from None
    first = source_of(cells[0]) if cells else ""
    title = next((line.lstrip("# ").strip() for line in first.splitlines() if line.startswith("#")), name)
    return Notebook(
        name=name,
        path=path,
        title=title,
        procedures=tuple(declared.get("procedures", ())),
        kind=str(declared.get("kind", "read")),
        subsystem=str(declared.get("subsystem", "")),
        symptoms=tuple(declared.get("symptoms", ())),
        parameters=tuple(_declared(cells, path)),
        content=content,
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def source_of(cell: dict[str, Any]) -> str:
    """Return a cell's source as one text (the file format allows a list of lines)."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def parameters_cell(cells: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the cell tagged `parameters`, or None."""
    return next((cell for cell in cells if "parameters" in cell.get("metadata", {}).get("tags", ())), None)


def _declared(cells: list[dict[str, Any]], path: Path) -> list[NotebookParameter]:
    cell = parameters_cell(cells)
    if cell is None:
        return []
    source = source_of(cell)
    lines = source.splitlines()
    found = []
    try:
        for node in ast.parse(source).body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
                help_text = (
                    lines[node.end_lineno - 1][node.end_col_offset :].strip().lstrip("#").strip()
                    if node.end_lineno and node.end_col_offset is not None
                    else ""
                )
                choices = re.match(r"(\w[\w-]*(?:\s*\|\s*\w[\w-]*)+)", help_text)
                found.append(
                    NotebookParameter(
                        name=node.target.id,
                        type=ast.unparse(node.annotation),
                        default=ast.literal_eval(node.value),
                        help=help_text,
                        choices=tuple(word.strip() for word in choices.group(1).split("|")) if choices else (),
                    )
                )
    except (SyntaxError, ValueError) as error:
        raise NotebookError(
            f"{path}: the parameters cell cannot be read: {error}", remedy="write `name: type = literal  # help` lines"
        ) from None
    return found


def check(notebook: Notebook, given: dict[str, Any], *, texts: bool = False) -> dict[str, Any]:
    """Given parameters, return them with their right types, all defaults filled in.

    `texts`: the values come from a command line and are converted. Raises ParametersError with every problem at once:
    unknown names (with the nearest known one), wrong types, a value that is not among the choices, too long a text.
    """
    known = {parameter.name: parameter for parameter in notebook.parameters}
    problems: list[str] = []
    values = {parameter.name: parameter.default for parameter in notebook.parameters}
    for name, value in given.items():
        parameter = known.get(name)
        if parameter is None and name in ("apply", "confirm") and notebook.kind == "read":
            problems.append(f"{name}: this notebook only reads, so there is nothing to apply; leave it out")
            continue
        if parameter is None:
            near = difflib.get_close_matches(name, known, n=1)
            problems.append(
                f"unknown parameter {name[:80]!r}"
                + (f"; did you mean {near[0]!r}?" if near else f"; this notebook takes: {', '.join(known)}")
            )
            continue
        problem, values[name] = _typed(parameter, value, texts=texts)
        if problem:
            problems.append(f"{name}: {problem}")
    if problems:
        raise ParametersError(
            f"notebook {notebook.name}",
            problems,
            remedy=f"./runbook run {notebook.name} --help-notebook shows what it takes",
        )
    return values


def _typed(parameter: NotebookParameter, value: Any, *, texts: bool) -> tuple[str, Any]:
    kind = TYPES.get(parameter.type, str)
    shown = repr(value)[:80]
    if texts and isinstance(value, str) and kind is not str:
        converted = _converted(kind, value)
        if converted is None:
            return f"must be {parameter.type}, got {shown}", value
        value = converted
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:  # bool is an int to isinstance, and must not pass as one
        return f"must be {parameter.type}, got {shown} ({type(value).__name__})", value
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"is {len(value)} characters long; at most {LONGEST_TEXT} are taken", value
    if isinstance(value, str) and "\0" in value:
        return "holds a NUL character, which no program can be given", value
    if parameter.choices and value not in parameter.choices and value != parameter.default:
        return f"must be one of {', '.join(parameter.choices)}; got {shown}", value
    return "", value


def _converted(kind: type, text: str) -> Any:
    if kind is bool:
        word = text.strip().lower()
        return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None
    try:
        return kind(text.strip())
    except ValueError:
        return None
