"""What the environment says: one typed object, read once, secrets masked in its repr."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings


class Settings(BaseSettings):
    """The service's environment; a missing or ill-typed variable stops the process with its name."""

    environment: str = "production"
    database_url: SecretStr
    redis_url: SecretStr
    s3_endpoint: str
    s3_access_key: str
    s3_secret_key: SecretStr
    s3_bucket: str = "pazpaz-attachments"
    s3_secure: bool = True
    clamav_host: str = "clamav"
    clamav_port: int = 3310
    secret_key: SecretStr = Field(min_length=16)
    encryption_master_key: SecretStr = Field(min_length=16)
    encryption_master_key_old: SecretStr | None = None
    db_ssl_ca: Path = Path("/certs/ca.crt")
    s3_ca_file: Path = Path("/certs/minio/ca.crt")
    log_level: str = "INFO"
    token_lifetime_s: int = 3600
    upload_limit_bytes: int = 20 * 1024 * 1024


@dataclass(frozen=True)
class Release:
    """What an image says about itself."""

    version: str
    commit: str


APP = Path("/app")
"""Where an image keeps the application, with VERSION and COMMIT written when it is built."""


@lru_cache
def load_settings() -> Settings:
    """Return the settings of this process. Raise pydantic.ValidationError naming what is missing."""
    return Settings()  # type: ignore[call-arg]  # the fields come from the environment


@lru_cache
def load_release() -> Release:
    """Return the release in this image; "0.0.0" and "unknown" outside one."""

    def line(name: str, otherwise: str) -> str:
        file = APP / name
        return file.read_text().strip() if file.exists() else otherwise

    return Release(version=line("VERSION", "0.0.0"), commit=line("COMMIT", "unknown"))
