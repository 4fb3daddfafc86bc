"""Links between notebooks, made to work from a record: it lies in outputs/, beside notebooks/ and not within it."""

from __future__ import annotations

import posixpath
import re
from typing import Any

# a link of Markdown or HTML to a notebook of ours, by a relative path
RELATIVE = re.compile(r"""(\]\(|href=["'])(?![a-z]+:|/|#)([^)"'\s]+\.ipynb)""")
FROM_OUTPUTS = "../notebooks"


def anchored(text: str, notebook: str) -> str:
    """Given Markdown or HTML of a notebook and that notebook's name, return it with its links as seen from outputs/.

    >>> anchored("[logs](../02-services/logs.ipynb) and [start](../00-start-here.ipynb)", "04-health/quick")
    '[logs](../notebooks/02-services/logs.ipynb) and [start](../notebooks/00-start-here.ipynb)'
    """
    folder = posixpath.join(FROM_OUTPUTS, posixpath.dirname(notebook))
    return RELATIVE.sub(lambda found: found[1] + posixpath.normpath(posixpath.join(folder, found[2])), text)


def anchor_cell(cell: dict[str, Any], notebook: str) -> dict[str, Any]:
    """Given a cell of a record, return it with the links of its Markdown and of its HTML outputs made to work."""
    if cell.get("cell_type") == "markdown":
        return cell | {"source": anchored(cell["source"], notebook)}
    outputs = [
        output | {"data": output["data"] | {"text/html": anchored("".join(output["data"]["text/html"]), notebook)}}
        if "text/html" in output.get("data", {})
        else output
        for output in cell.get("outputs", ())
    ]
    return cell | {"outputs": outputs} if "outputs" in cell else cell


def link_to(name: str, notebook: str) -> str:
    """Given a notebook's name and the one that speaks of it, return a Markdown link; one that is not written yet is "(planned)"."""
    from runbook.parameters import project_root  # noqa: PLC0415 (slow; a page that links has it already)

    if (project_root() / "notebooks" / f"{name}.ipynb").is_file():
        return f"[{name}]({'../' * notebook.count('/')}{name}.ipynb)"
    return f"{name} (planned)"
