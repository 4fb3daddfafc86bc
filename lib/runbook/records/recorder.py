"""Writes what cells do to the journal, from inside the kernel, whoever runs them: the runner, papermill or JupyterLab.

`install` hooks into IPython: `cell.start` when a cell begins, `cell.output` for each message the kernel sends to its
readers (as nbformat output JSON), `cell.end` with how it ended. The messages are masked on their way, so a secret that a
cell prints reaches neither the record nor papermill's copy nor the screen.

Under the runner the recorder is there from the first cell on, and the runner finishes the record. Elsewhere
`runbook.start` installs it in the setup cell, which is the first recorded one; the record is finished when `finish` was
called and the notebook's last code cell has run, or when the kernel ends.
"""

from __future__ import annotations

import atexit
import base64
import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from runbook.errors import EXIT_FAILED, NotebookError, RecordError
from runbook.records.journal import RUN_ID_VARIABLE
from runbook.records.outcome import without_outputs
from runbook.secrets import redactor

if TYPE_CHECKING:
    from runbook.records.journal import Journal

SHOWN = {"stream", "display_data", "execute_result", "error", "update_display_data", "clear_output"}
MASKED = SHOWN | {"execute_reply"}  # the reply to whoever asked holds the traceback once more


class Recorder:
    """The hooks of one kernel. `journal` changes when a second run is begun in the same kernel."""

    def __init__(self, shell: Any, journal: Journal) -> None:
        self.shell = shell
        self.journal = journal
        self.cell: str | None = None
        self.begun = 0.0
        self.waiting: dict[str, Any] | None = None
        self.finishing = False
        self.unfinished = bool(not os.environ.get(RUN_ID_VARIABLE))

    def attach(self) -> None:
        """Register with IPython, and begin with the cell that is running now, if any."""
        self.shell.events.register("pre_run_cell", self.before)
        self.shell.events.register("post_run_cell", self.after)
        session = getattr(getattr(self.shell, "kernel", None), "session", None)
        if session is not None:
            self._watch(session)
        atexit.register(self.close)

    def begin_running_cell(self) -> None:
        """Record the cell in which `install` was called as begun now."""
        raw = list(getattr(self.shell.history_manager, "input_hist_raw", ())) or [""]
        self._start(raw[-1], self._cell_id(None))

    def before(self, info: Any) -> None:
        """Note that a cell begins (IPython's pre_run_cell)."""
        if not info.silent:
            self._start(info.raw_cell, info.cell_id)

    def _start(self, source: str, cell_id: str | None) -> None:
        self.begun = time.monotonic()
        self.cell = cell_id or self._cell_id(None) or ""
        self.waiting = {"id": self.cell, "source": source, "count": self.shell.execution_count}
        if not self.journal.closed:
            self._write_start()

    def _write_start(self) -> None:
        """Write the cell's beginning. After a run's end it waits for a sign that another run begins."""
        if self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            self.journal.event("cell.start", **waiting)

    def leave(self) -> None:
        """Finish the run so far: another one begins in the cell that is running."""
        if not self.journal.closed:
            self.journal.event(
                "cell.end", id=self.cell or "", seconds=0, ok=True, note="another run began in this cell"
            )
        self.close()

    def _cell_id(self, given: str | None) -> str | None:
        if given:
            return given
        header = getattr(self.shell, "parent_header", None) or {}
        found = (header.get("metadata") or {}).get("cellId")
        return str(found) if found else None

    def after(self, result: Any) -> None:
        """Note how the cell ended (IPython's post_run_cell)."""
        if self.cell is None or (result.info is not None and result.info.silent):
            return
        sys.stdout.flush()
        sys.stderr.flush()
        error = result.error_before_exec or result.error_in_exec
        told: dict[str, Any] = {"ok": error is None}
        if error is not None:
            told |= {"ename": type(error).__name__, "evalue": str(error), "exit_code": _exit_code(error)}
        cell, self.cell = self.cell, None
        if self.journal.closed:  # nothing was done to the server since the run's end
            return
        self._write_start()
        self.journal.event("cell.end", id=cell, seconds=round(time.monotonic() - self.begun, 6), **told)
        if self.finishing and self.unfinished and self._is_last():
            self.close()

    def _is_last(self) -> bool:
        from runbook.records import journal, outcome  # noqa: PLC0415 (needed once a run)

        events = journal.read(self.journal.place).events
        return all(run.status != outcome.NOT_REACHED for run in outcome.cell_runs(outcome.source_of(events), events))

    def _watch(self, session: Any) -> None:
        send = session.send

        def sending(stream: Any, msg_or_type: Any, content: Any = None, *args: Any, **options: Any) -> Any:
            kind = msg_or_type if isinstance(msg_or_type, str) else msg_or_type.get("header", {}).get("msg_type", "")
            if kind in MASKED:
                if isinstance(msg_or_type, str):
                    content = redactor.value(content)
                else:
                    msg_or_type = {**msg_or_type, "content": redactor.value(msg_or_type["content"])}
                shown = content if isinstance(msg_or_type, str) else msg_or_type["content"]
                if kind in SHOWN:
                    self._output(nbformat_output(kind, shown))
            return send(stream, msg_or_type, content, *args, **options)

        session.send = sending

    def _output(self, output: dict[str, Any]) -> None:
        if self.cell is None or self.journal.closed:
            return
        with contextlib.suppress(RecordError):  # a full disk must not take the output from the operator's screen
            self._write_start()
            self.journal.event("cell.output", id=self.cell, output=output)

    def close(self) -> None:
        """Finish the record, where no runner does it."""
        if not self.unfinished or self.journal.closed:
            return
        from runbook.records import archive  # noqa: PLC0415 (needed once a run)

        with contextlib.suppress(RecordError):  # the next command that looks at the records tries again and tells
            archive.export_page(archive.finalise(self.journal).path, wait=False)


def _exit_code(error: BaseException) -> int:
    code = getattr(error, "exit_code", EXIT_FAILED)
    return code if isinstance(code, int) else EXIT_FAILED


def nbformat_output(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """Given a message of the kernel, return it as nbformat keeps it (`display_id` kept aside for later updates)."""
    if kind == "stream":
        return {"output_type": "stream", "name": content["name"], "text": content["text"]}
    if kind == "error":
        return {"output_type": "error", **{key: content[key] for key in ("ename", "evalue", "traceback")}}
    if kind == "clear_output":
        return {"output_type": "clear_output", "wait": bool(content.get("wait"))}
    # a picture is bytes here and becomes base64 only on its way out of the kernel
    data = {media_type: _text(value) for media_type, value in content["data"].items()}
    output = {"output_type": kind, "data": data, "metadata": content.get("metadata") or {}}
    if kind == "execute_result":
        output["execution_count"] = content.get("execution_count")
    display_id = (content.get("transient") or {}).get("display_id")
    return output | ({"display_id": display_id} if display_id else {})


def _text(value: Any) -> Any:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


_installed: Recorder | None = None


def install(journal: Journal, *, running_cell: bool = True) -> Recorder | None:
    """Given a run's journal, record this kernel's cells in it. Return None where there is no IPython.

    `running_cell`: called from a cell, which is recorded too. A second run in the same kernel finishes the first.
    """
    global _installed  # noqa: PLW0603 (a kernel has one set of hooks)
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    if shell is None:
        return None
    if _installed is None:
        _installed = Recorder(shell, journal)
        _installed.attach()
        if running_cell:
            _installed.begin_running_cell()
    elif _installed.journal is not journal and _installed.journal.run_id != journal.run_id:
        _installed.leave()
        _installed.journal, _installed.finishing = journal, False
        _installed.begin_running_cell()
    else:
        _installed.journal = journal
    if journal.header.get("notebook") and not os.environ.get(RUN_ID_VARIABLE):  # the runner has done so
        _note_source(journal)
    return _installed


def _note_source(journal: Journal) -> None:
    """Keep the notebook as it lies on disk now: the record is made from it, even if the file changes meanwhile."""
    from runbook.notebook import find  # noqa: PLC0415 (as above)
    from runbook.records.journal import read  # noqa: PLC0415 (needed once a run)

    if any(event.kind == "source" for event in read(journal.place).events):
        return
    with contextlib.suppress(
        NotebookError
    ):  # a notebook of one's own, outside notebooks/: its cells are kept as they run
        journal.event("source", notebook=without_outputs(find(str(journal.header["notebook"])).content))


def finishing() -> None:
    """Say that the record may be finished once the notebook's last cell has run (`run.finish` was called)."""
    if _installed is not None:
        _installed.finishing = True
