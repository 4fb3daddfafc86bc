"""What lies outside a server and is not lost with it: the ACME authority with its accounts, and what the operator knows.

On a practice server it lies on the server itself. A bare one gets it from the golden state, so that a certificate, an
account at the authority and a password that were valid for a lost server are valid for the one it is recovered on.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from sandbox import state
from sandbox.docker import LABEL, docker, remove
from sandbox.state import Sandbox

AUTHORITY = "/var/lib/practice-acme"
"""Keys and accounts of the practice authority."""
ROOT_CERTIFICATE = "/usr/local/share/ca-certificates/practice-acme.crt"
SYNTHETIC_PASSWORD = "/etc/practice/synthetic_password"


def lay_in(sandbox: Sandbox, golden_image: str) -> None:
    """Copy the authority into a created, bare server, and what the operator knows into the sandbox's state folder."""
    source = sandbox.container.replace("runbook-sandbox", "runbook-outside", 1)
    with _copied(source, golden_image, (AUTHORITY, ROOT_CERTIFICATE, SYNTHETIC_PASSWORD)) as copies:
        for path in (AUTHORITY, ROOT_CERTIFICATE):
            docker("cp", str(copies[path]), f"{sandbox.container}:{PurePosixPath(path).parent}")
        state.write_private(sandbox.folder / "ca.crt", copies[ROOT_CERTIFICATE].read_text())
        state.write_private(sandbox.folder / "synthetic_password", copies[SYNTHETIC_PASSWORD].read_text())


@contextmanager
def _copied(container: str, image: str, paths: tuple[str, ...]) -> Iterator[dict[str, Path]]:
    """Yield private copies of files and folders of an image, by their paths in it; the container is never started."""
    with tempfile.TemporaryDirectory(prefix="runbook-outside-") as folder:
        remove("container", [container])
        docker("create", "--pull=never", f"--name={container}", f"--label={LABEL}=outside", image)
        try:
            for path in paths:
                docker("cp", f"{container}:{path}", folder)
            yield {path: Path(folder, PurePosixPath(path).name) for path in paths}
        finally:
            remove("container", [container])
