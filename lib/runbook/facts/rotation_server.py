"""The program that changes one secret of a Compose stack; it runs on the server as root, where the values stay.

It is never imported there: a plan lays the text of its four files, one below the other, beside its settings, and each
step calls it with one word. It prints names, places and counts, never a value. Values travel between programs over
standard input only, since command lines, environments of containers and logs can be read by others. Only Python 3.8 and
its standard library are used.

    FOLDER/rotation.py    the text           FOLDER/new        the new value   (root, 0600, until it is confirmed)
    FOLDER/settings.json  what and where     FOLDER/old.json   the old value, its lines, the role's verifier (as above)

Exit codes: 0 done, or it is so; 1 it is not so, or it failed; 2 not known (the service does not answer).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from runbook.facts.rotation_lines import Wrong
from runbook.facts.rotation_services import Rotation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def verbs(rotation: Rotation) -> dict[str, Callable[[], str]]:
    """Return what can be asked, by word."""
    found: dict[str, Callable[[], str]] = {
        "inspect": rotation.inspect,
        "make": rotation.make,
        "made": rotation.made,
        "write-env": rotation.write_env,
        "restore-env": rotation.restore_env,
        "is-begun": partial(rotation.noted, "begun", "rotated"),
        "quiet": rotation.quiet,
        "confirm": rotation.confirm,
        "undone": rotation.undone,
    }
    for state in ("begun", "rotated", "finished"):
        found["note-" + state] = partial(rotation.note, state)
        found["noted-" + state] = partial(rotation.noted, state)
    for which, other in (("new", "old"), ("old", "new")):
        found["env-" + which] = partial(rotation.env_is, which)
        found["containers-" + which] = partial(rotation.containers, which)
        found["alter-" + which] = partial(rotation.alter, which)
        found["redis-" + which] = partial(rotation.set_redis, which)
        found["accepts-" + which] = partial(rotation.accepted, which)
        found["prove-" + which] = partial(rotation.proof, which, other)
        found["reencrypt-" + which] = partial(rotation.reencrypt, which)
        found["rows-" + which] = partial(rotation.rows, which)
    return found


def main(words: list[str]) -> int:
    """Do what the word says; a second word is the settings as JSON, where they do not lie beside this file."""
    folder = Path(words[0]).resolve().parent
    os.umask(0o077)
    try:
        told = words[2] if words[2:] else (folder / "settings.json").read_text(encoding="utf-8")
        sys.stdout.write(verbs(Rotation(json.loads(told), folder))[words[1]]() + "\n")
    except Wrong as wrong:
        sys.stderr.write(f"{wrong}\n")
        return wrong.code
    except (OSError, ValueError, LookupError, subprocess.TimeoutExpired) as error:
        # the error's own text could hold what was sent: its kind and place are enough
        where = getattr(error, "filename", None) or getattr(error, "cmd", [""])[0]
        sys.stderr.write(f"{type(error).__name__} {where}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
