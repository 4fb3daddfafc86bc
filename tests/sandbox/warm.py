"""Runs notebooks in forked processes that have imported everything before: what a kernel does under Run All, without its start.

    python tests/sandbox/warm.py      reads one JSON request a line, forks, answers with the child's number

The long matrix starts some thousand runs, and most of a run's time is the start of a runner and of a kernel. A child has an
IPython shell of its own, runs every cell as JupyterLab would, and finishes its record by itself; it is one process, so
killing it kills all of the run. Where it ended, NUMBER.code beside its output has the exit code of its record.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

# imported before the fork, for the children
import IPython.core.interactiveshell
import pandas as pd

import runbook.execution.run
import runbook.tables
from runbook import notebook, parameters
from runbook.changes import earlier_run
from runbook.execution import runner
from runbook.records import archive, journal, outcome

HELD = (runbook.tables, pd, parameters)
EXIT_FAILED = 5


def wanted(request: dict[str, Any]) -> tuple[notebook.Notebook, dict[str, Any]]:
    """Return the notebook and its values: of a run of its own, or of one that refers to an earlier one."""
    if request["mode"] == "run":
        texts = {
            name: str(value).lower() if isinstance(value, bool) else value for name, value in request["values"].items()
        }
        return runner.check(request["notebook"], request["target"], texts)
    os.environ[earlier_run.VARIABLE] = f"{request['mode']}:{request['record']}"
    earlier = earlier_run.read(Path(os.environ[journal.OUTPUTS_VARIABLE]), request["record"])
    found = notebook.find(str(earlier.header["notebook"]))
    known = {item.name for item in found.parameters}
    values = {key: value for key, value in dict(earlier.header["parameters"]).items() if key in known}
    values |= {key: value for key, value in request["values"].items() if key in known}
    return found, notebook.check(found, values)


def run(request: dict[str, Any]) -> int:
    """Run the cells up to the first that fails; return the exit code of the record."""
    os.environ |= request["environment"]
    os.environ.pop(earlier_run.VARIABLE, None)
    os.environ.pop(journal.RUN_ID_VARIABLE, None)
    outputs = Path(os.environ[journal.OUTPUTS_VARIABLE])
    found, values = wanted(request)
    archive.export_page = lambda record, **_: record.with_suffix(".html")  # as with --no-html
    shell = IPython.core.interactiveshell.InteractiveShell.instance()
    given = "\n".join(f"{name} = {value!r}" for name, value in values.items())
    for cell in found.content["cells"]:
        if cell["cell_type"] != "code":
            continue
        injected = [f"# Parameters\n{given}"] if "parameters" in cell["metadata"].get("tags", ()) else []
        for source in ("".join(cell["source"]), *injected):
            result = shell.run_cell(source, store_history=True, cell_id=None if injected else cell["id"])  # type: ignore[no-untyped-call]  # IPython has none here
            if not result.success:
                return _end(outputs)
    return _end(outputs)


def _end(outputs: Path) -> int:
    """Finish the run as a kernel that ends does; return what its record says."""
    atexit._run_exitfuncs()  # noqa: SLF001  # a forked process has no other way to run them and then leave at once
    mine = [path for path in (outputs / ".journal").glob("*.jsonl") if _is_mine(path)]
    return outcome.exit_code(journal.read(mine[0]).events) if mine else EXIT_FAILED


def _is_mine(path: Path) -> bool:
    return any(event.data.get("pid") == os.getpid() for event in journal.read(path).events if event.kind == "run.start")


def fork(request: dict[str, Any]) -> int:
    """Start a child for a request and return its number."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    code = EXIT_FAILED
    try:
        code = run(request)
    except BaseException as error:  # noqa: BLE001  # a child must never return into the parent's loop
        traceback.print_exc()
        code = getattr(error, "exit_code", EXIT_FAILED)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Serve until standard input ends."""
    outputs: dict[int, Path] = {}
    os.environ["IPYTHONDIR"] = tempfile.mkdtemp(prefix="runbook-warm-")  # nothing of the operator's own IPython

    def reap(*_: object) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                child, status = os.waitpid(-1, os.WNOHANG)
                if not child:
                    return
                place = outputs[child].with_suffix(".code")
                part = place.with_suffix(".part")
                part.write_text(str(os.waitstatus_to_exitcode(status)))
                part.replace(place)

    for line in sys.stdin:
        request = json.loads(line)
        # a child that ends at once must not be reaped before its number is known here
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        signal.signal(signal.SIGCHLD, reap)
        child = fork(request)
        outputs[child] = Path(request["output"])
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
