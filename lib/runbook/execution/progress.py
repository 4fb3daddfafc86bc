"""What a person sees while a notebook runs: a line for each step, its time, and the time such a run took before."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Progress:
    """Writes to a terminal or a log: one line a step when it is over, and the running step where lines can be rewritten."""

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self.stream = stream or sys.stderr
        self.quiet = quiet
        self.live = self.stream.isatty()
        self.names: list[str] = []
        self.order: dict[int, int] = {}
        self.begun = time.monotonic()
        self.step = 0.0

    def title(self, text: str) -> None:
        """Say what is run, and how long it took before."""
        self._line(text)

    def cells(self, names: list[str]) -> None:
        """Given the heading of each cell (empty: no code), number the steps."""
        self.names = names
        code = [index for index, name in enumerate(names) if name]
        self.order = {index: number for number, index in enumerate(code, start=1)}

    def begins(self, index: int) -> None:
        """Show the step that begins."""
        self.step = time.monotonic()
        if index in self.order and self.live and not self.quiet:
            self.stream.write(f"\r\x1b[K  {self._step(index)} ...")
            self.stream.flush()

    def ends(self, index: int) -> None:
        """Show the step with the seconds it took, and those of the whole run so far."""
        if index in self.order:
            now = time.monotonic()
            self._line(f"  {self._step(index)}  {now - self.step:.1f} s (in all {now - self.begun:.1f} s)")

    def note(self, text: str) -> None:
        """Say something in between."""
        self._line(f"  {text}")

    def _step(self, index: int) -> str:
        return f"{self.order[index]:2d}/{len(self.order)} {self.names[index]}"

    def _line(self, text: str) -> None:
        if not self.quiet:
            clear = "\r\x1b[K" if self.live else ""
            self.stream.write(f"{clear}{text}\n")
            self.stream.flush()
