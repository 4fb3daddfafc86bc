"""Tests have a practice server of their own, in a state folder of their own: a person's is left alone."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import settings

_state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
os.environ.setdefault("RUNBOOK_SANDBOX_HOME", str(_state / "runbook" / "sandbox-of-tests"))

# How long one example takes says how busy the machine is; pytest's own timeout bounds what hangs.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
