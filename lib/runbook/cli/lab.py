"""./runbook lab."""

from __future__ import annotations

import os
import sys

import click


@click.command()
@click.option(
    "--port",
    type=click.IntRange(1, 65_535),
    default=8888,
    show_default=True,
    help="Another is taken where this is in use.",
)
@click.option("--no-browser", is_flag=True, help="Print the address only.")
def lab(port: int, *, no_browser: bool) -> None:
    """Open the notebooks in JupyterLab, on 127.0.0.1 only, with a token. Ctrl-C ends it."""
    from runbook.parameters import project_root  # noqa: PLC0415 (--help does not need it)

    root = project_root()
    arguments = [
        sys.executable, "-P", "-c", "import sys; sys.modules['rfc3987_syntax'] = None; from jupyterlab.labapp import main; main()",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", f"--ServerApp.root_dir={root}",
        "--LabApp.default_url=/lab/tree/notebooks", "--ServerApp.allow_remote_access=False",
        *(["--no-browser"] if no_browser else []), *(["--allow-root"] if os.geteuid() == 0 else []),
    ]  # fmt: skip
    click.echo(f"JupyterLab on http://127.0.0.1:{port}/ in {root}; the address with its token follows", err=True)
    os.execv(sys.executable, arguments)  # noqa: S606 (an argv list of our own; no shell is wanted)
