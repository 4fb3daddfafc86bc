"""./runbook undo, resume, unlock, and how `run` carries out a notebook: dry run first where a phrase must be typed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from runbook.errors import NotebookError, PreflightError, Refused, RunbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runbook.notebook import Notebook
    from runbook.records.archive import Finished


def execute(
    found: Notebook,
    values: Mapping[str, Any],
    outputs: Path,
    *,
    html: str = "beside",
    quiet: bool = False,
    as_json: bool = False,
    cell_timeout: float | None = None,
) -> int:
    """Run a notebook and say where its record is; return the exit code. `html` is beside, wait or none.

    `as_json`: say it as one JSON object for programs, and ask nothing.
    """
    from runbook.records.archive import export_page, finalise_orphans  # noqa: PLC0415 (--help does not need it)

    for orphan in finalise_orphans(outputs):
        export_page(orphan.path, wait=False)
        click.echo(
            f"an earlier run had no end and has its record now: {orphan.path} ({orphan.state}: {orphan.reason})",
            err=True,
        )
    if values.get("apply") and values.get("confirm") == "" and sys.stdin.isatty() and not as_json:
        dry = _run(found, {**values, "apply": False}, outputs, html=html, quiet=quiet, cell_timeout=cell_timeout)
        if dry.exit_code >= Refused.exit_code:  # refused or failed already: there is nothing to confirm
            return dry.exit_code
        phrase = _ask(found, dry)
        if phrase is None:
            click.echo("not confirmed: nothing was changed.", err=True)
            return Refused.exit_code
        values = {**values, "confirm": phrase}
    return _run(found, values, outputs, html=html, quiet=quiet, as_json=as_json, cell_timeout=cell_timeout).exit_code


def refused_json(error: RunbookError) -> str:
    """Given what kept a run from beginning, return it as the JSON object that `run --json` prints."""
    import json  # noqa: PLC0415 (--help does not need it)

    state = "refused" if error.exit_code == Refused.exit_code else "failed"
    return json.dumps({"state": state, "exit_code": error.exit_code, "error": str(error)})


def _told_json(done: Finished, page: Path | None) -> str:
    """Return what a program wants to know of a finished run, read from its record."""
    import json  # noqa: PLC0415 (--help does not need it)

    told = json.loads(Path(done.path).read_text(encoding="utf-8"))["metadata"]["runbook"]
    judged = told["after"] or told["before"] or {}
    return json.dumps(
        {
            "state": told["verdict"] if told["state"] == "whole" else told["state"],
            "exit_code": done.exit_code,
            "sentence": judged.get("sentence", ""),
            "findings": [row for row in judged.get("rows", ()) if row.get("state") != "OK"],
            "change": told["applied"].get("state", ""),
            "notebook": told["header"].get("notebook"),
            "target": told["header"].get("target"),
            "error": told["reason"],
            "record": str(done.path),
            "page": str(page) if page else None,
        }
    )


def _run(
    found: Notebook,
    values: Mapping[str, Any],
    outputs: Path,
    *,
    html: str,
    quiet: bool,
    as_json: bool = False,
    cell_timeout: float | None,
) -> Finished:
    from runbook.execution import runner  # noqa: PLC0415 (--help does not need it)
    from runbook.execution.progress import Progress  # noqa: PLC0415 (as above)
    from runbook.records.archive import export_page  # noqa: PLC0415 (as above)

    progress = Progress(quiet=quiet or as_json)
    progress.title(f"{found.name} on {values.get('target', 'no target')}{_took_before(outputs, found.name, values)}")
    done = runner.run(found, values, outputs, progress, cell_timeout=cell_timeout)
    if as_json:
        click.echo(_told_json(done, export_page(done.path, wait=html == "wait") if html != "none" else None))
        return done
    click.echo(f"{done.text}\n  record  {done.path}")
    if html != "none":
        page = export_page(done.path, wait=html == "wait")
        click.echo(f"  page    {page}" + ("" if html == "wait" else " (being written)"))
    return done


def _took_before(outputs: Path, notebook: str, values: Mapping[str, Any]) -> str:
    from runbook.records.index import usual_seconds  # noqa: PLC0415 (--help does not need it)

    seconds = usual_seconds(outputs, notebook, str(values.get("target")))
    return f"; such a run took {seconds:.1f} s before" if seconds is not None else ""


def _ask(found: Notebook, done: Finished) -> str | None:
    """Show the plan of a dry run and ask for its phrase; None where the answer is another one or there is no plan."""
    import json  # noqa: PLC0415 (--help does not need it)

    plan = json.loads(Path(done.path).read_text(encoding="utf-8"))["metadata"]["runbook"].get("plan")
    if not plan or not plan["steps"]:
        return None
    click.echo(f"\n{plan['sentence']}")
    for number, step in enumerate(plan["steps"], start=1):
        click.echo(f"  {number:2d}. {step['command']['why'] or step['name']}")
    for line in plan["losses"]:
        click.echo(f"  would be lost or freed: {line}")
    if found.kind != "danger" and not plan["danger"]:
        return ""
    answer = click.prompt(f"Type {plan['phrase']!r} to carry it out", default="", show_default=False)
    return answer if answer.strip() == plan["phrase"] else None


def instructions(found: Notebook, values: Mapping[str, Any]) -> str:
    """Given a notebook and its values, return its plan for the server as it is now, as shell text. Changes nothing."""
    import datetime as dt  # noqa: PLC0415 (--help does not need it)

    from runbook import parameters  # noqa: PLC0415 (as above)
    from runbook.changes.instructions import shell_text  # noqa: PLC0415 (as above)
    from runbook.changes.registry import PLANNERS  # noqa: PLC0415 (as above)
    from runbook.execution.run import look_and_plan  # noqa: PLC0415 (as above)

    if found.name not in PLANNERS:
        raise NotebookError(f"{found.name} changes nothing: it has no plan", remedy="./runbook notebooks lists all")
    settings = parameters.load(str(values["target"]))
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    return shell_text(look_and_plan(found, values, settings, stamp))


def of_a_record(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the argument and the options of what refers to an earlier run."""
    for option in reversed(
        (
            click.argument("record"),
            click.option(
                "--apply",
                "apply_",
                is_flag=True,
                help="Carry it out; without it the plan is shown and nothing changes.",
            ),
            click.option(
                "--confirm", default="", help="The phrase that the dry run showed; in a terminal it is asked for."
            ),
            click.option(
                "--outputs", type=click.Path(file_okay=False, path_type=Path), help="Folder of the records (outputs/)."
            ),
            click.option("--no-html", is_flag=True, help="Write the notebook record only."),
            click.option("-q", "--quiet", is_flag=True, help="Print the verdict and the paths only."),
        )
    ):
        command = option(command)
    return command


@click.command()
@of_a_record
@click.option("--past-later", is_flag=True, help="Also where later runs have changed the target since.")
def undo(
    record: str, *, apply_: bool, confirm: str, outputs: Path | None, no_html: bool, quiet: bool, past_later: bool
) -> int:
    """Take back what the run RECORD changed, its last step first, by the undo material it captured."""
    _refuse_later(record, outputs, past_later=past_later)
    return _refer("undo", record, apply_=apply_, confirm=confirm, outputs=outputs, no_html=no_html, quiet=quiet)


@click.command()
@of_a_record
def resume(record: str, *, apply_: bool, confirm: str, outputs: Path | None, no_html: bool, quiet: bool) -> int:
    """Go on where the run RECORD stopped: look at the server anew, plan what is still to do, and do that."""
    return _refer("resume", record, apply_=apply_, confirm=confirm, outputs=outputs, no_html=no_html, quiet=quiet)


def _refer(
    mode: str, record: str, *, apply_: bool, confirm: str, outputs: Path | None, no_html: bool, quiet: bool
) -> int:
    from runbook import notebook  # noqa: PLC0415 (--help does not need it)
    from runbook.changes import earlier_run  # noqa: PLC0415 (as above)
    from runbook.cli.records import find  # noqa: PLC0415 (as above)
    from runbook.records.archive import finalise_orphans  # noqa: PLC0415 (as above)
    from runbook.records.journal import outputs_folder  # noqa: PLC0415 (as above)

    folder = outputs or outputs_folder()
    finalise_orphans(folder)
    run_id = find(folder, record).stem
    earlier = earlier_run.read(folder, run_id)
    os.environ[earlier_run.VARIABLE] = f"{mode}:{run_id}"  # the kernel inherits it; its run reads the journal itself
    found = notebook.find(str(earlier.header.get("notebook")))
    if found.kind == "read":
        raise PreflightError(
            f"the run {run_id} is one of {found.name}, which only reads: it changed nothing, so there is nothing to {mode}",
            remedy="./runbook records list shows all runs; name one that changed something",
        )
    known = {item.name for item in found.parameters}
    values = {key: value for key, value in dict(earlier.header.get("parameters", {})).items() if key in known}
    values |= {"apply": apply_} | ({"confirm": confirm} if "confirm" in known else {})
    return execute(found, notebook.check(found, values), folder, html="none" if no_html else "beside", quiet=quiet)


def _refuse_later(record: str, outputs: Path | None, *, past_later: bool) -> None:
    """Refuse to take back a change on which later ones may stand."""
    from runbook.changes import earlier_run  # noqa: PLC0415 (--help does not need it)
    from runbook.cli.records import find  # noqa: PLC0415 (as above)
    from runbook.records.archive import finalise_orphans  # noqa: PLC0415 (as above)
    from runbook.records.journal import outputs_folder  # noqa: PLC0415 (as above)

    folder = outputs or outputs_folder()
    finalise_orphans(folder)  # a run that was killed gets its record now
    earlier = earlier_run.read(folder, find(folder, record).stem)
    later = earlier_run.later_changes(folder, earlier)
    if later and not past_later:
        raise Refused(
            f"{len(later)} later run(s) changed {earlier.header.get('target')} since: {', '.join(later[-3:])}",
            remedy=f"take the last one back first: ./runbook undo {later[-1]}; or, when you know that they are independent, add --past-later",
        )


@click.command()
@click.argument("target")
@click.option("--yes", is_flag=True, help="Do not ask.")
def unlock(target: str, *, yes: bool) -> int:
    """Take away the lock on TARGET on purpose: only when nobody is at work there any more."""
    import datetime as dt  # noqa: PLC0415 (--help does not need it)

    from runbook import parameters  # noqa: PLC0415 (as above)
    from runbook.changes import lock  # noqa: PLC0415 (as above)
    from runbook.connection import Connection  # noqa: PLC0415 (as above)
    from runbook.records.journal import outputs_folder  # noqa: PLC0415 (as above)

    with Connection(parameters.load(target)) as connection:
        held = lock.holder(connection)
        if held is None:
            click.echo(f"nobody holds {target}.")
            return 0
        click.echo(f"{target}: {held.sentence(dt.datetime.now(dt.UTC))}")
        _refuse_living(outputs_folder(), held.run)
        if not yes and not (sys.stdin.isatty() and click.confirm("Take the lock away?", default=False)):
            click.echo("the lock stays. To take it away without being asked: --yes", err=True)
            return Refused.exit_code
        lock.release(connection, held.run)
    _note(outputs_folder(), held.run, f"the lock on {target} was taken away on purpose")
    click.echo("the lock is taken away. The server may be between two states: look before you change it.")
    return 0


def _refuse_living(outputs: Path, run_id: str) -> None:
    from runbook.records.journal import is_alive  # noqa: PLC0415 (--help does not need it)

    if is_alive(outputs, run_id):
        raise Refused(
            f"the run {run_id} is still going on, on this machine", remedy="wait for its end, or stop it first"
        )


def _note(outputs: Path, run_id: str, text: str) -> None:
    """Note it beside that run's record, where it has one here."""
    from runbook.errors import RecordError  # noqa: PLC0415 (as above)
    from runbook.execution.surroundings import operator  # noqa: PLC0415 (as above)
    from runbook.records.chain import Chain  # noqa: PLC0415 (--help does not need it)

    try:
        if (outputs / f"{run_id}.ipynb").exists():
            Chain(outputs).append("note", name=run_id, operator=operator(), text=text)
    except (RecordError, OSError):
        click.echo("it could not be noted with that run's record.", err=True)
