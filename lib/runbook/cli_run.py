"""./runbook run."""

from __future__ import annotations

from pathlib import Path

import click

HELP = {
    "target": "The server: a file of params/ without its ending (default: the notebook's own, sandbox).",
    "parameter": "A parameter of the notebook; may be given more than once.",
    "depth": "How deep health is looked at: quick or full.",
    "timeout": "Seconds a cell may take before it is interrupted, and killed if it does not end.",
    "outputs": "Folder of the records (default: outputs/, or $RUNBOOK_OUTPUTS).",
    "usage": "Say what the notebook is for and which parameters it takes; run nothing.",
}


@click.command()
@click.argument("notebook")
@click.option("-t", "--target", help=HELP["target"])
@click.option("-p", "--parameter", "parameters", nargs=2, multiple=True, metavar="NAME VALUE", help=HELP["parameter"])
@click.option("--depth", help=HELP["depth"])
@click.option("--cell-timeout", type=click.FloatRange(min=0.1), default=600.0, show_default=True, help=HELP["timeout"])
@click.option("--outputs", type=click.Path(file_okay=False, path_type=Path), help=HELP["outputs"])
@click.option("--wait-html", is_flag=True, help="Return when the HTML file is written too.")
@click.option("--no-html", is_flag=True, help="Write the notebook record only; `records open` makes the page later.")
@click.option("-q", "--quiet", is_flag=True, help="Print the verdict and the paths only.")
@click.option("--help-notebook", is_flag=True, help=HELP["usage"])
def run(
    notebook: str,
    *,
    target: str | None,
    parameters: tuple[tuple[str, str], ...],
    depth: str | None,
    cell_timeout: float,
    outputs: Path | None,
    wait_html: bool,
    no_html: bool,
    quiet: bool,
    help_notebook: bool,
) -> int:
    """Run NOTEBOOK (04-health/quick, or quick where that is unique) and leave a record in outputs/."""
    from runbook import runner  # noqa: PLC0415 (--help does not need it)
    from runbook.archive import export_page, finalise_orphans  # noqa: PLC0415 (as above)
    from runbook.journal import outputs_folder  # noqa: PLC0415 (as above)
    from runbook.progress import Progress  # noqa: PLC0415 (as above)

    if help_notebook:
        click.echo(usage(notebook))
        return 0
    given = dict(parameters) | ({"depth": depth} if depth is not None else {})
    found, values = runner.check(notebook, target, given)
    folder = outputs or outputs_folder()
    for orphan in finalise_orphans(folder):
        export_page(orphan.path, wait=False)
        click.echo(
            f"an earlier run had no end and has its record now: {orphan.path} ({orphan.state}: {orphan.reason})",
            err=True,
        )
    progress = Progress(quiet=quiet)
    progress.title(f"{found.name} on {values.get('target', 'no target')}{_took_before(folder, found.name, values)}")
    done = runner.run(found, values, folder, progress, cell_timeout=cell_timeout)
    click.echo(f"{done.text}\n  record  {done.path}")
    if not no_html:
        html = export_page(done.path, wait=wait_html)
        click.echo(f"  page    {html}" + ("" if wait_html else " (being written)"))
    return done.exit_code


def _took_before(outputs: Path, notebook: str, values: dict[str, object]) -> str:
    from runbook.index import usual_seconds  # noqa: PLC0415 (--help does not need it)

    seconds = usual_seconds(outputs, notebook, str(values.get("target")))
    return f"; such a run took {seconds:.1f} s before" if seconds is not None else ""


def usage(wanted: str) -> str:
    """Return what a notebook is for and the parameters it takes."""
    from runbook.notebook import find  # noqa: PLC0415 (--help does not need it)
    from runbook.screen import columns  # noqa: PLC0415 (as above)

    found = find(wanted)
    rows = [(item.name, item.type, repr(item.default), item.help) for item in found.parameters]
    return f"{found.name}: {found.title} ({found.kind})\n\n" + columns(
        ("parameter", "type", "default", "meaning"), rows
    )
