"""What the compose file says against what runs: images by their registry digests, and what Compose would do now."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact
from runbook.facts.services import json_object, lines_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Image:
    """An image on the server. `digest` is the registry's, empty for one that was only built here."""

    reference: str
    id: str
    digest: str
    size: str


def images_commands(_parameters: Parameters) -> dict[str, Command]:
    """List all images with their registry digests."""
    return {"list": Command(("docker", "images", "--no-trunc", "--digests", "--format", "{{json .}}"))}


def parse_images(results: Mapping[str, Result], _parameters: Parameters) -> tuple[Image, ...]:
    """Read the list; untagged images keep `<none>` as their tag."""
    return tuple(
        Image(
            reference=f"{item['Repository']}:{item['Tag']}",
            id=item["ID"],
            digest="" if item["Digest"] == "<none>" else item["Digest"],
            size=item["Size"],
        )
        for item in (json_object(line, "docker images") for line in lines_of(results["list"].stdout))
    )


images = Fact("images", images_commands, parse_images)


@dataclass(frozen=True, slots=True)
class ComposeFile:
    """The compose file as Compose reads it: what it would do with each container if it were asked to bring all up.

    `would` holds "Running", "Recreate", "Create", ... by container; `unset` is whether Compose puts nothing in the place
    of a variable that has no value. Not which: it may be no variable, but what follows a "$" in a password.
    """

    valid: bool
    error: str
    would: dict[str, str]
    unset: bool


def compose_argv(parameters: Parameters, *words: str, options: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return a `docker compose` command line on the target's own files."""
    stack = parameters.stack
    return (
        *("docker", "compose", "--project-name", stack.project, "--project-directory", stack.directory),
        *("--file", f"{stack.directory}/{stack.compose_file}", "--env-file", f"{stack.directory}/{stack.env_file}"),
        *options,
        *words,
    )


def compose_commands(parameters: Parameters) -> dict[str, Command]:
    """Let Compose say what it would do. `config --hash` does not resolve env_file, so only a dry run tells the truth."""
    asked = compose_argv(
        parameters, "create", "--no-build", "--pull", "never", options=("--progress", "plain", "--dry-run")
    )
    return {"dry-run": Command(asked, timeout=30)}


def parse_compose(results: Mapping[str, Result], _parameters: Parameters) -> ComposeFile:
    """Read the dry run's progress lines; a file that Compose refuses is an answer too (its message is kept)."""
    result = results["dry-run"]
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    unset = UNSET in result.stderr
    if not result.ok:
        if (
            not lines
            or "unknown flag" in result.stderr
            or "is not a docker command" in result.stderr
            or "daemon" in lines[-1]
        ):
            raise ParseError("docker compose", lines[0] if lines else "")
        return ComposeFile(False, lines[-1][:300], {}, unset)
    would: dict[str, str] = {}
    for name, doing in DRY_RUN.findall(result.stderr + result.stdout):
        would.setdefault(name, doing)
    if not would:
        raise ParseError("the dry run of docker compose", (lines or [""])[-1])
    return ComposeFile(True, "", would, unset)


DRY_RUN = re.compile(r"Container (\S+)\s+(\w+)")


UNSET = "variable is not set"


compose = Fact("compose", compose_commands, parse_compose, optional=frozenset({"dry-run"}))
