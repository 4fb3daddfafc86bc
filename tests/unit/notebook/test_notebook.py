"""A notebook's parameters: unknown, ill-typed and hostile values are refused before a kernel starts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import notebook
from runbook.errors import NotebookError, ParametersError

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """\
target: str = "sandbox"  # which server
lines: int = 100  # lines of log
ratio: float = 1.5  # a number
depth: str = "quick"  # quick | full
apply: bool = False  # nothing is changed
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("04-health/quick", "04-health/detailed", "06-database/size"):
        path = tmp_path / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        cells = [
            {"cell_type": "markdown", "source": ["# A title\n"]},
            {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": SOURCE},
        ]
        path.write_text(json.dumps({"cells": cells, "metadata": {"runbook": {"procedures": ["x.y"], "kind": "read"}}}))
    return tmp_path


@pytest.mark.parametrize(
    "wanted", ["04-health/quick", "quick", "04-health/quick.ipynb", "notebooks/04-health/quick.ipynb"]
)
def test_a_notebook_is_found_by_any_of_its_names(folder: Path, wanted: str) -> None:
    assert notebook.find(wanted, folder).name == "04-health/quick"


def test_a_notebook_is_found_by_its_whole_path(folder: Path) -> None:
    assert notebook.find(str(folder / "04-health/quick.ipynb"), folder).name == "04-health/quick"


@pytest.mark.parametrize("wanted", ["quik", "4-health/quick", "health/quick"])
def test_a_near_name_is_suggested(folder: Path, wanted: str) -> None:
    with pytest.raises(NotebookError, match="did you mean '04-health/quick'"):
        notebook.find(wanted, folder)


@given(wanted=st.text(max_size=300))
def test_nothing_outside_the_folder_is_found(wanted: str) -> None:
    with pytest.raises(NotebookError):
        notebook.find(wanted or "x", notebook.notebooks_folder() / "no-such-folder")


def test_parameters_are_read_with_type_default_help_and_choices(folder: Path) -> None:
    found = {item.name: item for item in notebook.find("quick", folder).parameters}
    assert list(found) == ["target", "lines", "ratio", "depth", "apply"]
    assert (found["lines"].type, found["lines"].default, found["lines"].help) == ("int", 100, "lines of log")
    assert found["depth"].choices == ("quick", "full")


@pytest.mark.parametrize(
    ("given_values", "texts", "says"),
    [
        ({"taget": "x"}, False, "did you mean 'target'?"),
        ({"zzz": 1}, False, "this notebook takes: target, lines"),
        ({"lines": "many"}, True, "lines: must be int, got 'many'"),
        ({"lines": True}, False, "lines: must be int"),
        ({"lines": "5"}, False, "lines: must be int"),
        ({"apply": "maybe"}, True, "apply: must be bool"),
        ({"apply": 1}, False, "apply: must be bool"),
        ({"depth": "deep"}, False, "must be one of quick, full"),
        ({"target": "a\0b"}, False, "NUL"),
        ({"target": "x" * 100_000}, False, "characters long"),
        ({"target": None}, False, "must be str"),
    ],
)
def test_bad_values_are_told(folder: Path, given_values: dict[str, Any], texts: bool, says: str) -> None:
    with pytest.raises(ParametersError) as caught:
        notebook.check(notebook.find("quick", folder), given_values, texts=texts)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_all_problems_come_at_once(folder: Path) -> None:
    with pytest.raises(ParametersError) as caught:
        notebook.check(notebook.find("quick", folder), {"a1": 1, "lines": "x", "apply": 3})
    assert len(caught.value.problems) == 3


def test_texts_of_a_command_line_become_values(folder: Path) -> None:
    values = notebook.check(notebook.find("quick", folder), {"lines": "7", "apply": "yes", "ratio": "2"}, texts=True)
    assert values == {"target": "sandbox", "lines": 7, "ratio": 2.0, "depth": "quick", "apply": True}
