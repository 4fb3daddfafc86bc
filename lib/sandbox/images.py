"""The images: one for the server itself, and those that the server runs. Tagged by a hash of what goes into them."""

import os
import subprocess
from dataclasses import dataclass
from typing import Self

from sandbox import base, machine
from sandbox.context import Inputs, fingerprint
from sandbox.docker import exists
from sandbox.errors import BuildError
from sandbox.kind import Kind
from sandbox.progress import Progress

PREFIX = "runbook-sandbox"


@dataclass(frozen=True, slots=True)
class ServiceImage:
    """An image for the server's own registry: what it is called there and how it is built."""

    target: str
    """Stage in images/Dockerfile."""
    name: str
    """Repository and tag in the server's registry."""
    argument: str | None = None
    """Build argument that names the release."""
    deployed: bool = True
    """Whether the server has it pulled; others are only in its registry."""

    @property
    def inside(self) -> str:
        return f"localhost:5000/{self.name}"


def release(part: str, version: str, *, deployed: bool = False) -> ServiceImage:
    """Given `backend` or `frontend` and a version, return the image of that release."""
    return ServiceImage(part, f"pazpaz-{part}:{version}", f"{part.upper()}_VERSION={version}", deployed)


OBJECT_STORE = ServiceImage("minio", "minio:1.4.2")
SERVICE_IMAGES = (
    ServiceImage("postgres", "postgres:17"),
    ServiceImage("redis", "redis:8"),
    ServiceImage("clamav", "clamav:1.4"),
    OBJECT_STORE,
    ServiceImage("nginx", "nginx:1.26"),
    release("frontend", "1.0.0", deployed=True),
    release("backend", "1.0.0", deployed=True),
    release("frontend", "1.1.0"),
    release("backend", "1.1.0"),
    release("backend", "1.2.0-crash"),
    release("backend", "1.3.0-broken"),
)


@dataclass(frozen=True, slots=True)
class Tree:
    """What all images are made from, read once, and the names that follow from it."""

    host: Inputs
    services: Inputs

    @classmethod
    def read(cls) -> Self:
        return cls(
            Inputs.read("host", "app/scripts"), Inputs.read("images", "app/backend", "app/frontend", "app/releases")
        )

    @property
    def host_hash(self) -> str:
        """Hash that the images of the server itself share, whatever its kind."""
        return self.host.fingerprint(base.BASE)

    @property
    def host_tag(self) -> str:
        return host_tag(Kind.PRODUCTION, self.host_hash)

    @property
    def engine_hash(self) -> str:
        """Hash of what decides the version of the inner engine, and so the layout of its data."""
        return fingerprint(*(content.decode() for name, content, _ in self.host.files if name == "host/Dockerfile"))

    @property
    def service_hash(self) -> str:
        """Hash that all service images share: they are built from one Dockerfile."""
        return self.services.fingerprint(base.BASE, *(str(image) for image in SERVICE_IMAGES))

    def service_tag(self, image: ServiceImage) -> str:
        """Return the name of a service image on the outer engine."""
        return f"{PREFIX}/{image.name}-{self.service_hash}"


def host_tag(kind: Kind, host_hash: str) -> str:
    """Return the name, on the outer engine, of the image that servers of a kind are made from."""
    return f"{PREFIX}/host{f'-{kind}' if kind.is_bare else ''}:{host_hash}"


def ensure_host(tree: Tree, progress: Progress, kind: Kind = Kind.PRODUCTION) -> None:
    """Build the image of the server itself where it is missing."""
    tag = host_tag(kind, tree.host_hash)
    if not exists("image", tag):
        _build(tree.host, tag, "host/Dockerfile", (f"--target={kind}",), progress)


def ensure_services(tree: Tree, progress: Progress) -> None:
    """Build those service images that are missing."""
    for image in SERVICE_IMAGES:
        ensure_service(tree, image, progress)


def ensure_service(tree: Tree, image: ServiceImage, progress: Progress) -> str:
    """Build a service image where it is missing, and return its name on the outer engine."""
    tag = tree.service_tag(image)
    if not exists("image", tag):
        arguments = (f"--target={image.target}", *([f"--build-arg={image.argument}"] if image.argument else []))
        _build(tree.services, tag, "images/Dockerfile", arguments, progress)
    return tag


def _build(inputs: Inputs, tag: str, dockerfile: str, arguments: tuple[str, ...], progress: Progress) -> None:
    parent = base.ensure(progress)
    command = [
        "docker",
        "build",
        "--network=host",
        f"--tag={tag}",
        f"--file={dockerfile}",
        f"--build-arg=BASE={parent}",
    ]
    with progress.step(f"image {tag.removeprefix(f'{PREFIX}/')}"):
        done = subprocess.run(
            [*command, *machine.proxy_arguments(), *arguments, "-"],
            input=inputs.archive(machine.build_files()),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            env={**os.environ, "BUILDX_BUILDER": "default"},  # another builder does not see this engine's images
        )
        if done.returncode != 0:
            said = "\n".join(done.stdout.decode(errors="replace").strip().splitlines()[-30:])
            raise BuildError(
                f"The image {tag} could not be built; what is done is kept, run the command again.\n{said}"
            )
