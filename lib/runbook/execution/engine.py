"""papermill's engine `runbook`: runs the cells in the kernel that the runner started, and stops when told to.

`papermill --engine runbook` by hand works as papermill's own engine does: there is no runner then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellExecutionError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine

if TYPE_CHECKING:
    import subprocess

    from runbook.execution.stopper import Stopper


class StartedKernel(AsyncKernelManager):
    """A kernel that runs already: known by its process and its connection file."""

    def __init__(self, process: subprocess.Popen[bytes], connection_file: str) -> None:
        super().__init__(connection_file=connection_file)
        self.started = process
        self.load_connection_file()

    @property
    def has_kernel(self) -> bool:
        """A kernel is there, so that nbclient starts none."""
        return True

    async def _async_is_alive(self) -> bool:
        return self.started.poll() is None

    is_alive = _async_is_alive


class JournalClient(PapermillNotebookClient):  # type: ignore[misc]  # papermill ships no types
    """Runs the cells one after the other; asks the stopper before each, and gives each its id on the way."""

    stopper: Stopper

    def execute(self, **_options: Any) -> Any:
        """Run all cells; raise nothing for a cell that fails (the journal knows), DeadKernelError for a dead kernel."""
        self.reset_execution_trackers()
        self.start_new_kernel_client()
        try:
            self.papermill_execute_cells()
        finally:
            self._name_cells(None)
        return self.nb

    def papermill_execute_cells(self) -> None:
        """Run the cells until one fails or the stopper says so."""
        for index, cell in enumerate(self.nb.cells):
            if self.stopper.asked:
                break
            self._name_cells(cell.get("id"))
            self.stopper.cell_begins(index)
            try:
                self.nb_man.cell_start(cell, index)
                self.execute_cell(cell, index)
            except CellExecutionError as error:
                self.nb_man.cell_exception(self.nb.cells[index], cell_index=index, exception=error)
                break
            finally:
                self.stopper.cell_ends(index)
                self.nb_man.cell_complete(self.nb.cells[index], cell_index=index)

    def output(self, outs: Any, msg: Any, display_id: str, cell_index: int) -> Any:
        """Take an output of a cell; what a change says while it goes on is shown in the terminal at once."""
        if msg["msg_type"] == "stream" and msg["content"]["name"] == "stdout":
            self.stopper.progress.note(msg["content"]["text"].rstrip("\n").replace("\n", "\n  "))
        return super().output(outs, msg, display_id, cell_index)

    def _name_cells(self, cell_id: str | None) -> None:
        """Send the cell's id along, as JupyterLab does (nbclient leaves it out)."""
        session = self.kc.session
        original = type(session).msg
        if cell_id is None:
            session.__dict__.pop("msg", None)
            return

        def named(*args: Any, **options: Any) -> Any:
            message = original(session, *args, **options)
            if message["msg_type"] == "execute_request":
                message["metadata"] = {**message["metadata"], "cellId": cell_id}
            return message

        session.msg = named


class JournalEngine(NBClientEngine):  # type: ignore[misc]  # papermill ships no types
    """What the entry point `papermill.engine` names."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> Any:
        """Run the parameterised notebook in the runner's kernel (`stopper`), or as papermill does where there is none."""
        stopper: Stopper | None = options.pop("stopper", None)
        if stopper is None:
            return super().execute_managed_notebook(nb_man, kernel_name, **options)
        stopper.notebook(nb_man.nb)
        kernel = StartedKernel(stopper.process, stopper.connection_file)
        client = JournalClient(
            nb_man, km=kernel, startup_timeout=options.get("start_timeout", 60), kernel_name=kernel_name
        )
        client.stopper = stopper
        try:
            return client.execute()
        finally:
            stopper.shut_down(client.kc)
