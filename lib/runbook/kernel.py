"""The kernel of a run: IPython's own, with the recorder there from the first cell on, and slow imports begun early.

Started by the runner as `python -m runbook.kernel CONNECTION_FILE` before the runner itself has imported papermill: on
two cores both loads go on side by side. The kernel writes its ports to CONNECTION_FILE when it is ready.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
from pathlib import Path

PRELOADED = ("runbook.run", "runbook.tables", "pandas", "matplotlib.figure", "matplotlib.backends.backend_agg")


def preload() -> None:
    """Import what nearly every notebook needs, while the runner is still getting ready."""
    for name in PRELOADED:
        with contextlib.suppress(ImportError):  # the cell that needs it says so, with its own traceback
            importlib.import_module(name)


def main(connection_file: str) -> None:
    """Run a kernel until it is shut down, or its parent is gone."""
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415 (what this process waits for; all before it is quick)

    from runbook import recorder  # noqa: PLC0415 (as above)
    from runbook.journal import OUTPUTS_VARIABLE, RUN_ID_VARIABLE, Journal  # noqa: PLC0415 (as above)

    app = IPKernelApp.instance()
    app.initialize(["-f", connection_file, "--HistoryManager.hist_file=:memory:"])  # type: ignore[no-untyped-call]  # ipykernel has no types here
    journal = Journal.join(Path(os.environ[OUTPUTS_VARIABLE]), os.environ[RUN_ID_VARIABLE])
    recorder.install(journal, running_cell=False)
    threading.Thread(target=preload, name="preload", daemon=True).start()
    app.start()  # type: ignore[no-untyped-call]  # as above


if __name__ == "__main__":
    main(sys.argv[1])
