"""Facts as pictures, for a person: what is near its limit, what climbs, when it began.

Each function returns a figure that shows itself in a notebook. A missing fact gives a picture that says so.
"""

from __future__ import annotations

from runbook.plots.picture import Picture
from runbook.plots.resources import container_usage, disk_use

__all__ = ["Picture", "container_usage", "disk_use"]
