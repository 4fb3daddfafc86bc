"""environment.yml and pyproject.toml list the same packages."""

from __future__ import annotations

import tomllib

from packaging.requirements import Requirement
from ruamel.yaml import YAML

from runbook.parameters import project_root


def wanted() -> dict[str, str]:
    """What pyproject.toml asks for, Python itself included."""
    project = tomllib.loads((project_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = [Requirement(text) for text in project["dependencies"] + project["optional-dependencies"]["test"]]
    return {"python": project["requires-python"]} | {item.name: str(item.specifier) for item in packages}


def offered() -> dict[str, str]:
    """What environment.yml gives, through conda or pip."""
    environment = YAML(typ="safe").load(project_root() / "environment.yml")
    listed = [item for item in environment["dependencies"] if isinstance(item, str) and item != "pip"]
    by_pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    packages = [Requirement(text) for text in [*listed, *(text for text in by_pip if not text.startswith("-e"))]]
    return {item.name: str(item.specifier) for item in packages}


def test_both_lists_name_the_same_packages_and_versions() -> None:
    assert offered() == wanted()


def test_environment_installs_the_project_itself() -> None:
    environment = YAML(typ="safe").load(project_root() / "environment.yml")
    assert "-e ." in environment["dependencies"][-1]["pip"]
