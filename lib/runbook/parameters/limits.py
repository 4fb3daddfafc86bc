"""Every limit that a check compares with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from runbook.parameters.model import Model, Threshold


class Limits(Model):
    """Limits of resources. Percent of what there is, unless the name says a unit."""

    disk_percent: Threshold = Threshold(warning=80, critical=92)
    inode_percent: Threshold = Threshold(warning=80, critical=92)
    memory_percent: Threshold = Threshold(warning=85, critical=95)
    swap_percent: Threshold = Threshold(warning=50, critical=90)
    load_per_cpu: Threshold = Threshold(warning=2, critical=5)
    container_cpu_percent: Threshold = Threshold(warning=80, critical=150)
    process_cpu_percent: Threshold = Threshold(warning=90, critical=400)
    container_memory_percent: Threshold = Threshold(warning=80, critical=95)
    container_restarts: Threshold = Threshold(warning=1, critical=5)
    docker_reclaimable_gigabytes: Threshold = Threshold(warning=10, critical=40)
    clock_skew_seconds: Threshold = Threshold(warning=2, critical=30)
    http_5xx_percent: Threshold = Threshold(warning=1, critical=5)
    log_errors_per_hour: Threshold = Threshold(warning=10, critical=500)
    round_trip_milliseconds: Threshold = Threshold(warning=500, critical=3000)
    log_lines_per_hour: Threshold = Threshold(warning=50_000, critical=1_000_000)
    pressure_percent: Threshold = Threshold(warning=40, critical=80)
    upgrades: Threshold = Threshold(warning=1, critical=200)
    out_of_memory_kills: Threshold = Threshold(warning=1, critical=5)
    recent_minutes: Annotated[float, Field(gt=0, le=1440)] = 10
