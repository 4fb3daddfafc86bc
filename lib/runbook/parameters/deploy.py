"""Releases, and what proves them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runbook.parameters.model import Model, Port, Seconds, Threshold


class Probe(Model):
    """A request that must be answered with one of the statuses `expect`; `body` is JSON, empty for none."""

    method: Literal["GET", "HEAD", "POST"] = "GET"
    path: str = Field(pattern=r"^/[^\s]*$")
    body: str = Field(default="", pattern=r"^[^\n\t]*$")
    expect: tuple[int, ...] = (200,)


class Release(Model):
    """What is deployed together: services that run one image, whose tag is a variable of the environment file.

    `try_out` is the service of which the new image is started beside the old one before the swap (null: none is).
    `port` is where it listens inside its container. The first of `probes` tells that it is up, the others that it works.
    """

    services: tuple[str, ...] = Field(min_length=1)
    variable: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    try_out: str | None = None
    port: Port = 80
    probes: tuple[Probe, ...] = ()
    restart_after: tuple[str, ...] = ()
    assets_change: bool = False


class DeploySettings(Model):
    """Releases of the backend and the frontend. `unpacked_factor`: how much larger an image's layers are when unpacked."""

    backend: Release = Release(
        services=("api", "arq-worker"),
        variable="BACKEND_VERSION",
        try_out="api",
        port=8000,
        probes=(Probe(path="/api/v1/health"), Probe(path="/api/v1/ready")),
    )
    frontend: Release = Release(
        services=("frontend",),
        variable="FRONTEND_VERSION",
        try_out="frontend",
        probes=(Probe(path="/"),),
        restart_after=("nginx",),
        assets_change=True,
    )
    healthy_seconds: Seconds = 40
    unpacked_factor: float = Field(default=3.0, ge=1)
    pull_seconds: Seconds = 900
    schema_label: str | None = None
    new_errors: Threshold = Threshold(warning=1, critical=3)
    lock_seconds: Seconds = 10
    migration_seconds: Seconds = 1800
