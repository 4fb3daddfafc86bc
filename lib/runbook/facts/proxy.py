"""Whether the web server's configuration would hold at its next start: `nginx -t` in its container."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Parameters

REASON = re.compile(r"\[(?:emerg|alert|crit)\] (?:\d+#\d+: )?(.*)")
# A file that was replaced (not written in place) is seen by a container that mounts it alone only after the next start:
# the test would then be of the old one. $1 is the container; printed are the server's files that differ from those within.
REPLACED = """docker inspect --format '{{range .Mounts}}{{if eq .Type "bind"}}{{.Source}}|{{.Destination}}
{{end}}{{end}}' -- "$1" | while IFS='|' read -r source place; do
  if [ -f "$source" ]; then docker exec "$1" cat "$place" </dev/null | cmp -s - "$source" || echo "$source"; fi
done"""


@dataclass(frozen=True, slots=True)
class ProxyConfig:
    """What nginx says of its configuration; `replaced` are files of which a start would read another version."""

    valid: bool
    problem: str
    replaced: tuple[str, ...]


def container(parameters: Parameters) -> str:
    """Return the web server's container; empty where the stack has none of this name."""
    return next((item.container for item in parameters.stack.services if item.name == "nginx"), "")


def test_command(parameters: Parameters) -> Command:
    """Return the command that tests the configuration. Docker's own failures end with 1 as well: the text tells them apart."""
    return Command(
        ("docker", "exec", container(parameters), "nginx", "-t"),
        expect={0: "valid", 1: "not valid"},
        why="the web server's configuration would hold at a start",
    )


def proxy_config_commands(parameters: Parameters) -> dict[str, Command]:
    """Test the configuration, and compare the files on the server with those that the container sees."""
    name = container(parameters)
    if not name:
        return {}
    return {"test": test_command(parameters), "replaced": Command(("sh", "-c", REPLACED, "sh", name), sudo=True)}


def parse_proxy_config(results: Mapping[str, Result], _parameters: Parameters) -> ProxyConfig:
    """Read what nginx wrote to stderr. Raises ParseError where it was not nginx that answered."""
    if "test" not in results:
        raise ParseError("the services of the params file", "there is none named nginx")
    told = [line for line in results["test"].stderr.splitlines() if line.strip()]
    own = [line for line in told if line.startswith("nginx:")]
    if not own:
        raise ParseError("nginx -t", told[-1] if told else "(nothing)")
    # "2026/11/24 11:35:58 [emerg] 470#470: unknown directive ...": time and process say nothing of the error
    reasons = [found[1] for line in told if (found := REASON.search(line))]
    problem = reasons[0] if reasons else own[-1].removeprefix("nginx: ")
    valid = results["test"].exit_code == 0
    replaced = tuple(sorted(results["replaced"].stdout.split("\n")[:-1]))
    return ProxyConfig(valid, "" if valid else problem, replaced)


proxy_config = Fact("proxy_config", proxy_config_commands, parse_proxy_config)
