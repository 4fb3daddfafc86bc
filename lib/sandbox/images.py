"""The images: one for the server itself, and those that the server runs. Tagged by a hash of what goes into them."""

import subprocess
from dataclasses import dataclass

from sandbox import base, context, machine
from sandbox.docker import exists
from sandbox.errors import BuildError
from sandbox.progress import Progress

PREFIX = "runbook-sandbox"


@dataclass(frozen=True, slots=True)
class ServiceImage:
    """An image for the server's own registry: what it is called there and how it is built."""

    target: str
    """Stage in images/Dockerfile."""
    name: str
    """Repository and tag in the server's registry."""
    arguments: tuple[str, ...] = ()
    deployed: bool = True
    """Whether the server has it pulled; others are only in its registry."""

    @property
    def inside(self) -> str:
        return f"localhost:5000/{self.name}"


SERVICE_IMAGES = (
    ServiceImage("postgres", "postgres:17"),
    ServiceImage("redis", "redis:8"),
    ServiceImage("clamav", "clamav:1.4"),
    ServiceImage("minio", "minio:1.4.2"),
    ServiceImage("nginx", "nginx:1.26"),
    ServiceImage("frontend", "pazpaz-frontend:1.0.0", ("FRONTEND_VERSION=1.0.0",)),
    ServiceImage("backend", "pazpaz-backend:1.0.0", ("BACKEND_VERSION=1.0.0",)),
)
_SERVICE_INPUTS = ("images", "app/backend", "app/frontend", "app/releases")
_HOST_INPUTS = ("host", "app/scripts")


def host_tag() -> str:
    return f"{PREFIX}/host:{context.fingerprint(context.files(*_HOST_INPUTS), base.BASE)}"


def service_hash() -> str:
    """Return the hash that all service images share: they are built from one Dockerfile."""
    chosen = (f"{image.target} {image.name} {image.arguments} {image.deployed}" for image in SERVICE_IMAGES)
    return context.fingerprint(context.files(*_SERVICE_INPUTS), base.BASE, *chosen)


def service_tag(image: ServiceImage) -> str:
    """Return the name of a service image on the outer engine."""
    return f"{PREFIX}/{image.name}-{service_hash()}"


def ensure_host(progress: Progress) -> str:
    """Return the name of the server's image, building it first where this tree's is missing."""
    tag = host_tag()
    if not exists("image", tag):
        _build(progress, tag, "host/Dockerfile", _HOST_INPUTS)
    return tag


def ensure_services(progress: Progress) -> None:
    """Build those service images of this tree that are missing."""
    for image in SERVICE_IMAGES:
        if not exists("image", service_tag(image)):
            _build(progress, service_tag(image), "images/Dockerfile", _SERVICE_INPUTS, image)


def _build(
    progress: Progress, tag: str, dockerfile: str, inputs: tuple[str, ...], image: ServiceImage | None = None
) -> None:
    parent = base.ensure(progress)
    arguments = [f"--build-arg=BASE={parent}", *machine.proxy_arguments()]
    if image is not None:
        arguments += [f"--target={image.target}", *(f"--build-arg={argument}" for argument in image.arguments)]
    with progress.step(f"image {tag}"):
        done = subprocess.run(
            ["docker", "build", "--network=host", f"--tag={tag}", f"--file={dockerfile}", *arguments, "-"],
            input=context.archive(context.files(*inputs), machine.build_files()),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        said = "\n".join(done.stdout.decode(errors="replace").strip().splitlines()[-30:])
        raise BuildError(f"The image {tag} could not be built; what is done is kept, run the command again.\n{said}")
