"""The kernel of a run: IPython's own, with the recorder there from the first cell on, and slow imports begun early.

Started by the runner as `python -m runbook.execution.kernel CONNECTION_FILE` before the runner itself has imported papermill: on
two cores both loads go on side by side. The kernel writes its ports to CONNECTION_FILE when it is ready.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from pathlib import Path

from runbook.errors import RunbookError

PRELOADED = ("runbook.execution.run", "runbook.tables")
# slow, and not needed by every notebook: imported early only where a cell names them
WHERE_NAMED = {
    "plots": ("matplotlib.figure", "matplotlib.backends.backend_agg", "runbook.plots"),
    "pandas": ("pandas",),
}


def preload(notebook: str, code: str) -> None:
    """Given the notebook's name and its code, import what it will need while the runner is still getting ready."""
    named = [name for word, names in WHERE_NAMED.items() if word in code for name in names]
    for name in (*PRELOADED, *named):
        with contextlib.suppress(ImportError):  # the cell that needs it says so, with its own traceback
            importlib.import_module(name)
    with contextlib.suppress(RunbookError, ImportError):  # as above
        bundles = importlib.import_module("runbook.execution.bundles")
        bundles.facts(notebook, {})
        bundles.checks(notebook)


def main(connection_file: str) -> None:
    """Run a kernel until it is shut down, or its parent is gone."""
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415 (what this process waits for; all before it is quick)

    from runbook.records import recorder  # noqa: PLC0415 (as above)
    from runbook.records.journal import OUTPUTS_VARIABLE, RUN_ID_VARIABLE, Journal, read  # noqa: PLC0415 (as above)
    from runbook.records.outcome import is_code, source_of, text_of  # noqa: PLC0415 (as above)

    app = IPKernelApp.instance()
    app.initialize(["-f", connection_file, "--HistoryManager.hist_file=:memory:"])  # type: ignore[no-untyped-call]  # ipykernel has no types here
    journal = Journal.join(Path(os.environ[OUTPUTS_VARIABLE]), os.environ[RUN_ID_VARIABLE])
    recorder.install(journal, running_cell=False)
    code = "\n".join(text_of(cell) for cell in source_of(read(journal.place).events)["cells"] if is_code(cell))
    needs = (str(journal.header.get("notebook")), code)
    threading.Thread(target=preload, args=needs, name="preload", daemon=True).start()
    app.start()  # type: ignore[no-untyped-call]  # as above


if __name__ == "__main__":
    main(sys.argv[1])
