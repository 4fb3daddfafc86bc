"""Facts as pictures, for a person: what is near its limit, what climbs, when it began.

Each function returns a figure that shows itself in a notebook. A missing fact gives a picture that says so.
"""

from __future__ import annotations

from runbook.plots.certificates import days_left, expiry_dates
from runbook.plots.database import table_sizes
from runbook.plots.over_time import errors_over_time, lines_over_time, requests_over_time, trend
from runbook.plots.picture import Picture
from runbook.plots.resources import container_usage, disk_use

__all__ = [
    "Picture",
    "container_usage",
    "days_left",
    "disk_use",
    "errors_over_time",
    "expiry_dates",
    "lines_over_time",
    "requests_over_time",
    "table_sizes",
    "trend",
]
