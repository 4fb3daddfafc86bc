"""What changed on a target since its last good record: evidence for a cause that no probe names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook.records.compare import Change, changes
from runbook.records.index import Index
from runbook.records.record import scraps_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Since:
    """The last good record of a notebook on a target, and what is otherwise now. `name` is empty where there is none."""

    name: str
    started: str
    changes: tuple[Change, ...]


def since_last_good(outputs: Path, notebook: str, target: str, facts: Mapping[str, Any]) -> Since:
    """Given the facts of now as JSON, compare them with those of the last record of the same notebook and target that said OK."""
    with Index(outputs) as index:
        index.update()
        found = index.entries(limit=1, notebook=notebook, target=target, verdict="OK")
    if not found:
        return Since("", "", ())
    path = outputs / f"{found[0].name}.ipynb"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Since("", "", ())
    return Since(found[0].name, found[0].started, tuple(changes(scraps_of(record).get("facts") or {}, facts)))
