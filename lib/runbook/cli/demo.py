"""./runbook demo: from nothing to two records."""

from __future__ import annotations

import subprocess
import sys
import time

import click

NOTEBOOKS = ("04-health/quick", "04-health/detailed")


@click.command()
@click.option("--name", default="sandbox", show_default=True, help="Name of the practice server.")
def demo(name: str) -> int:
    """Start the practice server, run the health notebooks on it, leave their records. Installs Docker on Debian as root."""
    from runbook.execution import runner  # noqa: PLC0415 (--help does not need it)
    from runbook.execution.progress import Progress  # noqa: PLC0415 (as above)
    from runbook.records.archive import export_page, finalise_orphans  # noqa: PLC0415 (as above)
    from runbook.records.journal import outputs_folder  # noqa: PLC0415 (as above)

    begun = time.monotonic()
    click.echo("practice server", err=True)
    # its own command: the library knows nothing of the practice server
    up = subprocess.run([sys.executable, "-P", "-m", "runbook", "sandbox", "up", name], check=False)
    if up.returncode != 0:
        click.echo("the practice server did not come up; see above. ./runbook doctor names what is missing.", err=True)
        return up.returncode
    target = "sandbox" if name == "sandbox" else f"sandbox@{name}"
    outputs = outputs_folder()
    finalise_orphans(outputs)
    done = []
    for wanted in NOTEBOOKS:
        found, values = runner.check(wanted, target, {})
        progress = Progress()
        progress.title(f"{found.name} on {target}")
        finished = runner.run(found, values, outputs, progress)
        done.append((finished, export_page(finished.path, wait=True)))
    click.echo(f"\nDone in {time.monotonic() - begun:.0f} s.")
    for finished, page in done:
        click.echo(f"{finished.sentence}\n  record  {finished.path}\n  page    {page}")
    click.echo("\nLook at a page in a browser, or: ./runbook lab, ./runbook records show, ./runbook sandbox break")
    return max(finished.exit_code for finished, _ in done)
