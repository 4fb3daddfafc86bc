"""Copies off the server: the files of its restic repository, mirrored to a folder of this machine or to any fsspec URL.

The operator's side does the carrying, so no key to the copies lies on the server. A file of a restic repository never
changes and is named by the SHA-256 of its content (design document of restic, "Repository Layout"), so each can be
checked on both ends, and what has arrived whole is never carried again. They are encrypted; this side needs no restic.

    <off_host>/repository-<first 12 digits of the SHA-256 of its file `config`>/
        config  data/  index/  keys/  snapshots/    a restic repository: restic -r FOLDER check
        files.json                                  name -> bytes of all of them
        mirror.json                                 when, from which server, and the catalogue: runs, snapshots, manifests
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from runbook.errors import RunbookError

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = {"mirror": "mirror.mirror", "fill": "mirror.fill", "prune": "mirror.prune"}


def function(call: str) -> Callable[[Any, dict[str, Any], Callable[[str], None]], str]:
    """Given what a step's `local` calls, return the function. Raises RunbookError."""
    if call not in CALLS:
        raise RunbookError(f"this side has no {call!r}", remedy=f"one of: {', '.join(CALLS)}")
    module, _, name = CALLS[call].partition(".")
    found: Callable[[Any, dict[str, Any], Callable[[str], None]], str] = getattr(importlib.import_module(f"{__name__}.{module}"), name)  # fmt: skip
    return found
