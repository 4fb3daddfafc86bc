"""Pictures of what containers and disks use, against their limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.facts import Missing
from runbook.plots.picture import Picture, bars_height, colour_of, flat_bars, limit_line, no_evidence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from runbook.facts import Facts
    from runbook.facts.resources import Filesystem
    from runbook.facts.usage import Usage
    from runbook.parameters import Parameters, Threshold

MIB = 1024**2
GIB = 1024**3
FULL = 100.0
MOST_ROWS = 16


def container_usage(facts: Facts, parameters: Parameters) -> Picture:
    """Return CPU and memory of each container, side by side, each against its limits."""
    fact: tuple[Usage, ...] | Missing = facts.get("usage")
    if isinstance(fact, Missing):
        return no_evidence("CPU and memory per container", fact)
    items = sorted(fact, key=lambda item: -item.memory_percent)[:MOST_ROWS]
    names = [item.name for item in items]
    fullest = items[0] if items else None
    seen = f"; {fullest.name} is nearest its memory limit ({fullest.memory_percent:.0f} %)" if fullest else ""
    picture = Picture(f"CPU and memory per container{seen}", height_inches=bars_height(len(items)))
    left, right = picture.panels("CPU (% of one processor)", "memory (% of its limit, else of the host)")
    _share(left, names, [item.cpu_percent for item in items], parameters.limits.container_cpu_percent)
    texts = [f"{item.memory_percent:.0f} %  ({item.memory_bytes / MIB:.0f} MiB)" for item in items]
    _share(right, names, [item.memory_percent for item in items], parameters.limits.container_memory_percent, texts)
    return picture


def disk_use(facts: Facts, parameters: Parameters) -> Picture:
    """Return how full each filesystem is, with the limits marked."""
    fact: tuple[Filesystem, ...] | Missing = facts.get("filesystems")
    if isinstance(fact, Missing):
        return no_evidence("Disk use per filesystem", fact)
    items = sorted(fact, key=lambda item: -item.used_percent)[:MOST_ROWS]
    fullest = items[0]
    title = f"Disk use: {fullest.mount} is fullest, {fullest.used_percent:.0f} % used and {fullest.free_bytes / GIB:.1f} GiB free"
    picture = Picture(title, height_inches=bars_height(len(items)))
    texts = [
        f"{item.used_percent:.0f} %, {item.free_bytes / GIB:.1f} of {item.size_bytes / GIB:.1f} GiB free"
        for item in items
    ]
    axes = picture.panel("used (%)")
    _share(
        axes,
        [item.mount for item in items],
        [item.used_percent for item in items],
        parameters.limits.disk_percent,
        texts,
    )
    return picture


def _share(
    axes: Axes, names: list[str], values: list[float], limits: Threshold, texts: list[str] | None = None
) -> None:
    colours = [colour_of(value, limits.warning, limits.critical) for value in values]
    flat_bars(axes, names, values, colours, texts or [f"{value:.0f} %" for value in values])
    limit_line(axes, limits.warning, f"warning {limits.warning:g}")
    limit_line(axes, limits.critical, f"critical {limits.critical:g}")
    axes.set_xlim(0, max([FULL, limits.critical, *values]) * 1.12)
