"""./runbook test: everything that must hold, in parts, each with its time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click

from runbook.errors import EXIT_FAILED

AWAY = "practice server away"
PYTHON = (sys.executable, "-P", "-m")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: what it is called, to which option it belongs, its command, and how long it may take on two quiet processors."""

    name: str
    group: str
    command: tuple[str, ...]
    budget_seconds: float


SLOWEST = "--durations=12"  # pytest names what took longest: what is over its budget is mended there
SAMPLE = "sandbox and not faults_full and not matrix"
PARTS = (
    Part("lint", "unit", (*PYTHON, "ruff", "check", "."), 10),
    Part("format", "unit", (*PYTHON, "ruff", "format", "--check", "."), 5),
    Part("types", "unit", (*PYTHON, "mypy"), 60),
    Part("unit tests", "unit", (*PYTHON, "pytest", "-q", "tests/unit"), 30),
    Part("practice server", "sandbox notebooks", (*PYTHON, "runbook", "sandbox", "up"), 200),
    # before the sandbox tests, whose faults leave lines in the logs that the notebooks would show
    Part("notebooks", "notebooks", (*PYTHON, "pytest", "-q", SLOWEST, "-m", "notebooks", "tests/notebooks"), 270),
    Part("sandbox tests", "sandbox", (*PYTHON, "pytest", "-q", SLOWEST, "-m", SAMPLE, "tests/sandbox"), 1500),
    Part(AWAY, "sandbox notebooks", (*PYTHON, "runbook", "sandbox", "down"), 25),
)


def own_home() -> Path:
    """Return the state folder of the tests' own practice servers, so that a person's is left alone."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "runbook" / "sandbox-of-tests"


@click.command()
@click.option("--unit", is_flag=True, help="Lint, format, types and unit tests only (needs no server).")
@click.option("--sandbox", is_flag=True, help="The tests on the practice server only.")
@click.option("--notebooks", is_flag=True, help="The notebooks under nbval only.")
@click.option("--keep", is_flag=True, help="Leave the tests' practice server up, for the next time.")
@click.option("--keep-going", is_flag=True, help="Run the later parts although one has failed.")
def test(*, unit: bool, sandbox: bool, notebooks: bool, keep: bool, keep_going: bool) -> int:
    """Run the tests: all parts, or those that are named."""
    from runbook.parameters import project_root  # noqa: PLC0415 (--help does not need it)

    groups = {"unit": unit, "sandbox": sandbox, "notebooks": notebooks}
    wanted = {name for name, chosen in groups.items() if chosen} or set(groups)
    parts = [part for part in PARTS if wanted & set(part.group.split()) and not (keep and part.name == AWAY)]
    environment = os.environ | {"RUNBOOK_SANDBOX_HOME": os.environ.get("RUNBOOK_SANDBOX_HOME") or str(own_home())}
    told: list[tuple[Part, float, int]] = []
    for number, part in enumerate(parts, start=1):
        click.secho(f"\n[{number}/{len(parts)}] {part.name}: {' '.join(part.command[2:])}", bold=True, err=True)
        begun = time.monotonic()
        code = subprocess.run(part.command, cwd=project_root(), env=environment, check=False).returncode
        told.append((part, time.monotonic() - begun, code))
        if code != 0 and not keep_going:
            break
    click.echo("")
    for part, seconds, code in told:
        over = "  over its budget" if seconds > part.budget_seconds else ""
        click.echo(
            f"{'ok' if code == 0 else 'FAILED':8}{seconds:7.1f} s of {part.budget_seconds:5.0f} s  {part.name}{over}"
        )
    for part in parts[len(told) :]:
        click.echo(f"{'not run':8}{'':7}   of {part.budget_seconds:5.0f} s  {part.name}")
    whole, allowed = sum(seconds for _, seconds, _ in told) / 60, sum(part.budget_seconds for part in parts) / 60
    click.echo(f"in all  {whole:7.1f} min of {allowed:3.0f} min")
    return EXIT_FAILED if any(code for _, _, code in told) else 0
