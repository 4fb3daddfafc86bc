"""Opening: Fabric's connection with the host key pinned, every wait bounded, and failures told with their remedy."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fabric
import paramiko

from runbook.connection import hostkeys
from runbook.errors import ConnectionFailed, HostKeyError

if TYPE_CHECKING:
    from runbook.parameters import ConnectionSettings


@dataclass(frozen=True, slots=True)
class Peer:
    """Who answered: address as configured, the pinned key, and how we were let in."""

    host: str
    port: int
    user: str
    key_type: str
    fingerprint: str
    server_version: str
    authenticated_by: str
    connect_seconds: float


def open_fabric(settings: ConnectionSettings) -> fabric.Connection:
    """Given the settings, return an open connection. Raises HostKeyError and ConnectionFailed with the remedy."""
    if settings.ssh_config is not None and not Path(settings.ssh_config).expanduser().is_file():
        raise ConnectionFailed(
            f"the ssh configuration {settings.ssh_config} does not exist",
            remedy="for the practice server: ./runbook sandbox up; else mend connection.ssh_config in the params file",
        )
    config = fabric.Config(
        runtime_ssh_path=str(Path(settings.ssh_config).expanduser()) if settings.ssh_config else None
    )
    # paramiko itself gives up on a silent peer only after these
    options: dict[str, Any] = {
        "banner_timeout": settings.connect_timeout_seconds,
        "auth_timeout": settings.connect_timeout_seconds,
    }
    connection = fabric.Connection(
        settings.host,
        user=settings.user,
        port=settings.port,
        config=config,
        connect_timeout=max(1, round(settings.connect_timeout_seconds)),
        connect_kwargs=options,
    )
    if str(connection.ssh_config.get("identitiesonly", "no")).lower() == "yes" or settings.identity_file:
        connection.connect_kwargs |= {"allow_agent": False, "look_for_keys": False}
    if settings.identity_file:
        connection.connect_kwargs["key_filename"] = str(Path(settings.identity_file).expanduser())
    place = f"{connection.user}@{connection.host}:{connection.port}"
    try:
        hostkeys.pin(connection, settings)
        connection.open()
    except HostKeyError:
        raise
    except paramiko.BadHostKeyException as error:
        raise hostkeys.changed(connection, settings, error.key, [error.expected_key]) from None
    except paramiko.PasswordRequiredException:
        raise ConnectionFailed(
            f"{place}: the key is protected by a passphrase", remedy="load it into your agent (ssh-add), then run again"
        ) from None
    except paramiko.AuthenticationException as error:
        keys = connection.connect_kwargs.get("key_filename") or "your agent and ~/.ssh"
        raise ConnectionFailed(
            f"{place} refused the login: {error} (keys tried: {keys})",
            remedy=f"check the user and the key: ssh -v {settings.host}; the public key must stand in ~/.ssh/authorized_keys there",
        ) from None
    except (paramiko.SSHException, EOFError, OSError, ValueError) as error:
        raise ConnectionFailed(
            f"{place} cannot be reached: {_told(error)}", remedy=_reach_remedy(error, settings)
        ) from None
    transport = connection.transport
    transport.set_keepalive(round(settings.keepalive_seconds))
    if isinstance(transport.sock, socket.socket):
        # paramiko never sets it, and without it every command waits 40 ms for a delayed acknowledgement
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, socket.gaierror):
        return "the name does not resolve"
    if str(error) == "No existing session":  # paramiko's word for a peer that fell silent before the login
        return "the connection was taken, but nothing answered on it"
    return str(error).removeprefix("[Errno None] ") or type(error).__name__


def _reach_remedy(error: Exception, settings: ConnectionSettings) -> str:
    if isinstance(error, socket.gaierror):
        return f"check connection.host ({settings.host}) in the params file, or its alias in ~/.ssh/config"
    if settings.ssh_config and "sandbox" in settings.ssh_config:
        return "is the practice server up? ./runbook sandbox status; ./runbook sandbox up"
    return f"check the server's console at its provider, the firewall and the network: ssh -v {settings.host}"


def peer(connection: fabric.Connection, settings: ConnectionSettings, seconds: float) -> Peer:
    """Given an open connection, return who answered."""
    transport = connection.transport
    key = transport.get_remote_server_key()
    tried = connection.connect_kwargs.get("key_filename")
    return Peer(
        host=str(connection.host),
        port=int(connection.port),
        user=str(connection.user),
        key_type=key.get_name(),
        fingerprint=key.fingerprint,
        server_version=transport.remote_version,
        authenticated_by="public key" if tried or settings.identity_file else "agent or default key",
        connect_seconds=seconds,
    )
