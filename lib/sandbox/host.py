"""The container that is the practice server: how it is created on the outer engine."""

from collections.abc import Mapping
from pathlib import Path

from sandbox import engine
from sandbox import ports as ports_
from sandbox.docker import LABEL, docker

SEED = "/srv/practice/seed"
GOLDEN = "/srv/practice/golden.tar"
"""Where a golden image keeps the inner engine's data; practice-init unpacks it into the empty volume."""
DISK = "/srv/practice/disk"
IDENTITY = "/etc/practice/identity"

# As powerful as --privileged, and to be treated as root on this machine. --privileged itself is refused where the
# engine runs with fewer capabilities than there are, as inside some virtual machines; practice-init does the rest of
# what it does. Cgroup v1 and v2 are both provided for; v2 has not been tried.
_RIGHTS = (
    "--cap-add=ALL",
    "--security-opt=seccomp=unconfined",
    "--security-opt=apparmor=unconfined",
    "--security-opt=systempaths=unconfined",
    "--device-cgroup-rule=a *:* rwm",
    "--cgroupns=private",
)
FIRST_WITH_AVAILABLE = 23
"""First major version of the engine that checks which capabilities are available."""
_SYSTEMD = (
    "--tmpfs=/run",
    "--tmpfs=/run/lock",
    "--tmpfs=/tmp:exec",
    "--env=container=docker",
    "--env=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1",
    "--stop-timeout=30",
)


def create(
    container: str,
    image: str,
    *,
    hostname: str,
    docker_volume: str,
    seed: str | None = None,
    ports: Mapping[str, int] | None = None,
    disk: tuple[str, str] | None = None,
    bare: bool = False,
    label: str = "part",
) -> None:
    """Create, but do not start, a practice server.

    Args:
        container: its name.
        image: the server's image, provisioned or not.
        hostname: what it calls itself.
        docker_volume: volume for the inner engine's data.
        seed: volume with the image layers that all servers share.
        ports: published on the loopback address, by purpose.
        disk: volume and size (as truncate takes it) of a disk of limited size for the inner engine's data.
        bare: without any image in its engine; the seed only fills the registry then.
        label: what it is part of; `sandbox` for one that a person asked for.
    """
    mounts = [f"--volume={docker_volume}:/var/lib/docker"]
    mounts += [f"--volume={seed}:{SEED}:ro"] if seed else []
    if disk:
        mounts += [f"--volume={disk[0]}:{DISK}", f"--env=PRACTICE_DISK={disk[1]}"]
    volumes = [docker_volume, *([disk[0]] if disk else [])]
    for volume in volumes:
        docker("volume", "create", f"--label={LABEL}={label}", volume)
    docker(
        "create",
        "--pull=never",
        f"--name={container}",
        f"--hostname={hostname}",
        f"--label={LABEL}={label}",
        "--add-host=pazpaz.test:127.0.0.1",
        *_RIGHTS,
        *capabilities_dropped(engine.version()),
        *_SYSTEMD,
        *mounts,
        *(["--env=PRACTICE_BARE=1"] if bare else []),
        *(ports_.publish_options(dict(ports)) if ports else []),
        image,
    )


def capabilities_dropped(engine_version: str) -> list[str]:
    """Given the outer engine's version, return options that keep ALL to what it can give.

    Engines before 23 take ALL for every capability that they know, and fail at one that they lack themselves; the one
    seen lacking is dropped. Later ones take it for those that they have, and refuse to drop one that they lack.
    """
    major = engine_version.partition(".")[0]
    return ["--cap-drop=SYS_RESOURCE"] if major.isdigit() and int(major) < FIRST_WITH_AVAILABLE else []


def lay_in_identity(container: str, folder: Path) -> None:
    """Copy a server's own keys and sudo password into its created container; practice-init takes them up."""
    docker("cp", f"{folder}/.", f"{container}:{IDENTITY}")
