"""Who may get in, and what may be open."""

from __future__ import annotations

from runbook.parameters.model import Model, Port


class FirewallSettings(Model):
    """What ufw must say and what may be open to the world."""

    allowed_tcp_ports: tuple[Port, ...] = (22, 80, 443)
    outside_probe_ports: tuple[Port, ...] = (22, 80, 443, 5432, 6379, 9000, 3310, 8000, 2375)
    outside_connect: dict[int, str] = {}
    enabled: bool = True
    expected_listeners: tuple[Port, ...] = ()


class AccessSettings(Model):
    """Who may come in. What is not set here is shown but not judged."""

    password_login: bool = False
    root_login: bool = False
    authorized_keys: int | None = None
    login_accounts: tuple[str, ...] | None = None
    sudo_accounts: tuple[str, ...] | None = None
    cron_files: tuple[str, ...] | None = None
