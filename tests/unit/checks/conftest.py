"""Facts as a check gets them, at a fixed moment."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from runbook.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def given() -> Callable[..., Facts]:
    """Return a function that puts facts together, gathered on 2026-11-24 at noon within a quarter of a second."""

    def put(**values: Any) -> Facts:
        return Facts(values, {}, seconds=0.25, begun=NOW.timestamp(), ended=NOW.timestamp() + 0.25)

    return put
