"""The Debian image that everything is built from: the published one, or one bootstrapped on this machine."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sandbox.docker import LABEL, docker, exists
from sandbox.errors import BuildError
from sandbox.progress import Progress

SUITE = "trixie"
PUBLISHED = f"debian:{SUITE}"
BASE = f"runbook-sandbox/base:{SUITE}"


def ensure(progress: Progress) -> str:
    """Return the name of the base image, making it first where it is missing."""
    if not exists("image", BASE):
        with progress.step("base image"):
            if not _from_published(progress):
                _bootstrap(progress)
    return BASE


def _from_published(progress: Progress) -> bool:
    """Label the published image as ours; False where neither this engine nor a registry has it."""
    here = exists("image", PUBLISHED)
    if not here and not docker("pull", "--quiet", PUBLISHED, check=False, timeout_s=300).ok:
        progress.say(f"no registry gives {PUBLISHED}: bootstrapping Debian here")
        return False
    docker("build", "--quiet", f"--tag={BASE}", "-", stdin=f"FROM {PUBLISHED}\nLABEL {LABEL}=base\n")
    if not here:
        docker("image", "rm", PUBLISHED, check=False)  # the layers stay, and leave with our own images
    return True


def _bootstrap(progress: Progress) -> None:
    tool = shutil.which("mmdebstrap")
    if tool is None and os.geteuid() == 0 and shutil.which("apt-get"):
        progress.say("installing mmdebstrap")
        subprocess.run(["apt-get", "update", "-qq"], check=False, capture_output=True)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap"],
            check=False,
            capture_output=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
        tool = shutil.which("mmdebstrap")
    if tool is None:
        raise BuildError(
            f"The image {PUBLISHED} cannot be pulled, and mmdebstrap, which would make one, is not installed.\n"
            "Either let the Docker engine reach an image registry, or install mmdebstrap (Debian, Ubuntu: apt-get install mmdebstrap)."
        )
    with tempfile.TemporaryDirectory(prefix="runbook-base-") as folder:
        tarball = Path(folder, "base.tar")
        # in a folder of its own that anyone may enter: without root rights the tool works in a user namespace
        made = subprocess.run(
            [tool, "--quiet", "--variant=minbase", SUITE, str(tarball)], capture_output=True, text=True, check=False
        )
        if made.returncode != 0:
            raise BuildError(
                f"mmdebstrap could not make a Debian {SUITE} base; it needs a Debian mirror. It said:\n{made.stderr.strip()[-2000:]}"
            )
        docker("import", f"--change=LABEL {LABEL}=base", str(tarball), BASE)
