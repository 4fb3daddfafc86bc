"""What can go wrong with the practice server.

SandboxError            every error; its text names the input, the reason and the remedy
├── EngineError         no Docker engine answers, or it refused a command
├── BuildError          an image or the provisioned state could not be made
├── BadNameError        a name that cannot be a sandbox's
├── NotUpError          the sandbox asked for does not exist or does not run
└── NotReadyError       it started, but did not become ready in time
"""


class SandboxError(Exception):
    """Something about the practice server failed; the text says what to do next."""


class EngineError(SandboxError):
    """No Docker engine answers, or it refused a command."""


class BuildError(SandboxError):
    """An image or the provisioned state could not be made."""


class BadNameError(SandboxError):
    """A name that cannot be a sandbox's."""


class NotUpError(SandboxError):
    """The sandbox asked for does not exist or does not run."""


class NotReadyError(SandboxError):
    """The sandbox started but did not become ready in time."""
