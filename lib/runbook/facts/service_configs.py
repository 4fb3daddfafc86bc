"""What the environment file seems to say, what Compose resolves for each service, and what its container was made with.

All values stay on the server: the program in service_configs_probe.py compares them there and answers with names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact
from runbook.facts.compose import compose_argv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters

PROBE = Path(__file__).with_name("service_configs_probe.py")


@dataclass(frozen=True, slots=True)
class Difference:
    """A variable that does not get what the environment file seems to say. `kind` is "value" or "twice"."""

    name: str
    reason: str
    lines: tuple[int, ...]
    kind: str


@dataclass(frozen=True, slots=True)
class ServiceConfig:
    """One service of the compose file, and how its container was made.

    `made` is "as stated" (with the files as they are now), "alone" (as they are, without
    some of its dependencies: `up --no-deps`), "otherwise", or
    empty where there is no container. `made_by` is Compose's version then, where it is another one now. `settings` are
    the compose file's keys, `variables` the names, that the container has otherwise.
    """

    takes_file: bool
    depends_on: tuple[str, ...]
    differences: tuple[Difference, ...]
    made: str
    made_by: str
    other_image: bool
    settings: tuple[str, ...]
    variables: tuple[str, ...]


def service_configs_commands(parameters: Parameters) -> dict[str, Command]:
    """Run the program as the login user, whose Compose the stack is operated with."""
    stack = parameters.stack
    asked = {
        "compose": compose_argv(parameters),
        "bare": ("docker", "compose", "--project-name", stack.project, "--project-directory", stack.directory),
        "env_file": f"{stack.directory}/{stack.env_file}",
        "compose_file": f"{stack.directory}/{stack.compose_file}",
        "containers": {service.name: service.container for service in stack.services},
    }
    argv = ("python3", "-", json.dumps(asked))
    return {"probe": Command(argv, stdin=PROBE.read_text(encoding="utf-8"), timeout=40)}


def parse_service_configs(results: Mapping[str, Result], _parameters: Parameters) -> dict[str, ServiceConfig]:
    """Read its answer, by service. Raises ParseError where there is none."""
    text = results["probe"].stdout.strip()
    try:
        found = json.loads(text)
        return {
            name: ServiceConfig(
                takes_file=row["takes_file"],
                depends_on=tuple(row["depends_on"]),
                differences=tuple(
                    Difference(item["name"], item["reason"], tuple(item["lines"]), item["kind"])
                    for item in row["differences"]
                ),
                made=row.get("made", ""),
                made_by=row.get("made_by", ""),
                other_image=row.get("other_image", False),
                settings=tuple(row.get("settings", ())),
                variables=tuple(row.get("variables", ())),
            )
            for name, row in found.items()
        }
    except (ValueError, KeyError, AttributeError) as error:
        raise ParseError("the comparison of the services' settings", text[:200] or str(error)) from None


service_configs = Fact("service_configs", service_configs_commands, parse_service_configs)
