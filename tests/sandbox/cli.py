"""The command line, run as an operator runs it."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from runbook.parameters import project_root

if TYPE_CHECKING:
    from pathlib import Path

LAUNCHER = str(project_root() / "runbook")


def runbook(*words: str, outputs: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ./runbook with these words; `environment` adds to the environment."""
    places = {"RUNBOOK_OUTPUTS": str(outputs)} if outputs is not None else {}
    return subprocess.run(
        [LAUNCHER, *words],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | places | environment,
        timeout=300,
    )


def run_notebook(name: str, outputs: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """Run a notebook; return the exit code and what its newest record says."""
    done = runbook("run", name, "--target", "sandbox", "--no-html", *words, outputs=outputs)
    records = sorted(outputs.glob("*.ipynb"))
    assert records, done.stdout + done.stderr
    about: dict[str, Any] = json.loads(records[-1].read_text())["metadata"]["runbook"]
    return done.returncode, about
