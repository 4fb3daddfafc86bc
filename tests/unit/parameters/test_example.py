"""The example params file: loads, shows every setting, and holds no secret, address or person."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from runbook.parameters import Parameters, project_root, read

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = project_root() / "params" / "production.example.yaml"


def models(kind: type[BaseModel], seen: set[type[BaseModel]]) -> set[type[BaseModel]]:
    """Return the model and every model that its settings are made of."""
    if kind in seen:
        return seen
    seen.add(kind)
    for field in kind.model_fields.values():
        waiting = [field.annotation]
        while waiting:
            part = waiting.pop()
            waiting += getattr(part, "__args__", ())
            if isinstance(part, type) and issubclass(part, BaseModel):
                models(part, seen)
    return seen


def test_example_loads() -> None:
    parameters = read(EXAMPLE, target="production", instance="production")
    assert parameters.web.url == "https://pazpaz.health"
    assert parameters.environment == "production"
    assert parameters.depth == "quick"
    assert len(parameters.stack.services) == 8
    assert {item.name for item in parameters.backup.classes} == {"database", "configuration", "certificates", "uploads"}


@pytest.mark.parametrize("model", sorted(models(Parameters, set()), key=str))
def test_every_setting_stands_in_the_example(model: type[BaseModel]) -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    lost = [
        name
        for name in model.model_fields
        if name != "target" and not re.search(rf"(?m)(^[\s#-]*|[{{,]\s*){re.escape(name)}:", text)
    ]
    assert not lost, f"{model.__name__}: not shown in {EXAMPLE.name}: {', '.join(lost)}"


def test_example_holds_no_address_and_no_secret() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    addresses = [
        word for word in re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text) if not ipaddress.ip_address(word).is_loopback
    ]
    assert not addresses
    assert "BEGIN" not in text
    for line in re.findall(r"(?m)^[\s#]*\w*password: *(?!\{ variables:)(\S+)", text):
        assert line.startswith(("env:", "file:", "keyring:", "prompt"))


def test_sandbox_file_takes_no_setting_that_the_model_lacks(tmp_path: Path) -> None:
    ports = tmp_path / "ports.json"
    ports.write_text('{"ssh": 2222, "http": 8080, "https": 8443, "test": 9999, "hostname": "pazpaz"}', encoding="utf-8")
    source = (project_root() / "params" / "sandbox.yaml").read_text(encoding="utf-8")
    copy = tmp_path / "sandbox.yaml"
    copy.write_text(re.sub(r'(?m)^values: ".*?"', f'values: "{ports}"', source), encoding="utf-8")
    assert read(copy, target="sandbox", instance="sandbox").connection.hostname == "pazpaz"
