"""The web server's configuration: an error in it is said before the next start finds it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from captured import Captured

from runbook.checks.proxy import proxy_config as check
from runbook.facts import gather
from runbook.facts.proxy import proxy_config
from runbook.verdict import State

if TYPE_CHECKING:
    from runbook.parameters import Parameters


@pytest.mark.parametrize(
    ("case", "state", "told"),
    [
        ("healthy", State.OK, "would hold"),
        ("broken", State.CRITICAL, 'unknown directive "htttp" in /etc/nginx/nginx.conf:9'),
        ("replaced", State.WARNING, "/opt/pazpaz/nginx/nginx-ssl.conf"),
        ("stopped", State.UNKNOWN, "is not running"),
    ],
)
def test_what_nginx_says_of_its_configuration(parameters: Parameters, case: str, state: State, told: str) -> None:
    facts = gather(Captured(Path(f"proxy/proxy_config-{case}.out")), parameters, [proxy_config])
    (row,) = check(facts, parameters)
    assert row.state is state
    assert told in f"{row.reason} {row.evidence}"
