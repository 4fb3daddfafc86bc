"""What stands in the way of a renewal, told from certbot's files as the practice server had them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from captured import Captured

from runbook.checks.renewal_configs import CERTBOT, CONFIG, HOOKS, LINKS, certbot_verdict, renewal_configs
from runbook.execution import bundles
from runbook.facts import gather
from runbook.facts import renewal_configs as facts_of
from runbook.verdict import State

if TYPE_CHECKING:
    from runbook.parameters import Parameters
    from runbook.verdict import Verdict

DAY = 86_400.0
NOW = 1795737600.0  # 2026-11-27 00:00 UTC; the certificate of the captures ends 2027-02-25
LIVE = "/etc/letsencrypt/live/pazpaz.test"
STATED = {
    "plain-file": (LINKS, f"{LIVE}/cert.pem is no link: certbot calls such a configuration invalid"),
    "older": (LINKS, "the live links point at number 1, and the archive holds a newer one, number 2"),
    "split": (LINKS, "cert and chain and fullchain at number 1, privkey at number 2"),
    "dangling": (LINKS, f"{LIVE}/chain.pem points at nothing (../../archive/pazpaz.test/chain1.pem)"),
    "unparseable": (CONFIG, "does not parse: Invalid line ('[renewalparams')"),
    "authenticator": (CONFIG, "certbot has no authenticator dns-cloudflare (it has manual, null, standalone, webroot)"),
    "webroot": (CONFIG, "its webroot /var/www/gone is no folder on the server"),
    "elsewhere": (CONFIG, "its webroot /var/www/elsewhere is not mounted into the web server's container"),
    "unserved": (CONFIG, "its webroot /var/www/certbot/new is not served: nginx has no root or alias"),
    "account": (CONFIG, "the key of its account 01234567 at https://localhost:14443/acme/local/directory is not there"),
    "hook": (CONFIG, "its renew_hook /usr/local/bin/reload-nginx does not exist"),
    "hook-word": (CONFIG, "its post_hook reload-it does not exist"),
    "autorenew": (CONFIG, "its renewal is turned off (autorenew = False)"),
    "gone": (CONFIG, "certbot has no renewal configuration pazpaz.test.conf"),
    "idle-hook": (HOOKS, "1 hook would be passed over: not executable"),
}
UNUSABLE = {"split", "dangling"}  # nginx could not start with these


def judged(parameters: Parameters, case: str, now: float = NOW) -> list[Verdict]:
    gate = Captured(Path(f"renewal_configs/renewal_configs-{case}.out"))
    return renewal_configs(gather(gate, parameters, [facts_of.renewal_configs], clock=lambda: now), parameters)


def test_a_renewal_that_can_work_is_ok(parameters: Parameters) -> None:
    assert [(row.check, row.subject, row.state) for row in judged(parameters, "healthy")] == [
        (CONFIG, "public", State.OK),
        (LINKS, "public", State.OK),
    ]


@pytest.mark.parametrize("case", sorted(STATED))
def test_what_stands_in_the_way_is_told(parameters: Parameters, case: str) -> None:
    check, reason = STATED[case]
    (row,) = [
        row for row in judged(parameters, case) if row.subject in {"public", "certbot"} and row.state is not State.OK
    ]
    assert row.check == check
    assert reason in row.reason
    assert row.state is (State.CRITICAL if case in UNUSABLE else State.WARNING)
    assert row.evidence


@pytest.mark.parametrize("case", ["webroot", "plain-file", "gone"])
def test_it_is_critical_once_the_renewal_is_due(parameters: Parameters, case: str) -> None:
    (row,) = [row for row in judged(parameters, case, NOW + 61 * DAY) if row.state is not State.OK]
    assert row.state is State.CRITICAL


def test_a_lineage_that_only_the_server_knows_is_told_where_it_would_fail(parameters: Parameters) -> None:
    (row,) = [row for row in judged(parameters, "idle-hook") if row.subject == "old.test"]
    assert (row.check, row.state) == (LINKS, State.WARNING)
    assert "/etc/letsencrypt/live/old.test/cert.pem is missing" in row.reason


@pytest.mark.parametrize(
    ("case", "state", "reason"),
    [
        ("healthy", State.OK, "certbot reads all"),
        ("invalid", State.WARNING, "certbot calls these renewal configurations invalid: pazpaz.test"),
        ("busy", State.UNKNOWN, "certbot does not say: Another instance of Certbot is already running."),
    ],
)
def test_certbot_is_heard(parameters: Parameters, case: str, state: State, reason: str) -> None:
    gate = Captured(Path(f"renewal_configs/certbot_verdict-{case}.out"))
    (row,) = certbot_verdict(gather(gate, parameters, [facts_of.certbot_verdict]), parameters)
    assert (row.check, row.state) == (CERTBOT, state)
    assert row.reason.startswith(reason)
    assert case != "invalid" or f"expected {LIVE}/cert.pem to be a symlink" in row.evidence


def test_the_quick_check_reads_the_files_and_does_not_start_certbot() -> None:
    quick = bundles.BUNDLES["04-health/quick"]
    assert "renewal_configs.renewal_configs" in quick.checks
    assert "renewal_configs.certbot_verdict" not in quick.facts
