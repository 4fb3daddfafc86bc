"""What builds leave on the outer engine: old states that no sandbox needs, and at the very end all of it."""

from sandbox import docker as docker_
from sandbox import golden, images
from sandbox.docker import LABEL, docker, inspect
from sandbox.kind import Kind

KEPT = 3
"""So many golden states stay, the newest, besides those that sandboxes stand on: going back to one costs nothing."""


def old_states(current: golden.Golden, tree: images.Tree) -> None:
    """Remove golden states, seeds and image names that neither this tree, nor a sandbox, nor the newest need."""
    in_use = docker("container", "ls", "--all", f"--filter=label={LABEL}=sandbox", "--format={{.Image}}").stdout.split()
    made = docker("image", "ls", f"--filter=label={LABEL}=golden", "--format={{.Repository}}:{{.Tag}}").stdout.split()
    made = [tag for tag in made if not tag.endswith("<none>")]
    kept = {current.image, *in_use, *made[:KEPT]}
    _untag([tag for tag in made if tag not in kept])
    labels = (((inspect("image", tag) or {}).get("Config") or {}).get("Labels") or {} for tag in kept)
    needed = {current.seed_hash, *(found.get(golden.SEED_LABEL, "") for found in labels)}
    prefix = f"{images.PREFIX}-seed-"
    seeds = [name for name in docker_.names("volume") if name.startswith(prefix)]
    unneeded = [name for name in seeds if name.removeprefix(prefix).split("-")[0] not in needed]
    if unneeded:
        docker("volume", "rm", *unneeded, check=False)  # one that something still holds stays
    _old_names(tree)


def _old_names(tree: images.Tree) -> None:
    """Remove names of images that another state of the tree was built from; shared layers stay."""
    hosts = (images.host_tag(kind, tree.host_hash) for kind in Kind)
    current = {*hosts, *(tree.service_tag(image) for image in images.SERVICE_IMAGES)}
    listed = docker(
        "image", "ls", f"--filter=reference={images.PREFIX}/*", "--format={{.Repository}}:{{.Tag}}"
    ).stdout.split()
    built = [tag for tag in listed if not tag.startswith((f"{images.PREFIX}/golden:", f"{images.PREFIX}/base:"))]
    _untag([tag for tag in built if tag not in current])


def _untag(tags: list[str]) -> None:
    if tags:
        docker("image", "rm", *tags, check=False)  # one that something still holds stays


def everything() -> None:
    """Remove every container, volume and image that carries our label."""
    docker_.remove("container", docker_.names("container"))
    docker_.remove("volume", docker_.names("volume"))
    left = docker_.names("image")
    while left:
        docker("image", "rm", "--force", *left, check=False)  # parents cannot go before their children: in passes
        remaining = docker_.names("image")
        if len(remaining) >= len(left):
            docker_.remove("image", remaining)  # no pass helps: say why
            return
        left = remaining
