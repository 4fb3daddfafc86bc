"""The practice server's parameters, without a practice server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from runbook import parameters as model

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep unit tests from a practice server that happens to be on this machine: they must pass on one that has none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBOOK_SANDBOX_HOME", str(tmp_path_factory.mktemp("nowhere")))
        yield


@pytest.fixture(scope="session")
def parameters(tmp_path_factory: pytest.TempPathFactory) -> model.Parameters:
    """Return what params/sandbox.yaml says, with ports that nobody uses; read once, since nobody can change it."""
    home = tmp_path_factory.mktemp("sandbox_home")
    (home / "sandbox").mkdir()
    values = {"ssh": 2222, "http": 8080, "https": 8443, "test": 9999, "hostname": "pazpaz-sandbox"}
    (home / "sandbox" / "ports.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RUNBOOK_SANDBOX_HOME", str(home))
        return model.load("sandbox")
