"""The worked example of CONTRIBUTING.md, followed to its end: typed in, tested, and seen in a record of the practice server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from runbook.parameters import project_root

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Host

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(300)]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"\*\*`([\w/.-]+)`\*\*")


def written(text: str) -> dict[str, tuple[str, str]]:
    """Return the page's blocks (language, text) by the files that it names, in order."""
    names = NAMED.findall(text)
    blocks = BLOCK.findall(text)
    assert len(names) == len(blocks) > 4
    return dict(zip(names, blocks, strict=True))


@pytest.fixture
def followed(tmp_path: Path) -> Path:
    """A copy of the project in which the example was followed."""
    root = project_root()
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, tracked.split("\0")):
        place = tmp_path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / name, place)
    for name, (language, block) in written((root / "CONTRIBUTING.md").read_text(encoding="utf-8")).items():
        place = tmp_path / name
        if language != "diff":
            assert not place.exists(), f"{name} is there already: the example is none any more"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block, encoding="utf-8")
            continue
        lines = block.splitlines()
        old = "\n".join(line[1:] for line in lines if line.startswith("-"))
        new = "\n".join(line[1:] for line in lines if line.startswith("+"))
        before = place.read_text(encoding="utf-8")
        assert before.count(old) == 1
        place.write_text(before.replace(old, new), encoding="utf-8")
    return tmp_path


def run(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(root / "lib"), "RUNBOOK_OUTPUTS": str(root / "outputs")}
    return subprocess.run(
        [sys.executable, "-P", "-m", *words], cwd=root, env=environment, capture_output=True, text=True, check=False
    )


def test_the_example_holds_to_its_end(followed: Path, host: Host) -> None:
    tested = run(
        followed,
        "pytest",
        "-q",
        "tests/unit/checks/test_handles.py",
        "tests/unit/facts/test_cases.py",
        "tests/unit/structure",
    )
    assert tested.returncode == 0, tested.stdout
    for tool in (("ruff", "check", "--no-cache", "."), ("ruff", "format", "--no-cache", "--check", ".")):
        assert (done := run(followed, *tool)).returncode == 0, done.stdout
    ran = run(followed, "runbook", "run", "04-health/quick", "--target", f"sandbox@{host.name}", "--json", "--no-html")
    record = json.loads(ran.stdout)["record"]
    content = json.dumps(json.loads((followed / "outputs" / record.rpartition("/")[2]).read_text(encoding="utf-8")))
    assert "resources.handles" in content, ran.stderr
