"""./runbook: the command line. Each command lives in a module of its own, which is imported when it is called."""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import Any

import click

from runbook.errors import EXIT_FAILED, EXIT_REFUSED, RunbookError

COMMANDS = {
    "run": ("runbook.cli.run:run", "Run a notebook against a target and leave a record."),
    "undo": ("runbook.cli.change:undo", "Take back what a run changed."),
    "resume": ("runbook.cli.change:resume", "Go on where a run stopped."),
    "unlock": ("runbook.cli.change:unlock", "Take away the lock that a dead run left on a target."),
    "notebooks": ("runbook.cli.notebooks:notebooks", "List the notebooks; given a symptom, those that fit."),
    "records": ("runbook.cli.records:records", "List, show, compare and verify what runs have left."),
    "params": ("runbook.cli.params:params", "Check the params file of a target."),
    "doctor": ("runbook.cli.doctor:doctor", "Check this machine and the target, and name the remedies."),
    "sandbox": ("sandbox.cli:main", "Start, break, mend and reset the practice server."),
    "demo": ("runbook.cli.demo:demo", "Practice server up, two health notebooks, two records."),
    "lab": ("runbook.cli.lab:lab", "Open the notebooks in JupyterLab on this machine."),
    "test": ("runbook.cli.test:test", "Lint, types, unit tests, sandbox tests, notebooks."),
    "bench": ("runbook.cli.bench:bench", "Measure against named alternatives, print ratios."),
}


class Commands(click.Group):
    """The table above as a group: a command is imported when it is called, not to print the help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        """Return the names in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 (click's signature)
        """Import and return a command; None for one that is not in the table."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was probably meant."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(COMMANDS)}."
            ctx.fail(f"there is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's signature)
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="runbook", message="%(version)s")
def cli() -> None:
    """Operate a server through notebooks that leave records.

    \b
    First time:       ./runbook demo
    Something broke:  ./runbook run 04-health/quick --target sandbox
    What is there:    ./runbook notebooks [SYMPTOM]

    Exit codes of `run`: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, 4 refused (nothing was changed), 5 failed.
    """  # noqa: D301 (click reads the control character, which keeps the lines as they are)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: every error is one screen of text, never a traceback."""
    sys.exit(_call(arguments))


def _call(arguments: list[str] | None) -> int:
    try:
        found: Any = cli.main(
            args=arguments, prog_name="./runbook", complete_var="_RUNBOOK_COMPLETE", standalone_mode=False
        )
    except RunbookError as error:
        from runbook.screen import tell  # noqa: PLC0415 (only where something went wrong)

        tell(error)
        return error.exit_code
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped.", err=True)
        return EXIT_FAILED
    except click.ClickException as error:
        error.show()
        return EXIT_REFUSED
    except BrokenPipeError:  # the reader of our output (head, less) has seen enough
        sys.stderr.close()
        return 0
    return found if isinstance(found, int) else 0
