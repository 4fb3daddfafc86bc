"""Certificates, and what renews them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runbook.parameters.model import Model, ServerPath, Threshold


class Certificate(Model):
    """A certificate: where it lies, the key beside it, who serves it, and how many days must be left."""

    name: str
    kind: Literal["letsencrypt", "internal", "ca"]
    path: ServerPath
    key: ServerPath | None = None
    chain: ServerPath | None = None
    names: tuple[str, ...] = ()
    served_by: Literal["https", "postgres", "tls"] | None = None
    served_at: str | None = None
    days_left: Threshold = Threshold(warning=21, critical=7)


class InternalSet(Model):
    """Certificates that a script on the server makes anew: all files of `directory` belong to it.

    `certificate` is its name among the items; `services` start anew to use it, in the order of the stack; `authority`
    says where containers read the authority's file ("api": "/certs/ca.crt").
    """

    script: ServerPath
    certificate: str
    directory: ServerPath
    services: tuple[str, ...]
    authority: dict[str, ServerPath] = {}


class CertificateSettings(Model):
    """All certificates, the timer that renews the public one, certbot's limits, and the internal sets by name."""

    items: tuple[Certificate, ...] = ()
    timer: str = "certbot.timer"
    service: str = "certbot.service"
    timer_overdue_hours: float = 26
    certbot: tuple[str, ...] = ("certbot",)
    renew_within_days: float = Field(default=30, gt=0)
    renewals_per_week: int = Field(default=5, ge=1)
    internal: dict[str, InternalSet] = {}
