"""The exception tree, drawn. Every message names the input, the reason and the remedy.

RunbookError                    exit 5  something failed; the message says what to do next
├── Refused                     exit 4  nothing was changed, and nothing will be before the input is mended
│   ├── ParametersError                 a params file or a parameter is missing, unknown or ill-typed (lists all at once)
│   ├── NotebookError                   no such notebook, or it breaks the template
│   ├── SecretError                     a secret's reference cannot be resolved
│   ├── HostKeyError                    the server's host key is unknown or has changed
│   ├── PreflightError                  this runbook does not apply here and now
│   ├── ConfirmationError               a danger step was not confirmed, or its plan has changed since
│   └── LockError                       another operator holds the target
├── ConnectionFailed            exit 5  unreachable, refused login, timed out
│   └── ConnectionLost                  it broke while commands were out; those that change were not repeated
├── CommandError                exit 5  a command ended with an exit code that was not declared
│   ├── CommandTimedOut
│   └── SudoError                       sudo refused: wrong password, or not allowed
├── ParseError                  exit 5  a tool printed what the parser does not know (quotes the line)
└── RecordError                 exit 5  a record cannot be written, read or verified
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook.commands import Command, Result

EXIT_REFUSED = 4
EXIT_FAILED = 5


class RunbookError(Exception):
    """Something failed. `remedy` says what to do next."""

    exit_code = EXIT_FAILED

    def __init__(self, reason: str, *, remedy: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.reason}\n  What to do: {self.remedy}" if self.remedy else self.reason

    def _render_traceback_(self) -> list[str]:
        """Show the message alone where IPython would show a traceback: the operator needs the remedy, not our stack."""
        return [
            f"{type(self).__name__}: {line}" if number == 0 else line
            for number, line in enumerate(str(self).splitlines())
        ]


class Refused(RunbookError):
    """Refused before anything was changed."""

    exit_code = EXIT_REFUSED


class ParametersError(Refused):
    """A params file or parameters with everything that is wrong in them, all at once."""

    def __init__(self, source: str, problems: Sequence[str], *, remedy: str = "") -> None:
        self.source = source
        self.problems = tuple(problems)
        listed = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"{source}: {len(self.problems)} problem(s)\n{listed}", remedy=remedy)


class NotebookError(Refused):
    """No such notebook, or it breaks the template."""


class SecretError(Refused):
    """A secret's reference cannot be resolved."""


class HostKeyError(Refused):
    """The server's host key is unknown or differs from the pinned one."""


class PreflightError(Refused):
    """The runbook does not apply here and now."""


class ConfirmationError(Refused):
    """A dangerous step was not confirmed, or its plan has changed since."""


class LockError(Refused):
    """Another operator holds the target."""


class ConnectionFailed(RunbookError):
    """The server cannot be reached or does not let us in."""


class ConnectionLost(ConnectionFailed):
    """The connection broke while commands were out. `unknown` are commands that may or may not have changed something."""

    def __init__(self, reason: str, *, remedy: str = "", unknown: Sequence[Command] = ()) -> None:
        super().__init__(reason, remedy=remedy)
        self.unknown = tuple(unknown)


class CommandError(RunbookError):
    """A command ended with an exit code that was not declared. Carries the whole result."""

    def __init__(self, result: Result, *, host: str = "", remedy: str = "") -> None:
        self.result = result
        self.host = host
        stderr = result.stderr.strip().splitlines()[-5:] or ["(nothing on stderr)"]
        where = f" on {host}" if host else ""
        lines = "\n".join(f"    {line[:300]}" for line in stderr)
        super().__init__(
            f"`{result.command.shown}`{where} ended with exit code {result.exit_code} ({result.meaning})\n{lines}",
            remedy=remedy,
        )


class CommandTimedOut(CommandError):
    """A command did not end within its timeout; it was stopped on the server."""


class SudoError(CommandError):
    """Sudo refused: a wrong password, or the command is not allowed."""


class ParseError(RunbookError):
    """A tool printed what the parser does not know. Quotes the line."""

    def __init__(self, what: str, line: str, *, remedy: str = "") -> None:
        self.line = line
        super().__init__(f"cannot read {what}: {line[:200]!r}", remedy=remedy)


class RecordError(RunbookError):
    """A record cannot be written, read or verified."""
