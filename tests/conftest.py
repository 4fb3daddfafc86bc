"""Tests have a practice server of their own, in a state folder of their own: a person's is left alone."""

from __future__ import annotations

import os

from hypothesis import settings

from runbook.cli.test import own_home

os.environ.setdefault("RUNBOOK_SANDBOX_HOME", str(own_home()))

# How long one example takes says how busy the machine is; pytest's own timeout bounds what hangs.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
