"""The README stays true: its links lead somewhere, its commands exist, and every notebook stands in its table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runbook import notebook
from runbook.cli import COMMANDS
from runbook.parameters import project_root

README = (project_root() / "README.md").read_text(encoding="utf-8")
LARGEST_PICTURE_BYTES = 300_000


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_links_lead_somewhere(target: str) -> None:
    assert (project_root() / target).is_file()


def test_every_notebook_is_found_by_its_symptom() -> None:
    table = set(re.findall(r"\]\(notebooks/([\w/-]+)\.ipynb\)", README))
    assert table == set(notebook.names())


def test_commands_exist() -> None:
    named = set(re.findall(r"\./runbook ([a-z]+)", README))
    assert named <= set(COMMANDS)


def test_paths_exist() -> None:
    for path in re.findall(r"`((?:lib|params|tests|notebooks)/[\w./-]+)`", README):
        assert (project_root() / path).exists() or path == "params/production.yaml", path


def test_pictures_are_small() -> None:
    pictures = list(Path(project_root() / "docs").glob("*.png"))
    assert pictures
    assert all(picture.stat().st_size < LARGEST_PICTURE_BYTES for picture in pictures)
