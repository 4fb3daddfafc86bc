"""./runbook run."""

from __future__ import annotations

from pathlib import Path

import click

from runbook.errors import RunbookError

HELP = {
    "target": "The server: a file of params/ without its ending (default: the notebook's own, sandbox).",
    "parameter": "A parameter of the notebook; may be given more than once.",
    "depth": "How deep health is looked at: quick or full.",
    "apply": "Carry out the plan; without it a run only shows it and changes nothing.",
    "confirm": "The phrase that a dry run showed, for plans that can lose data; in a terminal it is asked for.",
    "instructions": "Print the plan as shell text to paste on the server, and run nothing.",
    "timeout": "Seconds a cell may take before it is interrupted, and killed if it does not end (600; for changes 21600).",
    "outputs": "Folder of the records (default: outputs/, or $RUNBOOK_OUTPUTS).",
    "json": "Print one JSON object (state, exit_code, sentence, findings, record, page, error) and nothing else.",
    "usage": "Say what the notebook is for and which parameters it takes; run nothing.",
}


@click.command()
@click.argument("notebook")
@click.option("-t", "--target", help=HELP["target"])
@click.option("-p", "--parameter", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help=HELP["parameter"])
@click.option("--depth", help=HELP["depth"])
@click.option("--apply", "apply_", is_flag=True, help=HELP["apply"])
@click.option("--confirm", help=HELP["confirm"])
@click.option("--instructions", is_flag=True, help=HELP["instructions"])
@click.option("--cell-timeout", type=click.FloatRange(min=0.1), help=HELP["timeout"])
@click.option("--outputs", type=click.Path(file_okay=False, path_type=Path), help=HELP["outputs"])
@click.option("--wait-html", is_flag=True, help="Return when the HTML file is written too.")
@click.option("--no-html", is_flag=True, help="Write the notebook record only; `records open` makes the page later.")
@click.option("-q", "--quiet", is_flag=True, help="Print the verdict and the paths only.")
@click.option("--json", "as_json", is_flag=True, help=HELP["json"])
@click.option("--help-notebook", is_flag=True, help=HELP["usage"])
def run(
    notebook: str,
    *,
    target: str | None,
    parameters: tuple[tuple[str, str], ...],
    depth: str | None,
    apply_: bool,
    confirm: str | None,
    instructions: bool,
    cell_timeout: float | None,
    outputs: Path | None,
    wait_html: bool,
    no_html: bool,
    quiet: bool,
    as_json: bool,
    help_notebook: bool,
) -> int:
    """Run NOTEBOOK (04-health/quick, or quick where that is unique) and leave a record in outputs/."""
    from runbook.cli import change  # noqa: PLC0415 (--help does not need it)
    from runbook.execution import runner  # noqa: PLC0415 (--help does not need it)
    from runbook.records.journal import outputs_folder  # noqa: PLC0415 (as above)

    if help_notebook:
        click.echo(usage(notebook))
        return 0
    given = dict(parameters) | ({"depth": depth} if depth is not None else {})
    given |= ({"apply": "true"} if apply_ else {}) | ({"confirm": confirm} if confirm is not None else {})
    folder = outputs or outputs_folder()
    html = "none" if no_html else "wait" if wait_html else "beside"
    try:
        found, values = runner.check(notebook, target, given)
        if instructions:
            click.echo(change.instructions(found, values))
            return 0
        return change.execute(found, values, folder, html=html, quiet=quiet, as_json=as_json, cell_timeout=cell_timeout)
    except RunbookError as error:
        if not as_json:
            raise
        click.echo(change.refused_json(error))
        return error.exit_code


def usage(wanted: str) -> str:
    """Return what a notebook is for and the parameters it takes."""
    from runbook.notebook import find  # noqa: PLC0415 (--help does not need it)
    from runbook.screen import columns  # noqa: PLC0415 (as above)

    found = find(wanted)
    rows = [(item.name, item.type, repr(item.default), item.help) for item in found.parameters]
    return f"{found.name}: {found.title} ({found.kind})\n\n" + columns(
        ("parameter", "type", "default", "meaning"), rows
    )
