"""The practice server's parameters, without a practice server."""

from __future__ import annotations

import json

import pytest

from runbook import parameters as model


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
