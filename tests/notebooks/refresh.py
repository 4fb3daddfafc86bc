"""Run notebooks on the practice server and keep their outputs in the committed files.

    python tests/notebooks/refresh.py                   all of them
    python tests/notebooks/refresh.py 04-health/quick   one of them

Runs leave their records in a folder of their own, so that what is shown does not depend on earlier runs.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import TYPE_CHECKING

import nbformat
from nbclient import NotebookClient

from runbook import notebook

if TYPE_CHECKING:
    from pathlib import Path

CELL_SECONDS = 120
WARM_UP_RUNS = 3


def environment(outputs: str) -> dict[str, str]:
    """Return the environment of a run whose outputs can be shown to anybody."""
    return {"RUNBOOK_OUTPUTS": outputs, "RUNBOOK_OPERATOR": "operator", "COLUMNS": "120"}


def refresh(path: Path) -> None:
    """Run a notebook as it is committed and write its outputs into it."""
    content = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call] # nbformat ships no types for it
    NotebookClient(
        content,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    plain = json.loads(nbformat.writes(content))  # type: ignore[no-untyped-call] # as above
    odd = [
        cell["id"]
        for cell in plain["cells"]
        for output in cell.get("outputs", ())
        if output["output_type"] in {"error", "stream"}
    ]
    if odd:
        raise SystemExit(f"{path}: a message or an error stands in the outputs of {', '.join(odd)}; nothing was stored")
    plain["metadata"]["language_info"] = {"name": "python"}
    path.write_text(json.dumps(plain, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def main(wanted: list[str]) -> None:
    """Refresh the notebooks of these names; without names, all."""
    for name in wanted or notebook.names():
        found = notebook.find(name)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as outputs:
            os.environ.update(environment(outputs))
            draws_trend = any(
                "trend(" in "".join(cell["source"]) for cell in found.content["cells"] if cell["cell_type"] == "code"
            )
            for _ in range(WARM_UP_RUNS if draws_trend else 1):
                refresh(found.path)
        print(f"{found.name}: outputs refreshed")


if __name__ == "__main__":
    main(sys.argv[1:])
