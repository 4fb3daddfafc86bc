"""Asks what stands behind an application itself, with the application's own credentials: database, cache, object store, scanner, HTTP.

Where each is, and what opens it, is read from the environment of the containers that use it; nothing of it is printed.
Argument: JSON {"containers": {service: container}, "roles": {service: role}, "http": [[service, port, path]]}.
Cache and store have modules of their own; clamd's protocol: clamd(8).
"""

from __future__ import annotations

import functools
import json
import os
import re
import socket
import subprocess
import sys
import time
from urllib.parse import unquote, urlsplit

from runbook.facts.probes.cache import cache
from runbook.facts.probes.common import (
    address,
    answer,
    endpoints,
    environment,
    inspected,
    left,
    listening,
    side_by_side,
)
from runbook.facts.probes.store import OF_STORES, http_get, store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

WAIT, ALIKE = 3.0, 0.7
IN_COMMON = re.compile(r".*(_URL|_URI|_DSN|_ENDPOINT|_HOST|_PORT|_BUCKET|_KEY|_SECRET|_PASSWORD)$")
"""Variables whose value must be one in all containers that have them."""


def clamd(place: tuple[str, int]) -> dict[str, Any]:
    """Return what clamd says: alive, its version and database, and what it makes of the test virus and of a clean text."""

    def say(words: bytes) -> str:
        with socket.create_connection(place, WAIT) as line:
            line.settimeout(WAIT)
            line.sendall(words)
            got = b""
            while chunk := line.recv(4096):
                got += chunk
                if got.endswith(b"\0"):
                    break
            return got.rstrip(b"\0").decode(errors="replace")

    def scan(content: bytes) -> str:
        return say(b"zINSTREAM\0" + len(content).to_bytes(4, "big") + content + b"\0\0\0\0")

    begun = time.monotonic()
    found: dict[str, Any] = {"ping": say(b"zPING\0"), "version": say(b"zVERSION\0")}
    found["milliseconds"] = round((time.monotonic() - begun) * 1000)
    # put together here, so that no scanner trips over this text
    found["virus"] = scan(
        b"X5O!P%@AP[4" + b"\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE" + b"!$H+H*"
    )
    found["clean"] = scan(b"a clean line of text\n")
    found["large"] = scan(b"\0" * 2_000_000)
    found["stats"] = say(b"zSTATS\0")[:600]
    return found


def database(container: str, ip: str, urls: dict[str, str]) -> dict[str, Any]:
    """Return whether the database lets each user in over the network, with its own credentials; else the database's own words."""
    found: dict[str, Any] = {"logins": {}}
    for name, url in urls.items():
        parts = urlsplit(url)
        argv = ["docker", "exec", "--interactive", "--env", "PGPASSWORD", "--env", "PGCONNECT_TIMEOUT=3", "--env", "PGAPPNAME=runbook", container,
                "psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--host", ip, "--port", str(parts.port or 5432), "--username", unquote(parts.username or ""),
                "--dbname", unquote(parts.path.strip("/").partition("?")[0]), "--command", "select 1"]  # fmt: skip
        begun = time.monotonic()
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=left(5.0),
            check=False,
            env={**os.environ, "PGPASSWORD": unquote(parts.password or "")},
        )
        told = [
            re.sub(r"^psql: (error: )?|connection to server at .*? failed: ", "", line)
            for line in done.stderr.splitlines()
            if line.strip()
        ]
        found["logins"][name] = (
            "ok"
            if done.returncode == 0 and done.stdout.strip() == "1"
            else (told[0] if told else f"psql ended with {done.returncode}")
        )
        found["milliseconds"] = round((time.monotonic() - begun) * 1000)
    return found


def urls_of(users: dict[str, dict[str, str]], scheme: str) -> dict[str, str]:
    """Return the connection URLs of a scheme, by the service and the variable that hold them."""
    return {
        f"{name} {key}": value
        for name, variables in users.items()
        for key, value in variables.items()
        if re.match(scheme, value)
    }


def port_of(item: dict[str, Any], told: int) -> int:
    """Return the port to ask a part at: the one that its users are told, or, where nothing listens there, its own."""
    listens = listening(item["State"]["Pid"])
    return told if told in listens or not listens else listens[0]


def question(
    role: str, item: dict[str, Any], users: dict[str, dict[str, str]], application: dict[str, Any] | None, name: str
) -> Callable[[], Any] | None:
    """Return what is to be asked of a part by its role; None for a role that has no probe."""
    ip = address(item)
    if role == "cache":
        urls = urls_of(users, "rediss?://")
        port = next((urlsplit(url).port or 6379 for url in urls.values()), 6379)
        return functools.partial(cache, (ip, port_of(item, port)), urls)
    if role == "storage":
        variables = users.get(name, {})
        port = next((port for key, _, port in endpoints(variables) if re.search(OF_STORES, key)), 9000)
        pid = application["State"]["Pid"] if application else 0
        return functools.partial(store, (ip, port_of(item, port)), variables, pid)
    if role == "database":
        return functools.partial(database, item["Name"].lstrip("/"), ip, urls_of(users, r"postgres(ql)?(\+\w+)?://"))
    if role == "scanner":
        port = next(
            (port for variables in users.values() for key, _, port in endpoints(variables) if "CLAM" in key), 3310
        )
        return functools.partial(clamd, (ip, port_of(item, port)))
    return None


def differing(users: dict[str, dict[str, str]]) -> dict[str, list[list[str]]]:
    """Return the variables that have several values in containers that share one environment file, with the services that have each.

    Containers share a file where most of their variables have the same names: what they have in common must then be one.
    """
    found: dict[str, list[list[str]]] = {}
    for one, mine in users.items():
        for other, its in users.items():
            both = set(mine) & set(its)
            if one >= other or len(both) < ALIKE * len(set(mine) | set(its)):
                continue
            for key in sorted(both):
                if mine[key] != its[key] and IN_COMMON.match(key):
                    found.setdefault(key, []).append([one, other])
    return {key: [[pair[0]] for pair in pairs[:1]] + [[pair[1]] for pair in pairs] for key, pairs in found.items()}


def main() -> None:
    """Print what was found, by service."""
    asked = json.loads(sys.argv[1])
    there = {item["Name"].lstrip("/"): item for item in inspected(asked["containers"].values())}
    containers = {service: there[name] for service, name in asked["containers"].items() if name in there}
    up = {
        name: item
        for name, item in containers.items()
        if item["State"]["Running"] and not item["State"]["Paused"] and address(item)
    }
    users = {service: environment(item) for service, item in containers.items()}
    user = next((name for name in users if asked["roles"].get(name) == "application"), "")
    looks: dict[str, Callable[[], Any]] = {}
    for service, item in up.items():
        asks = question(asked["roles"].get(service, ""), item, users, containers.get(user), user)
        if asks is not None:
            looks[service] = asks
    for service, port, path in asked["http"]:
        if service in up:
            looks[f"{service} http"] = functools.partial(
                http_get, (address(up[service]), port), path, headers={"Host": "localhost"}
            )
    answer({"parts": side_by_side(looks), "differing": differing(users)})


if __name__ == "__main__":
    main()
