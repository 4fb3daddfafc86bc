"""Medians of several runs, the ways taken in turns so that the machine's mood hits all alike."""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def medians(ways: Mapping[str, Callable[[], object]], *, times: int, warm: int = 1) -> dict[str, float]:
    """Given ways by name, run each `warm` times unmeasured and `times` measured, in turns; return seconds (medians)."""
    times = int(os.environ.get("RUNBOOK_BENCH_TURNS") or times)  # ./runbook bench --turns
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm + times):
        for name, way in ways.items():
            begun = time.perf_counter()
            way()
            if turn >= warm:
                seconds[name].append(time.perf_counter() - begun)
    return {name: statistics.median(values) for name, values in seconds.items()}


def show(title: str, measured: Mapping[str, float], against: str) -> None:
    """Print the medians and how they stand to one of them."""
    print(f"\n{title}")
    for name, seconds in measured.items():
        print(f"  {name:<52} {seconds:8.3f} s   {seconds / measured[against]:6.2f} x")
