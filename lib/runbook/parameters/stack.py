"""The Compose stack, and the paths on the server that matter."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runbook.parameters.model import Model, ServerPath


class Service(Model):
    """A container that is expected: its name in the compose file, and what its loss means."""

    name: str
    container: str
    image: str | None = None
    critical: bool = True
    well_tuned_health_check: str | None = None


class StackSettings(Model):
    """Where the Compose stack lives on the server."""

    directory: ServerPath = "/opt/pazpaz"
    compose_file: str = "docker-compose.prod.yml"
    env_file: str = ".env.production"
    project: str = "pazpaz"
    services: tuple[Service, ...]
    start_order: tuple[str, ...] = ()

    def container(self, service: str) -> str:
        """Given a service's name, return its container's. Raise KeyError for one that is not in the params file."""
        return {item.name: item.container for item in self.services}[service]


class PathExpectation(Model):
    """A path on the server with what it must be."""

    path: ServerPath
    kind: Literal["file", "directory"] = "file"
    mode: str | None = Field(default=None, pattern=r"^[0-7]{3,4}$")
    owner: str | None = None
    required: bool = True
    why: str = ""
