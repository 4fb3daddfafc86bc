"""The kernel of a run and the ways to stop it: Ctrl-C, SIGTERM, a cell over its time, a second Ctrl-C.

Signal handlers only leave word; a thread of its own acts on it, because a handler may run in the middle of a journal's
append. Stopping is: interrupt the kernel, wait `GRACE_SECONDS` for the cell to end, kill it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbook.errors import RunbookError
from runbook.records.journal import OUTPUTS_VARIABLE, RUN_ID_VARIABLE
from runbook.records.outcome import heading_of, is_code, without_outputs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from runbook.execution.progress import Progress
    from runbook.records.journal import Journal

GRACE_SECONDS = 5.0
START_SECONDS = 60.0
SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "its terminal was closed (SIGHUP)"}


class Stopper:
    """One run's kernel process, and who stops it. `state` and `reason` say why it was stopped, empty when it was not."""

    def __init__(self, journal: Journal, progress: Progress, *, cell_timeout: float) -> None:
        self.journal = journal
        self.progress = progress
        self.cell_timeout = cell_timeout
        self.folder = Path(tempfile.mkdtemp(prefix="runbook-"))
        self.connection_file = str(self.folder / "kernel.json")
        self.state = ""
        self.reason = ""
        self.hurry = False
        self.killed = False
        self.names: list[str] = []
        self._word = threading.Event()
        self._over = threading.Event()
        self._running: tuple[int, float] | None = None
        self.process = self._start()
        threading.Thread(target=self._watch, name="stopper", daemon=True).start()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = os.environ | {
            RUN_ID_VARIABLE: self.journal.run_id,
            OUTPUTS_VARIABLE: str(self.journal.outputs.resolve()),
            "JPY_PARENT_PID": str(os.getpid()),  # ipykernel ends itself when this process is gone
            "IPYTHONDIR": str(self.folder),  # no start-up files of the operator's own IPython
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "runbook.execution.kernel", self.connection_file],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is for the runner, which stops the kernel in order
        )

    @property
    def asked(self) -> bool:
        """Whether somebody wants the run to stop."""
        return bool(self.state)

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Take SIGINT, SIGTERM and SIGHUP as a wish to stop, while the run goes on."""
        before = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.ask("interrupted", f"stopped by {SIGNALS[signal.Signals(number)]}")

    def ask(self, state: str, reason: str) -> None:
        """Leave word that the run is to stop; asked again, the kernel is killed at once."""
        if self.state:
            self.hurry = True
        else:
            self.state, self.reason = state, reason
        self._word.set()

    def wait_ready(self) -> None:
        """Wait until the kernel has written its ports. Raises RunbookError when it ends before."""
        deadline = time.monotonic() + START_SECONDS
        path = Path(self.connection_file)
        while not (path.exists() and path.read_bytes().rstrip().endswith(b"}")):
            if self.process.poll() is not None:
                raise RunbookError(
                    f"the kernel ended at its start with exit code {self.process.returncode}", remedy="./runbook doctor"
                )
            if time.monotonic() > deadline:
                raise RunbookError(f"the kernel did not start within {START_SECONDS:g} s", remedy="./runbook doctor")
            time.sleep(0.005)

    def notebook(self, notebook: Any) -> None:
        """Keep the notebook as it is run, parameters injected, in the journal; and its headings for the progress lines."""
        heading = ""
        for cell in notebook["cells"]:
            if "injected-parameters" in cell["metadata"].get("tags", ()):
                cell["id"] = "injected-parameters"
            heading = heading_of(cell) or heading
            self.names.append(heading if is_code(cell) else "")
        self.progress.cells(self.names)
        self.journal.event("source", notebook=without_outputs(notebook))

    def cell_begins(self, index: int) -> None:
        """Note that a cell begins: its time runs."""
        self._running = (index, time.monotonic())
        self.progress.begins(index)

    def cell_ends(self, index: int) -> None:
        """Note that the cell is over."""
        self._running = None
        self.progress.ends(index)

    def _watch(self) -> None:
        while not self._over.is_set():
            self._word.wait(0.2)
            running = self._running
            if running and not self.state and time.monotonic() - running[1] > self.cell_timeout:
                self.ask("timed out", f"{self.names[running[0]] or 'a cell'} ran longer than {self.cell_timeout:g} s")
            if self.state:
                self._stop()
                return

    def _stop(self) -> None:
        self.progress.note(f"{self.reason}: stopping, at most {GRACE_SECONDS:g} s")
        with contextlib.suppress(RunbookError):
            self.journal.event("stop", state=self.state, reason=self.reason)
        self._signal(signal.SIGINT)
        deadline = time.monotonic() + GRACE_SECONDS
        while self._running and not self.hurry and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if self._running and self.process.poll() is None:
            self.killed = True
            self._signal(signal.SIGKILL)
            self.reason += "; it did not end by itself and was killed"

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def shut_down(self, client: Any) -> None:
        """End the kernel in order where it still runs, else by force; take its folder away."""
        self._over.set()
        if client is not None:
            if self.process.poll() is None:
                client.shutdown()
            client.stop_channels()
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def abandon(self) -> None:
        """Kill the kernel: the run has failed before its first cell."""
        self._over.set()
        if self.process.poll() is None:
            self._signal(signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
