"""The public address, and the user whose journey proves that it serves."""

from __future__ import annotations

from pydantic import Field

from runbook.parameters.model import Model, Seconds, SecretReference, Threshold


class WebSettings(Model):
    """The public address, and how this machine reaches it when the public name does not resolve here."""

    url: str = Field(pattern=r"^https?://[A-Za-z0-9.-]+(:\d+)?$")
    connect_to: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.:\[\]-]+:\d+$")
    ca: str | None = None
    front_page_contains: str = "<title>"
    health_path: str = "/api/v1/health"
    health_equals: dict[str, str] = {"status": "ok", "version": "v1"}
    ready_path: str | None = "/api/v1/ready"
    ready_checks: tuple[str, ...] = ()
    version_path: str | None = None
    timeout_seconds: Seconds = 10
    latency_milliseconds: Threshold = Threshold(warning=1000, critical=5000)
    from_outside: bool = True

    @property
    def name(self) -> str:
        """The host name in the URL."""
        return self.url.split("://", 1)[1].rsplit(":", 1)[0] if self.url.count(":") > 1 else self.url.split("://", 1)[1]


class SyntheticUser(Model):
    """An account of its own with which the user's way through the application is walked.

    `standing_notes` (client's name: note) and `standing_files` are what it keeps for ever: read back, they prove that
    old data can still be decrypted and old uploads are still there.
    """

    email: str
    password: SecretReference
    job_timeout_seconds: Seconds = 15
    step_timeout_seconds: Seconds = 10
    journey_timeout_seconds: Seconds = 60
    step_milliseconds: Threshold = Threshold(warning=2000, critical=8000)
    standing_notes: dict[str, str] = {}
    standing_files: int = Field(default=0, ge=0)
