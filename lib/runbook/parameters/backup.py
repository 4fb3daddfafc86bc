"""Backups, by class."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runbook.parameters.model import Model, Seconds, SecretReference, ServerPath, Threshold


class BackupClass(Model):
    """One class of things to back up: where its copies lie and how old the newest may be."""

    name: str
    kind: Literal["database", "configuration", "certificates", "uploads"]
    sources: tuple[str, ...] = ()
    directory: ServerPath | None = None
    pattern: str = "*"
    off_host: str | None = None
    max_age_hours: float = 26
    retention_days: int = 30
    min_size_bytes: int = 1
    timer: str | None = None
    shrink_percent: Threshold = Threshold(warning=50, critical=90)
    importance: Literal["critical", "important"] = "critical"


class ObjectSettings(Model):
    """The object store: its service, and the service in whose container a client of it reads the objects."""

    service: str = "minio"
    reader: str = "api"


class BackupSettings(Model):
    """The classes of backups, and the encrypted repository that holds them all. `verified_days`: how old a proof by reading may be.

    Attributes:
        repository: folder of the restic repository on the server.
        repository_password: the password that opens it; whoever loses it has lost every copy.
        off_host: where its files are copied to: a folder of the operator's machine, or a URL that fsspec knows.
        off_host_options: for a URL: endpoint_url, key, secret and the like, secrets by reference.
        check_subset: how much of the repository is read after each backup: "100%", "10%", "1G".
        keep_verified: so many of the newest verified copies stay, whatever their age.
        quiesce: freeze the object store for the seconds in which its volume is copied.
        objects: which service is the object store, and through which one its objects are read.
    """

    classes: tuple[BackupClass, ...] = ()
    directory: ServerPath = "/opt/pazpaz/backups"
    verified_days: float = 7
    free_space_factor: float = 2.0
    verify_timeout_seconds: Seconds = 600
    read_through: int = Field(default=3, ge=1, le=30)
    repository: ServerPath = "/opt/pazpaz/backups/restic"
    repository_password: SecretReference | None = None
    off_host: str | None = Field(default=None, min_length=1)
    off_host_options: dict[str, str] = {}
    check_subset: str = Field(default="100%", pattern=r"^([1-9][0-9]?|100)%$|^[1-9][0-9]*[KMGT]?$")
    keep_verified: int = Field(default=3, ge=1, le=1000)
    quiesce: bool = True
    objects: ObjectSettings = ObjectSettings()
