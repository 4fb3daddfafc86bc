"""What a run finds around it: the kernel's names, what papermill injected, who runs it, and from which commit."""

from __future__ import annotations

import ast
import getpass
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from runbook import notebook, parameters
from runbook.errors import ParametersError

if TYPE_CHECKING:
    from pathlib import Path

INJECTED_MARK = "# Parameters"  # papermill writes it as the first line of the cell it injects
VERSIONS_OF = ("runbook", "fabric", "paramiko", "papermill", "ipykernel")


def operator() -> str:
    """Return who runs this, as the operating system knows them; RUNBOOK_OPERATOR overrides it for shared accounts."""
    return os.environ.get("RUNBOOK_OPERATOR") or getpass.getuser()


def shell_of_kernel() -> Any:
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None


def namespace() -> dict[str, Any]:
    shell = shell_of_kernel()
    return dict(shell.user_ns) if shell is not None else {}


def injected() -> dict[str, Any]:
    """Return what papermill injected, unknown names included: papermill only warns of these, and goes on."""
    shell = shell_of_kernel()
    if shell is None:
        return {}
    found: dict[str, Any] = {}
    for source in shell.history_manager.input_hist_raw:
        if source.lstrip().startswith(INJECTED_MARK):
            for node in ast.parse(source).body:
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    found[node.targets[0].id] = _literal(node.value)
    return found


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ParametersError(
            "injected parameters", [f"not a plain value: {error}"], remedy="pass texts, numbers or booleans"
        ) from None


def header_of_run(source: notebook.Notebook, target: str, values: dict[str, Any]) -> dict[str, Any]:
    return {
        "notebook": source.name,
        "title": source.title,
        "procedures": list(source.procedures),
        "kind": source.kind,
        "target": target,
        "parameters": values,
        "operator": operator(),
        "notebook_sha256": source.sha256,
        "git_commit": git_commit(parameters.project_root()),
        "versions": {name: importlib.metadata.version(name) for name in VERSIONS_OF}
        | {"python": platform.python_version()},
        "started": time.time(),
    }


def git_commit(root: Path) -> str:
    """Given a checkout, return its commit, with "+changes" where files differ from it; "" outside of git."""
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=+changes", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return described.stdout.strip()
