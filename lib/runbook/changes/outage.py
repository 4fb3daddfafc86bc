"""How long users notice a change: the health address is asked five times a second while the steps run."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from runbook.facts.http import Site

if TYPE_CHECKING:
    from runbook.parameters import Parameters

EVERY_SECONDS = 0.2
ASK_SECONDS = 2.0
GOOD = 400  # statuses below are answers


@dataclass(slots=True)
class Outage:
    """What was seen. Times are seconds of one clock; `longest_seconds` is the longest stretch without a good answer."""

    samples: list[tuple[float, bool]] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """How many times there was no good answer."""
        return sum(1 for _, good in self.samples if not good)

    @property
    def stretches(self) -> list[float]:
        """Seconds of each stretch without a good answer, up to the next good one (or the last look)."""
        found: list[float] = []
        since: float | None = None
        for at, good in self.samples:
            if not good and since is None:
                since = at
            elif good and since is not None:
                found.append(at - since)
                since = None
        if since is not None:
            found.append(self.samples[-1][0] - since + EVERY_SECONDS)
        return found

    @property
    def seconds(self) -> float:
        """Seconds without a good answer, all stretches together."""
        return round(sum(self.stretches), 1)

    @property
    def sentence(self) -> str:
        """What users noticed, in words."""
        if not self.samples:
            return "downtime was not measured (this machine does not look at the public address)"
        if not self.failed:
            return f"no downtime seen ({len(self.samples)} looks)"
        return f"downtime {self.seconds:g} s, measured at the public address ({self.failed} of {len(self.samples)} looks failed)"


class Watch:
    """Looks at the public health address in a thread, from `with` to its end. `outage` is what was seen."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self.outage = Outage()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True, name="outage")

    def __enter__(self) -> Self:
        if self._parameters.web.from_outside:
            self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(ASK_SECONDS + 1)

    def _look(self) -> None:
        settings = self._parameters.web
        while not self._stop.is_set():
            at = time.monotonic()
            try:
                with Site(settings, timeout_seconds=ASK_SECONDS, verified=False) as site:
                    answer, _ = site.request("GET", settings.health_path)
                good = 0 < answer.status < GOOD
            except OSError:
                good = False
            self.outage.samples.append((at, good))
            self._stop.wait(max(0.0, EVERY_SECONDS - (time.monotonic() - at)))
