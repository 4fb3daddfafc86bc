"""Ports on the loopback address of this machine; nothing of a practice server listens beyond it."""

import socket
from collections.abc import Container

from sandbox.errors import SandboxError

LOOPBACK = "127.0.0.1"
INSIDE = {"ssh": 22, "https": 443, "http": 80, "test": 9999}
"""Port inside the server by purpose; `test` is for proving what the firewall lets through."""
PREFERRED = {"ssh": 2222, "https": 8443, "http": 8080, "test": 9999}


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(taken: Container[int] = ()) -> dict[str, int]:
    """Return one free port for every purpose: the preferred one, or else the next free one above it.

    Args:
        taken: ports that belong to other sandboxes, free at the moment or not.

    Raises:
        SandboxError: 200 ports above a preferred one are all in use.
    """
    chosen: dict[str, int] = {}
    for purpose, preferred in PREFERRED.items():
        chosen[purpose] = free_from(preferred, purpose, {*chosen.values()}, taken)
    return chosen


def free_from(preferred: int, purpose: str, *taken: Container[int]) -> int:
    """Return the preferred port, or else the next free one above it that none of `taken` holds.

    Raises:
        SandboxError: it and the 199 ports above it are all in use.
    """
    for port in range(preferred, preferred + 200):
        if not any(port in each for each in taken) and is_free(port):
            return port
    raise SandboxError(f"No free port for {purpose} between {preferred} and {preferred + 199} on {LOOPBACK}.")


def publish_options(ports: dict[str, int]) -> list[str]:
    return [f"--publish={LOOPBACK}:{ports[purpose]}:{inside}" for purpose, inside in INSIDE.items()]
