"""Which role a service has in a stack, told by its name or its image. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.parameters import Parameters, Service

ROLES: Mapping[str, tuple[str, ...]] = {
    "database": ("postgres", "postgis", "timescale", "mariadb", "mysql", "db"),
    "cache": ("redis", "valkey", "keydb", "dragonfly"),
    "storage": ("minio", "s3", "garage", "seaweedfs", "juicefs"),
    "scanner": ("clamav", "clamd"),
    "proxy": ("nginx", "traefik", "caddy", "haproxy"),
    "worker": ("worker", "arq", "celery", "queue"),
    "frontend": ("frontend", "web", "ui"),
    "application": ("api", "backend", "app"),
}
"""Words by which a service's role is told, in its name or its image; the name counts more."""


def role_of(service: Service, database: str, image: str = "") -> str:
    """Given a service, the name of the database's service and an image, return its role; "" for one that no word tells.

    >>> from runbook.parameters import Service
    >>> role_of(Service(name="arq-worker", container="x"), "db"), role_of(Service(name="edge", container="y"), "db", "caddy:2")
    ('worker', 'proxy')
    """
    if service.name == database:
        return "database"
    for text in (service.name, image.rpartition("/")[2].partition(":")[0], service.container):
        for role, words in ROLES.items():
            if any(word in text.replace("_", "-").split("-") or word == text for word in words):
                return role
    return ""


def roles_of(parameters: Parameters, images: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the role of each service of the params file; `images` by service, where they are known, tell more."""
    known = images or {}
    return {
        item.name: role_of(item, parameters.database.service, known.get(item.name, ""))
        for item in parameters.stack.services
    }
