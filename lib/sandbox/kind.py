"""What a practice server is when it comes up."""

from enum import StrEnum


class Kind(StrEnum):
    """In production, or bare: a second host to recover a lost one on. The value is the stage in host/Dockerfile."""

    PRODUCTION = "production"
    EQUIPPED = "equipped"
    """Bare, but with the packages that the stack and its recovery need: an empty Docker engine, certbot, restic."""
    BARE = "bare"
    """As a provider hands it over: sshd, sudo, a firewall that is not set up, and apt for all the rest."""

    @property
    def is_bare(self) -> bool:
        """Whether it has no stack."""
        return self is not Kind.PRODUCTION

    @property
    def described(self) -> str:
        """In a few words, for people."""
        return {
            Kind.PRODUCTION: "in production",
            Kind.EQUIPPED: "bare, with packages",
            Kind.BARE: "bare, without packages",
        }[self]
