"""Commands: break, mend, traffic. Registered by sandbox.cli."""

import click

from sandbox import traffic as traffic_
from sandbox.errors import SandboxError
from sandbox.faults import injection
from sandbox.faults.catalogue import SUBSYSTEMS
from sandbox.state import DEFAULT_NAME

name_option = click.option("--name", default=DEFAULT_NAME, show_default=True, help="Which sandbox.")


@click.command("break")
@click.argument("fault", required=False)
@name_option
@click.option("--list", "as_list", is_flag=True, help="Show all faults, and which are in.")
def break_(fault: str | None, name: str, *, as_list: bool) -> None:
    """Put FAULT into a sandbox, for real; `mend` takes it out again."""
    if fault is not None and not as_list:
        found = injection.find(fault)
        injection.inject(name, found)
        click.echo(f"{name}: {found.title}. To be seen: {found.symptom}")
        click.echo(f"Take it out: ./runbook sandbox mend {fault}{'' if name == DEFAULT_NAME else f' --name {name}'}")
        return
    if fault is None and not as_list:
        raise click.UsageError("Name a FAULT, or see them all with --list.")
    show_catalogue(name)


def show_catalogue(name: str) -> None:
    """Print every fault in one line, by subsystem; `*` marks those that are in."""
    try:
        there = set(injection.injected(name))
    except SandboxError:
        there = set()  # a catalogue can be read without a server
    for subsystem, faults in SUBSYSTEMS.items():
        click.echo(f"{subsystem}:")
        for fault in faults:
            click.echo(f" {'*' if fault.name in there else ' '} {fault.name:28} {fault.title}")


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
