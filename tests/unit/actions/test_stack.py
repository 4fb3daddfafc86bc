"""Scripts that several plans share, run by this machine's bash."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from runbook.actions import stack

if TYPE_CHECKING:
    from pathlib import Path

    from runbook.parameters import Parameters

# there are two containers
DOCKER = """#!/bin/sh
for last in "$@"; do :; done
case "$last" in pazpaz-api|pazpaz-db) ;; *) exit 1 ;; esac
echo "$1 of $last in run $RUN"
"""


def test_logs_that_were_saved_are_kept_when_a_run_goes_on(tmp_path: Path, parameters: Parameters) -> None:
    """A run is killed after one container was made anew; the resumed one saves the rest, and no new log over an old one."""
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    step = stack.save_logs(parameters, ["db", "api", "nginx"], str(tmp_path / "work"))
    assert step.done is not None

    def run(argv: tuple[str, ...], number: str) -> int:
        path = f"{tmp_path}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "RUN": number}
        return subprocess.run(argv, env=environment, check=False, capture_output=True).returncode

    logs = tmp_path / "work" / "logs"
    assert run(step.done.argv, "1") == 1
    assert run(step.command.argv, "1") == 0
    assert sorted(path.name for path in logs.iterdir()) == [
        f"pazpaz-{name}.{kind}" for name in ("api", "db") for kind in ("log", "state.json")
    ]
    (logs / "pazpaz-api.state.json").unlink()  # it was killed before that
    assert run(step.command.argv, "2") == 0
    assert (logs / "pazpaz-db.log").read_text() == "logs of pazpaz-db in run 1\n"
    assert (logs / "pazpaz-api.log").read_text() == "logs of pazpaz-api in run 2\n"
    assert run(step.done.argv, "2") == 1, "nginx has no container"
    api_only = stack.save_logs(parameters, ["api"], str(tmp_path / "work"))
    assert api_only.done is not None
    assert run(api_only.done.argv, "2") == 0
