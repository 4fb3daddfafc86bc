"""Secrets, and where each stands."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runbook.parameters.model import Model, Seconds, Threshold


class SecretPlaces(Model):
    """Where a secret of the stack stands in the env file, and which services read it when their container is made.

    `variables` hold it alone, `urls` hold it as their password.
    """

    variables: tuple[str, ...] = Field(min_length=1)
    urls: tuple[str, ...] = ()
    services: tuple[str, ...]


class RotationSettings(Model):
    """The four secrets that can be rotated, and how the application brings its sealed columns under a new key.

    `reencrypt_command` runs in a container made like the application's, with the new key in the secret's variable and the
    old one in `old_key_variable`; `reencrypt_check` exits 0 when every row is under the key in the secret's variable.
    """

    database_password: SecretPlaces = SecretPlaces(
        variables=("POSTGRES_PASSWORD",), urls=("DATABASE_URL",), services=("db", "api", "arq-worker")
    )
    redis_password: SecretPlaces = SecretPlaces(
        variables=("REDIS_PASSWORD",), urls=("REDIS_URL",), services=("redis", "api", "arq-worker")
    )
    jwt_secret: SecretPlaces = SecretPlaces(variables=("SECRET_KEY",), services=("api", "arq-worker"))
    encryption_key: SecretPlaces = SecretPlaces(variables=("ENCRYPTION_MASTER_KEY",), services=("api", "arq-worker"))
    database_sslmode: Literal["disable", "prefer", "require"] = "require"
    redis_service: str = "redis"
    old_key_variable: str = "ENCRYPTION_MASTER_KEY_OLD"
    reencrypt_service: str = "api"
    reencrypt_command: tuple[str, ...] = ()
    reencrypt_check: tuple[str, ...] = ()
    reencrypt_timeout_seconds: Seconds = 3600
    backup_max_age_hours: float = 26
    confirm_within_days: Threshold = Threshold(warning=7, critical=30)
    age_days: Threshold = Threshold(warning=365, critical=1095)
