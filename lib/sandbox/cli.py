"""Commands for the practice server: up, down, reset, status, ssh, client, bucket, open."""

import json
import os
import shutil
import sys
import webbrowser
from dataclasses import asdict
from typing import Any

import click

from sandbox import bucket as bucket_
from sandbox import client as client_
from sandbox import lifecycle, state
from sandbox.errors import NotUpError, SandboxError
from sandbox.faults import cli as faults
from sandbox.lifecycle import Kind, Status
from sandbox.state import DEFAULT_NAME, Sandbox


class _OneScreen(click.Group):
    """Turns every error of the sandbox into its text and exit code 5, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except SandboxError as error:
            click.echo(f"sandbox: {error}", err=True)
            ctx.exit(5)


name_argument = click.argument("name", default=DEFAULT_NAME)


@click.group(cls=_OneScreen, name="sandbox")
def main() -> None:
    """The practice server: a production host in miniature, to break and to mend."""


@main.command()
@name_argument
@click.option("--rows", type=click.IntRange(1), help="Rows of the big table (100000).")
@click.option(
    "--disk", metavar="SIZE", help="A disk of its own of this size for Docker's data and backups, such as 2G."
)
@click.option("--bare", is_flag=True, help="A second host without the stack, to recover a lost one on.")
@click.option("--no-packages", is_flag=True, help="With --bare: without Docker, certbot and restic either.")
@click.option("--like", metavar="OTHER", help="With the certificate authority and passwords of the sandbox OTHER.")
@click.option("--rebuild", is_flag=True, help="Make it anew if the tree has changed since it was made.")
def up(
    name: str, rows: int | None, disk: str | None, like: str | None, *, bare: bool, no_packages: bool, rebuild: bool
) -> None:
    """Start the sandbox NAME and wait until it is ready; make it first where needed."""
    if no_packages and not bare:
        raise click.UsageError("--no-packages only goes with --bare.")
    kind = (Kind.BARE if no_packages else Kind.EQUIPPED) if bare else None
    show(lifecycle.up(name, rows=rows, disk=disk, kind=kind, like=like, rebuild=rebuild))


@main.command()
@click.argument("name", default="")
@click.option("--all", "everything", is_flag=True, help="All sandboxes, and the images and volumes they are made from.")
def down(name: str, *, everything: bool) -> None:
    """Remove the sandbox NAME with everything it holds."""
    if everything:
        lifecycle.down_all()
        click.echo("Nothing of any sandbox is left.")
    elif lifecycle.down(name or DEFAULT_NAME):
        click.echo(f"{name or DEFAULT_NAME} is gone.")
    else:
        click.echo(f"There was no sandbox {name or DEFAULT_NAME}.")


@main.command()
@name_argument
@click.option("--rebuild", is_flag=True, help="Take the tree as it is now, if it has changed since.")
def reset(name: str, *, rebuild: bool) -> None:
    """Bring the sandbox NAME back to the state it was created with."""
    show(lifecycle.reset(name, rebuild=rebuild))


@main.command()
@click.argument("name", default="")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(name: str, *, as_json: bool) -> None:
    """Show the sandbox NAME, or all of them."""
    found = [lifecycle.status(each, size=True) for each in ([name] if name else state.known())]
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    for each in found:
        show(each)
    if not found:
        click.echo("No sandbox is up. Start one: ./runbook sandbox up")


@main.command(context_settings={"ignore_unknown_options": True})
@click.option("--name", default=DEFAULT_NAME, show_default=True)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(name: str, command: tuple[str, ...]) -> None:
    """Log in to a sandbox, or run COMMAND there; `--` before it keeps its own options."""
    config = Sandbox.named(name).folder / "ssh_config"
    if not config.is_file():
        raise NotUpError(f"There is no sandbox {name}. Start one: ./runbook sandbox up {name}")
    program = shutil.which("ssh")
    if program is None:
        raise SandboxError("There is no ssh command on this machine (Debian, Ubuntu: apt-get install openssh-client).")
    sys.stdout.flush()
    os.execv(program, ["ssh", "-F", str(config), name, *command])  # noqa: S606 - no shell is wanted


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def client(name: str, command: tuple[str, ...]) -> None:
    """Run COMMAND (curl, nc, ssh NAME ...) on a client beside the sandbox NAME, or say from which address it comes."""
    address = client_.address(name)
    if not command:
        click.echo(address)
        return
    click.echo(f"from {address}:", err=True)
    click.get_current_context().exit(client_.attach(name, command))


@main.command()
@click.argument("switch", type=click.Choice(["up", "down", "status"]))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def bucket(switch: str, *, as_json: bool) -> None:
    """An S3 bucket away from every sandbox, for copies that must outlive one."""
    if switch == "up":
        bucket_.up()
    elif switch == "down":
        click.echo("The bucket is gone." if bucket_.down() else "There was no bucket.")
        return
    found = bucket_.status()
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2))
        return
    click.echo(f"bucket {found.name}: {found.state}")
    if found.state != "absent":
        click.echo(f"  from this machine: {found.endpoint}   from a sandbox: {found.endpoint_of_servers or '-'}")
        click.echo(f"  region {found.region}, keys in {found.access_key_file} and {found.secret_key_file}")


@main.command("open")
@name_argument
def open_(name: str) -> None:
    """Print where a browser finds the sandbox NAME, and open it where there is one."""
    sandbox = Sandbox.named(name)
    ports = state.read_ports(sandbox)
    if ports is None:
        raise NotUpError(f"There is no sandbox {name}. Start one: ./runbook sandbox up {name}")
    url = f"https://pazpaz.test:{ports['https']}/"
    click.echo(f"{url}   needs this line in /etc/hosts: 127.0.0.1 pazpaz.test")
    click.echo(f"https://127.0.0.1:{ports['https']}/   the browser warns of the name")
    click.echo(f"The certificate's authority, to trust if you like: {sandbox.folder / 'ca.crt'}")
    if sys.stdout.isatty() and (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin"
    ):
        webbrowser.open(url)


for command in (faults.break_, faults.mend, faults.traffic):
    main.add_command(command)


def show(status: Status) -> None:
    """Print one sandbox in a few lines."""
    condition = status.state if status.is_current or not status.golden else f"{status.state} (made from an older tree)"
    click.echo(f"{status.name}: {condition}")
    if status.state in {"absent", "unfinished"}:
        click.echo(f"  start it: ./runbook sandbox up {status.name}")
        return
    click.echo("  ports on 127.0.0.1: " + ", ".join(f"{purpose} {port}" for purpose, port in status.ports.items()))
    size = f", {status.size_bytes / 1e6:.0f} MB of its own" if status.size_bytes else ""
    click.echo(f"  image {status.golden}, {status.described}, {status.age_s / 60:.0f} min old{size}")
    click.echo(f"  log in: ./runbook sandbox ssh{'' if status.name == DEFAULT_NAME else f' --name {status.name}'}")
    click.echo(f"  state:  {status.folder}")


if __name__ == "__main__":
    main()
