"""Pinned host keys: only a key that the operator has put into known_hosts is accepted, on the way through jump hosts too."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import paramiko

from runbook.commands import quote
from runbook.errors import HostKeyError

if TYPE_CHECKING:
    import fabric

    from runbook.parameters import ConnectionSettings

SSH_PORT = 22


def _known_hosts_files(connection: fabric.Connection, settings: ConnectionSettings) -> list[Path]:
    if settings.known_hosts:
        return [Path(settings.known_hosts).expanduser()]
    named = str(connection.ssh_config.get("userknownhostsfile", "~/.ssh/known_hosts")).split()
    return [Path(name).expanduser() for name in [*named, "/etc/ssh/ssh_known_hosts"]]


def _lookup_name(connection: fabric.Connection) -> str:
    """Return the name under which OpenSSH keeps this host's key: its HostKeyAlias, `host`, or `[host]:port`."""
    alias = connection.ssh_config.get("hostkeyalias")
    if alias:
        return str(alias)
    return str(connection.host) if connection.port == SSH_PORT else f"[{connection.host}]:{connection.port}"


def pin(connection: fabric.Connection, settings: ConnectionSettings) -> None:
    """Make paramiko refuse every key but the pinned ones, on the way through jump hosts too."""

    def refuse(key: paramiko.PKey, pinned: list[paramiko.PKey]) -> HostKeyError:
        return changed(connection, settings, key, pinned) if pinned else _unknown_key(connection, settings, key)

    class Pinned(paramiko.MissingHostKeyPolicy):
        """Called by paramiko for a key that is not among the known ones."""

        def missing_host_key(self, _client: paramiko.SSHClient, _hostname: str, key: paramiko.PKey) -> None:
            raise refuse(key, list(known.values()))

    known = _known_keys(connection, settings)
    for key in known.values():
        # under the name paramiko asks for, so that it also negotiates a key type that we know
        port = connection.port
        connection.client.get_host_keys().add(
            connection.host if port == SSH_PORT else f"[{connection.host}]:{port}", key.get_name(), key
        )
    connection.client.set_missing_host_key_policy(Pinned())
    gateway = connection.gateway
    if gateway is not None and not isinstance(gateway, str):
        pin(gateway, settings.model_copy(update={"known_hosts": None}))


def _known_keys(connection: fabric.Connection, settings: ConnectionSettings) -> dict[str, paramiko.PKey]:
    found: dict[str, paramiko.PKey] = {}
    for path in _known_hosts_files(connection, settings):
        if not path.is_file():
            continue
        try:
            entries = paramiko.HostKeys(str(path))
        except (paramiko.SSHException, OSError) as error:
            raise HostKeyError(f"{path} cannot be read: {error}", remedy="mend or remove the line") from None
        for kind, key in (entries.lookup(_lookup_name(connection)) or {}).items():
            found.setdefault(kind, key)
    return found


def _fingerprint(key: paramiko.PKey) -> str:
    return f"{key.fingerprint} ({key.get_name()})"


def _pin_advice(
    connection: fabric.Connection, settings: ConnectionSettings, key: paramiko.PKey, *, changed: bool
) -> str:
    path = _known_hosts_files(connection, settings)[0]
    name = _lookup_name(connection)
    line = f"{name} {key.get_name()} {key.get_base64()}"
    remove = f"ssh-keygen -R {quote([name])} -f {quote([str(path)])} && " if changed else ""
    return (
        "compare it with the fingerprint that the server's own console shows (at the provider, not over SSH):\n"
        "      ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\n"
        "    Only when they are the same, pin it:\n"
        f"      {remove}echo {quote([line])} >> {quote([str(path)])}"
    )


def _unknown_key(connection: fabric.Connection, settings: ConnectionSettings, key: paramiko.PKey) -> HostKeyError:
    return HostKeyError(
        f"the host key of {settings.host} ({_lookup_name(connection)}) is not known\n    it shows {_fingerprint(key)}\n    nothing is pinned for it in {_known_hosts_files(connection, settings)[0]}",
        remedy=_pin_advice(connection, settings, key, changed=False),
    )


def changed(
    connection: fabric.Connection, settings: ConnectionSettings, key: paramiko.PKey, pinned: list[paramiko.PKey]
) -> HostKeyError:
    """Given the key shown and the pinned ones, return the refusal with both fingerprints and the way to pin."""
    return HostKeyError(
        f"THE HOST KEY OF {settings.host} HAS CHANGED ({_lookup_name(connection)}): somebody may be in between, or the server was set up anew\n"
        f"    it shows {_fingerprint(key)}\n    pinned is {', '.join(_fingerprint(item) for item in pinned)} in {_known_hosts_files(connection, settings)[0]}",
        remedy=_pin_advice(connection, settings, key, changed=True),
    )
