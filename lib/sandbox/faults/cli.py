"""Commands: break, mend, traffic. Registered by sandbox.cli."""

import random

import click

from sandbox import traffic as traffic_
from sandbox.errors import SandboxError
from sandbox.faults import injection
from sandbox.faults.catalogue import FAULTS, SUBSYSTEMS
from sandbox.faults.fault import Fault
from sandbox.state import DEFAULT_NAME

name_option = click.option("--name", default=DEFAULT_NAME, show_default=True, help="Which sandbox.")


@click.command("break")
@click.argument("fault", required=False)
@name_option
@click.option(
    "--list", "as_list", is_flag=True, help="Show all faults with what a user sees of each, and which are in."
)
@click.option("--blind", is_flag=True, help="Put one in that is not told: only what a user sees is said.")
@click.option("--seed", type=int, help="With --blind: the same number gives the same fault.")
def break_(fault: str | None, name: str, *, as_list: bool, blind: bool, seed: int | None) -> None:
    """Put FAULT into a sandbox, for real; `mend` takes it out again."""
    if blind and (fault is not None or as_list):
        raise click.UsageError("--blind chooses the fault itself: leave FAULT and --list out.")
    if seed is not None and not blind:
        raise click.UsageError("--seed goes with --blind.")
    if blind:
        found = blindly(seed)
        injection.inject(name, found)
        click.echo(f"{name}: something is wrong. To be seen: {found.symptom}")
        click.echo(f"Find out what: ./runbook run triage. Take it out, and be told: ./runbook sandbox mend{_of(name)}")
    elif fault is not None and not as_list:
        found = injection.find(fault)
        injection.inject(name, found)
        click.echo(f"{name}: {found.title}. To be seen: {found.symptom}")
        click.echo(f"Take it out: ./runbook sandbox mend {fault}{_of(name)}")
    elif as_list:
        show_catalogue(name)
    else:
        raise click.UsageError("Name a FAULT, see them all with --list, or have one chosen with --blind.")


def _of(name: str) -> str:
    return "" if name == DEFAULT_NAME else f" --name {name}"


def blindly(seed: int | None) -> Fault:
    """Given a number (None: none), return a fault of which a user sees something, by chance."""
    seen = [FAULTS[name] for name in sorted(FAULTS) if not FAULTS[name].symptom.startswith("nothing")]
    return random.Random(seed).choice(seen)  # noqa: S311 (a lesson, no secret)


def show_catalogue(name: str) -> None:
    """Print every fault with what a user sees of it, by subsystem; `*` marks those that are in."""
    try:
        there = set(injection.injected(name))
    except SandboxError:
        there = set()  # a catalogue can be read without a server
    for subsystem, faults in SUBSYSTEMS.items():
        click.echo(f"{subsystem}:")
        for fault in faults:
            click.echo(f" {'*' if fault.name in there else ' '} {fault.name:28} {fault.title}")
            click.echo(f"   {'':28} seen: {fault.symptom}")


@click.command()
@click.argument("fault", required=False)
@name_option
def mend(fault: str | None, name: str) -> None:
    """Take FAULT out of a sandbox again, or every fault that is in."""
    if fault is not None:
        injection.mend(name, injection.find(fault))
        click.echo(f"{name}: {fault} is out.")
        return
    names = injection.mend_all(name)
    click.echo(f"{name}: {', '.join(names)} out." if names else f"{name}: no fault was in.")


@click.command()
@click.argument("switch", type=click.Choice(["on", "off", "status"]))
@name_option
@click.option(
    "--minutes", type=click.IntRange(1, 120), default=10, show_default=True, help="Ends by itself after that."
)
@click.option("--rate", type=click.FloatRange(0.1, 20), default=2, show_default=True, help="Requests a second.")
def traffic(switch: str, name: str, minutes: int, rate: float) -> None:
    """Let invented users work with a sandbox, so that its logs have something to tell."""
    if switch == "on":
        traffic_.start(name, minutes=minutes, rate=rate)
    elif switch == "off":
        traffic_.stop(name)
    click.echo(f"{name}: {traffic_.describe(name)}")
