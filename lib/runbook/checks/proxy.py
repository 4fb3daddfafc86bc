"""The web server's configuration: that it would hold at the next start, when nobody has time to mend it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters

CONFIG = "web.proxy-config"
NEXT = "08-troubleshoot/certificate-errors"


def proxy_config(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """Judge the configuration as it is on the server now, not as nginx has it in memory."""
    found = facts.get("proxy_config")
    if isinstance(found, Missing):
        return [unknown(CONFIG, "nginx", found, next_notebook=NEXT)]
    if found.valid and found.replaced:
        return [
            Verdict(
                State.WARNING,
                CONFIG,
                "nginx",
                f"{', '.join(found.replaced)}: another file than nginx sees; the next start reads it, and nobody has tested it",
                value="untested",
                limit="valid",
                evidence="the file on the server differs from the one in the container",
                next=NEXT,
            )
        ]
    return [
        judge_condition(
            found.valid,
            CONFIG,
            "nginx",
            ok="its configuration would hold at the next start",
            bad="it would not start again: its configuration has an error",
            value="valid" if found.valid else "not valid",
            limit="valid",
            evidence=found.problem or "nginx -t: test is successful",
            next=NEXT,
        )
    ]
