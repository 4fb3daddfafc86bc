"""./runbook bench: ratios against named alternatives, measured in one run on one machine."""

from __future__ import annotations

import os
import subprocess
import sys

import click


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "--turns", type=click.IntRange(1), help="Measure each way so many times instead of each bench's own number."
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...], *, turns: int | None) -> int:
    """Measure and print medians and ratios. ARGUMENTS go to pytest (-k NAME picks one)."""
    from runbook.parameters import project_root  # noqa: PLC0415 (--help does not need it)

    command = [
        sys.executable,
        "-P",
        "-m",
        "pytest",
        "-q",
        "-s",
        "-m",
        "bench",
        "--timeout=1800",
        "tests",
        *arguments,
    ]
    environment = os.environ | ({"RUNBOOK_BENCH_TURNS": str(turns)} if turns else {})
    return subprocess.run(command, cwd=project_root(), env=environment, check=False).returncode
