"""What changed on a target since its last good record: evidence for a cause that no probe names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

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
        good = index.last_good(target, notebook)
    if good is None:
        return Since("", "", ())
    try:
        record = orjson.loads((outputs / good.name).read_bytes())
    except (OSError, ValueError):  # gone or broken since: evidence that is not there
        return Since("", "", ())
    return Since(good.name, good.started, tuple(changes(scraps_of(record).get("facts") or {}, facts)))
