"""`./runbook run`: one notebook against one target, through papermill, to a record.

Everything that can be wrong with the input is checked before a kernel starts. Then the kernel's process is started first,
and papermill is imported while it boots.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any

from runbook import notebook, parameters
from runbook.errors import ParametersError, RunbookError
from runbook.execution.progress import Progress
from runbook.execution.stopper import Stopper
from runbook.records import archive
from runbook.records.journal import Journal
from runbook.records.outcome import without_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runbook.records.archive import Finished

CELL_TIMEOUT_SECONDS = 600.0
CHANGE_TIMEOUT_SECONDS = 6 * 3600.0  # each step has its own limit; a big restore takes its time


def check(wanted: str, target: str | None, given: Mapping[str, str]) -> tuple[notebook.Notebook, dict[str, Any]]:
    """Given a notebook's name, a target and parameters as texts, return the notebook and its checked values.

    Raises NotebookError, or ParametersError with the problems of the parameters and of the params file together.
    """
    found = notebook.find(wanted)
    texts = dict(given) | ({"target": target} if target is not None else {})
    errors: list[ParametersError] = []
    values: dict[str, Any] = {}
    try:
        values = notebook.check(found, texts, texts=True)
    except ParametersError as error:
        errors.append(error)
    try:
        parameters.load(str(values.get("target") or texts.get("target") or "sandbox"))
    except ParametersError as error:
        errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        problems = [f"{error.source}: {problem}" for error in errors for problem in error.problems]
        raise ParametersError(f"run of {found.name}", problems, remedy=" ".join(error.remedy for error in errors))
    return found, values


def run(
    found: notebook.Notebook,
    values: Mapping[str, Any],
    outputs: Path,
    progress: Progress | None = None,
    *,
    cell_timeout: float | None = None,
) -> Finished:
    """Given a notebook and its checked values, run it and return the finished run. Raises RecordError, RunbookError."""
    shown = progress or Progress()
    if cell_timeout is None:
        cell_timeout = CELL_TIMEOUT_SECONDS if found.kind == "read" else CHANGE_TIMEOUT_SECONDS
    header = {
        "notebook": found.name,
        "title": found.title,
        "target": values.get("target", "none"),
        "parameters": dict(values),
        "notebook_sha256": found.sha256,
        "role": "runner",
        "cell_timeout_seconds": cell_timeout,
    }
    journal = Journal.begin(outputs, header)
    journal.event("source", notebook=without_outputs(found.content))
    stopper = Stopper(journal, shown, cell_timeout=cell_timeout)
    with stopper.signals():
        state, reason = _execute(found, values, stopper)
        if journal.place == journal.fallback:
            shown.note(f"{outputs} cannot be written; the journal goes on in {journal.fallback}")
        return archive.finalise(journal, stopper.state or state, stopper.reason or reason)


def _execute(found: notebook.Notebook, values: Mapping[str, Any], stopper: Stopper) -> tuple[str, str]:
    """Run the cells. Return (state, reason) where they alone do not tell how it ended, else ("", "")."""
    try:
        without_needless_imports()
        import nbformat  # noqa: PLC0415 (imported while the kernel starts)
        import papermill  # noqa: PLC0415 (as above)
        from nbclient.exceptions import DeadKernelError  # noqa: PLC0415 (as above)
        from papermill.exceptions import PapermillExecutionError  # noqa: PLC0415 (as above)

        logging.getLogger("papermill").setLevel(logging.ERROR)  # its words about paths and cells are said better here
        stopper.wait_ready()
    except RunbookError as error:
        stopper.abandon()
        return "kernel died", error.reason
    except BaseException:
        stopper.abandon()
        raise
    # a cell that raised is in the journal, which has the last word
    with contextlib.suppress(PapermillExecutionError):
        try:
            papermill.execute_notebook(
                nbformat.from_dict(found.content),  # type: ignore[no-untyped-call]  # nbformat has no types here
                None,
                dict(values),
                engine_name="runbook",
                kernel_name="python3",
                language="python",
                progress_bar=False,
                stopper=stopper,
            )
        except (DeadKernelError, RuntimeError) as error:
            return "kernel died", _how_it_died(stopper, error)
    return "", ""


def _how_it_died(stopper: Stopper, error: Exception) -> str:
    code = stopper.process.poll()
    if code is None:
        return f"the kernel no longer answers: {error}"
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"the kernel {how}"


def without_slow_grammar() -> None:
    """Leave out an optional part of jsonschema that builds a grammar for 1.4 s, and which no notebook needs.

    It checks the "iri" format only; jsonschema does without where the import fails.
    """
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]  # None is how an import is made to fail


def without_needless_imports() -> None:
    """Leave out what papermill and jsonschema take only where it is there, and a run has no use for (half of their import).

    isoduration checks jsonschema's "duration" format; pyarrow, with numpy, is papermill's way to write to HDFS.
    """
    without_slow_grammar()
    for name in ("isoduration", "pyarrow"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # as above
