"""Links of a record lead to the notebooks, from where the record lies."""

from __future__ import annotations

import re

import pytest

from runbook import notebook
from runbook.parameters import project_root
from runbook.records.links import anchor_cell, anchored


@pytest.mark.parametrize(
    ("text", "name", "wanted"),
    [
        ("[a](quick.ipynb)", "04-health/detailed", "[a](../notebooks/04-health/quick.ipynb)"),
        ("[a](04-health/quick.ipynb)", "00-start-here", "[a](../notebooks/04-health/quick.ipynb)"),
        ('<a href="../02-services/logs.ipynb">logs</a>', "04-health/quick", '<a href="../notebooks/02-services/logs.ipynb">logs</a>'),
        ("[a](https://pazpaz.test/x.ipynb) [b](#x) [c](../README.md)", "04-health/quick", "[a](https://pazpaz.test/x.ipynb) [b](#x) [c](../README.md)"),
    ],
)  # fmt: skip
def test_relative_links_are_anchored_and_others_left(text: str, name: str, wanted: str) -> None:
    assert anchored(text, name) == wanted


@pytest.mark.parametrize("name", notebook.names())
def test_every_link_of_every_notebook_leads_somewhere_from_a_record(name: str) -> None:
    for cell in notebook.find(name).content["cells"]:
        kept = anchor_cell(cell | {"source": notebook.source_of(cell)}, name)
        texts = [kept["source"] if cell["cell_type"] == "markdown" else ""]
        texts += ["".join(output.get("data", {}).get("text/html", "")) for output in kept.get("outputs", ())]
        for text in texts:
            for target in re.findall(r"""(?:\]\(|href=["'])([^)"']+\.ipynb)""", text):
                assert (project_root() / "outputs" / target).resolve().is_file(), target
