"""Commands and results as data.

A `Command` is an argv list, never a shell string. It travels as JSON to the agent on the server, which gives the list to
execve: a parameter never meets a shell. Where plain shell text is needed (to show a step, or to paste it in a terminal
without Python) `quote` is the one function that makes it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_TIMEOUT_SECONDS = 30.0
OK: Mapping[int, str] = MappingProxyType({0: "ok"})
TIMED_OUT_EXIT_CODE = 124  # as timeout(1) reports it
NOT_FOUND_EXIT_CODE = 127  # as a POSIX shell reports a missing program
MASK = "********"


def quote(argv: Sequence[str]) -> str:
    """Given an argv list, return POSIX shell text that a shell reads back as exactly this list."""
    return shlex.join(argv)


@dataclass(frozen=True, slots=True)
class Command:
    """One command: what to run and how to read its end.

    Attributes:
        argv: program and arguments; given to execve as they are, so a value can be anything without a NUL byte.
        stdin: text for the program's standard input.
        sudo: run as root through the operator's sudo.
        timeout: seconds; the server stops the whole process group after that.
        expect: exit codes that are an answer, with their meaning; any other is an error.
        changes: may change the server. Such a command is never sent twice, and only actions/doer.py and lock.py may run it.
        secret: values that must not be shown (they are masked in `shown`, in records and in the journal).
        why: one line for the operator, shown in a plan.
        limit: most bytes kept of each output stream; what is beyond is dropped and said.
    """

    argv: tuple[str, ...]
    stdin: str = field(default="", repr=False)
    sudo: bool = False
    timeout: float = DEFAULT_TIMEOUT_SECONDS
    expect: Mapping[int, str] = field(
        default_factory=lambda: OK
    )  # a mapping proxy has no hash, so dataclass takes no default
    changes: bool = False
    secret: tuple[str, ...] = field(default=(), repr=False)
    why: str = ""
    limit: int = 8 * 1024 * 1024

    def __post_init__(self) -> None:
        """Raise ValueError for what execve could not take."""
        if not self.argv or not self.argv[0]:
            raise ValueError("a command needs a program: argv is empty")
        if any("\0" in word for word in self.argv):
            raise ValueError(f"the arguments of {self.argv[0]} hold a NUL byte, which no program can be given")

    @property
    def shown(self) -> str:
        """The command as shell text with its secrets masked: what a plan, a record and an error show."""
        words = ("sudo", *self.argv) if self.sudo else self.argv
        for value in sorted(self.secret, key=len, reverse=True):
            if value:
                words = tuple(word.replace(value, MASK) for word in words)
        return quote(words)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a command: `exit_code`, both streams kept apart, and how long it took in seconds."""

    command: Command
    exit_code: int
    stdout: str
    stderr: str
    duration_seconds: float
    timed_out: bool = False
    truncated: bool = False
    sudo_refused: bool = False

    @property
    def ok(self) -> bool:
        """Whether the exit code is a declared one (not whether the answer is good news)."""
        return not self.timed_out and not self.sudo_refused and self.exit_code in self.command.expect

    @property
    def meaning(self) -> str:
        """What the exit code says, in words."""
        if self.sudo_refused:
            return "sudo refused"
        if self.timed_out:
            return f"stopped after {self.command.timeout:g} s"
        if self.exit_code == NOT_FOUND_EXIT_CODE and self.exit_code not in self.command.expect:
            return "program not found"
        if self.exit_code < 0:
            return f"killed by signal {-self.exit_code}"
        return self.command.expect.get(self.exit_code, "not expected")


def command(*argv: str, **options: object) -> Command:
    """Given program and arguments as separate words, return a Command (a short spelling for the facts)."""
    return Command(argv=tuple(argv), **options)  # type: ignore[arg-type]  # the dataclass checks the options' names
