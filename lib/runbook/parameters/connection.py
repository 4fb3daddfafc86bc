"""How to reach the server."""

from __future__ import annotations

from pydantic import Field

from runbook.parameters.model import Model, Port, Seconds, SecretReference


class ConnectionSettings(Model):
    """How to reach the server over SSH. `host` may be an alias of the operator's ~/.ssh/config."""

    host: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    user: str | None = None
    port: Port | None = None
    identity_file: str | None = None
    ssh_config: str | None = None
    known_hosts: str | None = None
    hostname: str | None = None
    sudo_password: SecretReference | None = None
    connect_timeout_seconds: Seconds = 10
    command_timeout_seconds: Seconds = 30
    keepalive_seconds: Seconds = 15
