"""What the programs share: containers by Docker's inspection, work side by side, and a deadline that always ends it.

Only Python 3.8 and its standard library are used; values of the environment stay on the server.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

BEGUN = time.monotonic()
SECONDS = 6.0  # within this, whatever has been found is printed


def left(most: float = SECONDS) -> float:
    """Return the seconds that are left of the program's time, at most `most`."""
    return max(0.05, min(most, BEGUN + SECONDS - time.monotonic()))


def inspected(names: Iterable[str]) -> list[dict[str, Any]]:
    """Return what Docker knows of containers; those that are not there are left out. Raises OSError, TimeoutExpired."""
    argv = ["docker", "container", "inspect", *names]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=left(4.0), check=False)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    if not found and "daemon" in done.stderr:
        raise OSError(done.stderr.strip().splitlines()[-1])
    return found


def environment(container: dict[str, Any]) -> dict[str, str]:
    """Return a container's environment."""
    return dict(pair.partition("=")[::2] for pair in container["Config"].get("Env") or [])


def addresses(container: dict[str, Any]) -> dict[str, str]:
    """Return a container's IPv4 address by network."""
    networks = (container.get("NetworkSettings") or {}).get("Networks") or {}
    return {name: item.get("IPAddress", "") for name, item in networks.items()}


def address(container: dict[str, Any]) -> str:
    """Return one address of a container; empty where it has none."""
    return next((item for item in addresses(container).values() if item), "")


LISTENS = "0A"  # TCP_LISTEN in /proc/net/tcp
LOOPBACK = ("0100007F", "0B00007F", "00000000000000000000000001000000")  # 127.0.0.1, Docker's resolver 127.0.0.11, ::1
URL = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
PLACE = re.compile(r"([A-Za-z0-9][A-Za-z0-9_.-]*):(\d{2,5})")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
HOST_VARIABLE = re.compile(r"(.*_)?(HOST|HOSTNAME|SERVER|ADDR|ADDRESS|ENDPOINT)")
PORTS = {
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "rediss": 6379,
    "http": 80,
    "https": 443,
    "amqp": 5672,
    "mysql": 3306,
}
ITSELF = ("localhost", "127.0.0.1", "0.0.0.0", "::1", "")  # noqa: S104 (an address that is looked for, not bound to)


def endpoints(variables: dict[str, str]) -> list[tuple[str, str, int]]:
    """Given an environment, return (variable, host, port) of every connection that it names.

    >>> endpoints({"DATABASE_URL": "postgresql+asyncpg://a:b@db:5432/c", "X_HOST": "y", "X_PORT": "99", "LANG": "C.UTF-8"})
    [('DATABASE_URL', 'db', 5432), ('X_HOST', 'y', 99)]
    """
    found = []
    for name, value in variables.items():
        host, port = "", 0
        place = PLACE.fullmatch(value)
        if URL.fullmatch(value):
            parts = urlsplit(value)
            try:
                host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme.partition("+")[0], 0)
            except ValueError:  # a port that is no number
                continue
        elif place is not None:
            host, port = place[1], int(place[2])
        elif HOST_VARIABLE.fullmatch(name) and NAME.fullmatch(value):
            host = value
            told = variables.get(re.sub(r"(HOST|HOSTNAME|SERVER|ADDR|ADDRESS|ENDPOINT)$", "PORT", name), "")
            port = int(told) if told.isdigit() else 0
        if port and host not in ITSELF and NAME.fullmatch(host):
            found.append((name, host, port))
    return found


def listening(pid: int) -> list[int]:
    """Return the TCP ports on which something in a container's network listens beyond that container itself."""
    found = set()
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{name}", encoding="ascii") as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue
        for words in rows:
            ip, _, port = words[1].partition(":")
            if words[3] == LISTENS and ip not in LOOPBACK:
                found.add(int(port, 16))
    return sorted(found)


def side_by_side(asked: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Ask everything at once, and return what was answered in time; what was not is {"late": seconds}, an error {"failed": text}."""
    found: dict[str, Any] = {}
    begun = {name: time.monotonic() for name in asked}

    def one(name: str) -> None:
        try:
            answer = asked[name]()
        except subprocess.TimeoutExpired as error:
            answer = {"failed": f"no answer within {error.timeout:.0f} s"}
        except (
            OSError,
            ValueError,
            KeyError,
            IndexError,
            AttributeError,
            TypeError,
            subprocess.SubprocessError,
        ) as error:
            answer = {"failed": str(error)[:300] or type(error).__name__}
        found[name] = answer

    threads = [threading.Thread(target=one, args=(name,), daemon=True) for name in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(left())
    return {name: found.get(name, {"late": round(time.monotonic() - begun[name], 1)}) for name in asked}


def answer(value: object) -> None:
    """Print the answer and end at once: a thread that still waits must not hold the program."""
    sys.stdout.write(json.dumps(value))
    sys.stdout.flush()
    os._exit(0)
