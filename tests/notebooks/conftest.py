"""The notebooks are compared on a server in the known state: faults of earlier tests leave lines in its logs."""

from __future__ import annotations

import pytest

from sandbox import lifecycle


@pytest.fixture(scope="session", autouse=True)
def untouched_server() -> None:
    """Have the practice server up, as it was made."""
    if lifecycle.exists():
        lifecycle.reset(rebuild=True)
    else:
        lifecycle.up()
