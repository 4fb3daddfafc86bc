"""The provisioned state that every sandbox is a copy of: a seed volume of image layers, and an image.

The seed holds the layers of the service images and the registry's blobs once for all sandboxes. The golden image holds
one server in production: database, certificates, secrets. Both are named by hashes of what made them.
"""

import datetime as dt
import subprocess
import time
from dataclasses import dataclass
from typing import Self

from sandbox import base, host, images
from sandbox.context import fingerprint
from sandbox.docker import LABEL, docker, exists, inspect, names, remove
from sandbox.errors import BuildError, EngineError
from sandbox.kind import Kind
from sandbox.progress import Progress

ROWS = 100_000
"""Rows of the big table in the golden state."""
SEED_LABEL = f"{LABEL}.layers"
"""Label of a golden image that names the seed it goes with."""
HOST_LABEL = f"{LABEL}.host"
"""Label of a golden image with the hash that the images of bare servers share with it."""
_FORM = "2"
"""To be raised when the way of keeping the state changes: the hashes of what is kept do not see it."""
_STEP = "step: "
"""How practice-provision marks the lines that a waiting person wants to see."""
LIFETIME = dt.timedelta(days=21)
"""After this a golden state is made anew: its certificates live 90 days and its backup should not look forgotten."""


@dataclass(frozen=True, slots=True)
class Golden:
    """Names of the parts of one golden state on the outer engine."""

    hash: str
    seed_hash: str
    host_hash: str

    @classmethod
    def of(cls, tree: images.Tree) -> Self:
        seed = fingerprint("seed", tree.engine_hash, tree.service_hash)
        return cls(fingerprint("golden", _FORM, str(ROWS), tree.host_tag, seed), seed, tree.host_hash)

    @property
    def image(self) -> str:
        return f"{images.PREFIX}/golden:{self.hash}"

    @property
    def seed_volume(self) -> str:
        return f"{images.PREFIX}-seed-{self.seed_hash}"

    @property
    def exists(self) -> bool:
        """Whether both parts are there; the image is made last, so that an interrupted build is not taken for whole."""
        return exists("image", self.image) and exists("volume", self.seed_volume)

    def image_of(self, kind: Kind) -> str:
        """Return the name of the image that a server of that kind is made from."""
        return images.host_tag(kind, self.host_hash) if kind.is_bare else self.image

    def has(self, kind: Kind) -> bool:
        """Whether a server of that kind can be made now; states of older trees do not know of bare ones."""
        if kind.is_bare and not self.host_hash:
            return False
        return self.exists and exists("image", self.image_of(kind))

    @property
    def is_stale(self) -> bool:
        """Whether its certificates and backup have become old."""
        found = inspect("image", self.image)
        if found is None:
            return True
        made = dt.datetime.fromisoformat(found["Created"][:19]).replace(tzinfo=dt.UTC)
        return dt.datetime.now(dt.UTC) - made > LIFETIME


def make(golden: Golden, tree: images.Tree, progress: Progress) -> None:
    """Make a golden state from a tree: images and seed where they are missing, then provisioning.

    Only one build runs at a time, so parts of another are left-overs of one that was interrupted, and are removed.
    """
    remove("container", names("container", f"{LABEL}=part"))
    remove("volume", names("volume", f"{LABEL}=part"))
    images.ensure_host(tree, progress)
    if not _is_whole(golden.seed_volume):
        images.ensure_services(tree, progress)
        with progress.step("image layers and registry of the practice server"):
            _make_seed(golden, tree)
    with progress.step("provisioning the practice server"):
        _provision(golden, tree.host_tag, progress)


def of_this_tree() -> Golden:
    """Return the names that the golden state of the tree as it is now has, made or not."""
    return Golden.of(images.Tree.read())


def _is_whole(volume: str) -> bool:
    """Whether a volume was filled to its end: only then is its twin, an empty marker volume, created."""
    return exists("volume", volume) and exists("volume", f"{volume}-whole")


def _mark_whole(volume: str) -> None:
    docker("volume", "create", f"--label={LABEL}=marker", f"{volume}-whole")


def _clear(container: str, *volumes: str) -> None:
    remove("container", [container])
    remove("volume", list(volumes))


def _start(container: str) -> None:
    docker("start", container)
    deadline = time.monotonic() + 90
    while not docker("exec", container, "docker", "info", check=False, timeout_s=30).ok:
        if time.monotonic() > deadline or not _runs(container):
            said = docker("logs", "--tail=20", container, check=False)
            raise BuildError(f"The inner Docker engine of {container} did not start.\n{said.stdout}{said.stderr}")
        time.sleep(0.2)


def _runs(container: str) -> bool:
    found = inspect("container", container)
    return bool(found and found["State"]["Running"])


def _make_seed(golden: Golden, tree: images.Tree) -> None:
    """Load the images into a server's engine, push them to its registry, keep the layers of both."""
    container = f"{images.PREFIX}-seeder-{golden.seed_hash}"
    data = f"{container}-docker"
    _clear(container, data, golden.seed_volume, f"{golden.seed_volume}-whole")
    host.create(container, tree.host_tag, hostname="seeder", docker_volume=data)
    _start(container)
    tags = {tree.service_tag(image): image for image in images.SERVICE_IMAGES}
    save = subprocess.Popen(["docker", "save", *tags], stdout=subprocess.PIPE)
    with save:
        docker("exec", "-i", container, "docker", "load", "--quiet", stdin=save.stdout)
    if save.returncode != 0:
        raise EngineError(f"`docker save` failed with exit code {save.returncode}.")
    for tag, image in tags.items():
        docker("exec", container, "docker", "tag", tag, image.inside)
        docker("exec", container, "docker", "rmi", tag)
    # several at once: compressing takes most of the time, and each push compresses on one core
    pushed = "\n".join(image.inside for image in tags.values())
    docker("exec", "-i", container, "xargs", "-P", "3", "-n", "1", "docker", "push", "--quiet", stdin=pushed)
    for image in tags.values():
        if not image.deployed:
            docker("exec", container, "docker", "rmi", image.inside)
    # the registry lies in the container's own layer: bring it to the data volume, so that one copy takes all
    docker(
        "exec",
        container,
        "sh",
        "-ec",
        "systemctl stop docker-registry && cp -a /var/lib/docker-registry/docker/registry/v2 /var/lib/docker/registry",
    )
    docker("stop", container)
    docker("volume", "create", f"--label={LABEL}=seed", golden.seed_volume)
    mounts = (f"--volume={data}:/from:ro", f"--volume={golden.seed_volume}:/to")
    copy = "cp -a /from/image /from/overlay2 /from/registry /to/"
    docker("run", "--rm", "--pull=never", f"--label={LABEL}=part", *mounts, base.BASE, "sh", "-ec", copy)
    _mark_whole(golden.seed_volume)
    _clear(container, data)


def _provision(golden: Golden, host_image: str, progress: Progress) -> None:
    """Bring one server into production and keep it as an image, its engine's data in a folder of it."""
    container = f"{images.PREFIX}-provisioner-{golden.hash}"
    data = f"{container}-docker"
    _clear(container, data)
    host.create(container, host_image, hostname="pazpaz", docker_volume=data, seed=golden.seed_volume)
    _start(container)
    said: list[str] = []
    command = ["docker", "exec", container, "practice-provision", str(ROWS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as provision:
        for line in provision.stdout or ():
            said.append(line)
            if line.startswith(_STEP):
                progress.say(f"  {line.removeprefix(_STEP).strip()}")
    if provision.returncode != 0:
        raise BuildError(
            f"The practice server could not be provisioned (it is kept for a look: docker exec -it {container} bash).\n"
            f"{''.join(said)[-3000:]}"
        )
    # as an archive: white-outs and trusted attributes of image layers cannot stand as such on an overlay
    stopped = "systemctl stop docker.socket docker.service containerd.service"
    kept = f"tar --create --xattrs --xattrs-include='*' --warning=no-file-ignored --directory=/var/lib/docker --file={host.GOLDEN} ."
    # all services stop at once, and what they say of each other then would stand in the logs of every server made from this
    silent = "truncate --size=0 /var/lib/docker/containers/*/*-json.log"
    docker("exec", container, "sh", "-ec", f"{stopped} && {silent} && {kept}")
    docker("stop", container)
    labels = f"{LABEL}=golden {SEED_LABEL}={golden.seed_hash} {HOST_LABEL}={golden.host_hash}"
    docker("commit", f"--change=LABEL {labels}", container, golden.image)
    _clear(container, data)
