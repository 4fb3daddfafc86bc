"""The committed notebooks still show what the practice server says: each is run under nbval, strictly."""

from __future__ import annotations

import difflib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runbook import notebook
from runbook.parameters import project_root

pytestmark = [pytest.mark.notebooks, pytest.mark.timeout(300)]

SANITIZE = Path(__file__).parent / "sanitize.cfg"
FAILED = 1  # pytest's exit code for "tests were run, and some failed"


def nbval(path: Path, outputs: Path) -> subprocess.CompletedProcess[str]:
    """Run a notebook and compare its outputs with the stored ones; records go to a folder of their own."""
    options = ("--nbval", "--nbval-sanitize-with", str(SANITIZE), "--nbval-cell-timeout", "60")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-vv", "-p", "no:cacheprovider", "--timeout", "240", "--rootdir", str(project_root()),
         "-c", str(project_root() / "pyproject.toml"), *options, str(path)],
        env=os.environ | {"RUNBOOK_OUTPUTS": str(outputs), "RUNBOOK_OPERATOR": "operator"},
        capture_output=True, text=True, check=False, cwd=project_root(),
    )  # fmt: skip


def words_that_differ(printed: str) -> str:
    """What nbval found, for a reader: of two lines of many thousand characters, the words that differ and those around."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[0-9;]*m", "", printed).splitlines()]
    # nbval asks pytest to compare the stored output with the one of now; pytest marks the first "+" and the second "-".
    stored = [line[2:].split(" ") for line in lines if line.startswith("+ ")]
    found = [line[2:].split(" ") for line in lines if line.startswith("- ")]
    told: list[str] = []
    for old, new in zip(stored, found, strict=False):
        for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            if tag != "equal":
                told.append(
                    f"...{' '.join(old[max(0, i - 8) : i])} [{' '.join(old[i:j])}] is now [{' '.join(new[k:m])}]"
                )
    where = [line[:400] for line in lines if "FAILED" in line or "mismatch" in line]
    return "\n".join([*dict.fromkeys(where), *(told[:20] or [line[:400] for line in lines[-60:]])])


@pytest.mark.parametrize("name", notebook.names())
def test_outputs_are_those_of_a_run_now(name: str, tmp_path: Path) -> None:
    done = nbval(notebook.find(name).path, tmp_path)
    assert done.returncode == 0, words_that_differ(done.stdout)


@pytest.mark.parametrize(
    ("cell", "old", "new"),
    [("notebooks", "never run", "OK"), ("contacts", "technical owner", "nobody"), ("verdict", "OK", "WARNING")],
)
def test_a_changed_output_is_noticed(cell: str, old: str, new: str, tmp_path: Path) -> None:
    changed = tmp_path / "changed.ipynb"
    shutil.copy(notebook.find("00-start-here").path, changed)
    content = json.loads(changed.read_text(encoding="utf-8"))
    target = next(item for item in content["cells"] if item["id"] == cell)
    before = json.dumps(target["outputs"])
    assert old in before
    target["outputs"] = json.loads(before.replace(old, new, 1))
    changed.write_text(json.dumps(content), encoding="utf-8")
    done = nbval(changed, tmp_path / "outputs")
    assert done.returncode == FAILED, done.stdout
    assert "1 failed" in done.stdout
