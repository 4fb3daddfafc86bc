"""Runs on the practice server, as root, with nothing but its own Python. Two works, named by the first argument.

watch FILE   note every command line that processes show, until FILE.stop is there; then write them to FILE
search       read {"forms": {name: [text, ...]}, "seen": FILE} from standard input; print where one of them is found, never the text
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

EVERY_SECONDS = 0.025  # half of what was asked for: a short psql lives some 30 ms
TREES = (
    "/var/log",
    "/tmp",  # noqa: S108  # searched, not written to
    "/var/tmp",  # noqa: S108  # as above
    "/var/lib/runbook",
    "/root",
    "/home",
    "/opt/pazpaz",
    "/etc",
    "/var/spool",
)
AT_HOME = re.compile(
    r"^/opt/pazpaz/\.env\.production$"  # where the secrets live
    r"|^/opt/pazpaz/backend/certs/"
    r"|^/var/log/journal/"  # read through journalctl
)
ROOT_ONLY = "/var/lib/runbook/"  # undo material may hold what was replaced, as long as only root can read it
HISTORIES = ("-name", ".*history", "-o", "-name", ".viminfo", "-o", "-name", "*.swp")


def command_lines() -> set[str]:
    """Return the command line of every process, containers' included."""
    found = set()
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                found.add(
                    Path(f"/proc/{entry.name}/cmdline")
                    .read_bytes()
                    .replace(b"\0", b" ")
                    .decode(errors="replace")
                    .strip()
                )
            except OSError:
                continue
    return found


def watch(place: Path) -> None:
    """Note command lines until told to stop."""
    seen: set[str] = set()
    looks = 0
    while not place.with_suffix(".stop").exists():
        seen |= command_lines()
        looks += 1
        time.sleep(EVERY_SECONDS)
    place.touch(mode=0o600)
    place.write_text(json.dumps({"looks": looks, "seen": sorted(seen)}))


def printed(*argv: str) -> bytes:
    """Return what a command printed, errors included."""
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout


def places() -> list[tuple[str, bytes]]:
    """Return every text to be searched with the name of its place."""
    found = [("the system's journal", printed("journalctl", "-o", "json", "--no-pager", "-q"))]
    names = printed("docker", "ps", "-a", "--format", "{{.Names}}").decode().split()
    found += [(f"the log of {name}", printed("docker", "logs", name)) for name in names]
    asked = "select query from pg_stat_activity"
    found.append(
        (
            "queries of sessions",
            printed("docker", "exec", "pazpaz-db", "psql", "-qtAX", "-U", "pazpaz", "-d", "pazpaz", "-c", asked),
        )
    )
    histories = (
        printed("find", "/var/lib/docker/overlay2", "-xdev", "-type", "f", "(", *HISTORIES, ")").decode().split("\n")
    )
    for tree in TREES:
        for folder, _, names in os.walk(tree):
            histories += [f"{folder}/{name}" for name in names]
    for place in histories:
        path = Path(place)
        if place and not AT_HOME.search(place) and path.is_file() and not path.is_symlink():
            if place.startswith(ROOT_ONLY) and is_roots_alone(path):
                continue
            found.append((place, path.read_bytes()))
    return found


def is_roots_alone(path: Path) -> bool:
    """Whether only root can read a file: by its own rights, and owned by root."""
    about = path.stat()
    return about.st_uid == 0 and not about.st_mode & 0o077


def search() -> None:
    """Print where a secret is found."""
    asked: dict[str, Any] = json.load(sys.stdin)
    noted = Path(asked["seen"])
    watched: dict[str, Any] = json.loads(noted.read_text()) if noted.exists() else {"looks": 0, "seen": []}
    texts = [*places(), *((f"a process list: {line.split(' ')[0]} ...", line.encode()) for line in watched["seen"])]
    hits = sorted(
        {
            f"{name} in {place}"
            for name, forms in asked["forms"].items()
            for place, text in texts
            if any(form.encode() in text for form in forms)
        }
    )
    json.dump({"hits": hits, "looks": watched["looks"], "texts": len(texts)}, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1] == "watch":
        watch(Path(sys.argv[2]))
    else:
        search()
