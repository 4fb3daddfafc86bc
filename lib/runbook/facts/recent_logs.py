"""The last lines of the logs of some services, for a second, deeper look: a few minutes of one that runs, the end of one that does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.commands import Command
from runbook.facts import Fact
from runbook.facts.logs import parse_logs

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from runbook.commands import Result
    from runbook.facts.logs import Logs
    from runbook.parameters import Parameters

MINUTES, LINES, LAST_LINES, SECONDS = 3, 400, 40, 4


def recent_logs(down: Collection[str]) -> Fact[Logs]:
    """Given the services that do not run, return the fact that reads the last lines of all."""

    def ask(parameters: Parameters) -> dict[str, Command]:
        return {
            item.name: Command(
                ("docker", "logs", "--timestamps", "--tail", str(LAST_LINES if item.name in down else LINES),
                 *(() if item.name in down else ("--since", f"{MINUTES}m")), "--", item.container),
                timeout=SECONDS, limit=2 * 1024 * 1024,
            )
            for item in parameters.stack.services
        }  # fmt: skip

    def parse(results: Mapping[str, Result], _parameters: Parameters) -> Logs:
        return parse_logs(results, f"{MINUTES}m")

    return Fact("recent_logs", ask, parse, optional=frozenset({"*"}))
