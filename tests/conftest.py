"""Tests have a practice server of their own, in a state folder of their own: a person's is left alone."""

from __future__ import annotations

import os
from pathlib import Path

_state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
os.environ.setdefault("RUNBOOK_SANDBOX_HOME", str(_state / "runbook" / "sandbox-of-tests"))
