"""A new host in place of a lost one."""

from __future__ import annotations

from runbook.parameters.model import Model, Threshold


class RecoverySettings(Model):
    """What a new host needs: names of packages as Debian and Ubuntu have them, and how old the data may be in a disaster."""

    packages: tuple[str, ...] = (
        "docker.io",
        "docker-cli",
        "docker-compose",
        "restic",
        "certbot",
        "ufw",
        "curl",
        "jq",
        "openssl",
    )
    point_hours: Threshold = Threshold(warning=24, critical=48)
    time_minutes: Threshold = Threshold(warning=60, critical=240)
