"""Many records at once: a trend as text, and as a DataFrame for a figure or a table of one's own."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from runbook.screen import columns

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

LEVELS = "▁▂▃▄▅▆▇█"
SHOWN = 20
WIDTH = 60


def frame(outputs: Path, number: str, *, target: str | None = None, notebook: str | None = None) -> pd.DataFrame:
    """Return one number of the facts over time: columns `time` (UTC), `value`, `record`; oldest first."""
    import pandas as pd  # noqa: PLC0415 (half a second that a trend as text does without)

    from runbook.records.index import Index  # noqa: PLC0415 (this module is imported by the command line for its text)

    with Index(outputs) as index:
        index.update()
        points = index.trend(number, target=target, notebook=notebook)
    table = pd.DataFrame(points, columns=["time", "value", "record"])
    table["time"] = pd.to_datetime(table["time"], utc=True)
    return table


def trend_text(number: str, points: Sequence[tuple[str, float, str]]) -> str:
    """Given (time, value, record) oldest first, return a line of bars, the figures, and the last values."""
    values = [value for _, value, _ in points]
    lines = [
        f"{number}: {len(values)} records from {points[0][0][:16]} to {points[-1][0][:16]} (UTC)",
        f"lowest {min(values):g}, median {statistics.median(values):g}, highest {max(values):g}, last {values[-1]:g}",
        bars(values),
        "",
        columns(
            ("time (UTC)", "value", "record"),
            [(moment[:19], f"{value:g}", name) for moment, value, name in points[-SHOWN:]],
        ),
    ]
    return "\n".join(lines)


def bars(values: Sequence[float]) -> str:
    """Given values, return them as a line of bars, each the mean of a part where there are more than fit."""
    parts = min(len(values), WIDTH)
    means = [
        statistics.fmean(values[len(values) * at // parts : len(values) * (at + 1) // parts]) for at in range(parts)
    ]
    low, high = min(means), max(means)
    span = (high - low) or 1.0
    return "".join(LEVELS[min(len(LEVELS) - 1, int((mean - low) / span * len(LEVELS)))] for mean in means)
