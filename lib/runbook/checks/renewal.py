"""Whether the public certificate could be renewed now: the rehearsal with its failing challenge in words, and the week's count."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runbook.checks import judge_condition, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runbook.facts import Facts
    from runbook.facts.lineage import Lineage
    from runbook.facts.renewal_dry_run import DryRun, Problem
    from runbook.parameters import Parameters

DRY_RUN, COUNT = "certificates.dry-run", "certificates.renewals"
ERRORS, STATUS, FIREWALL = "08-troubleshoot/certificate-errors", "05-certificates/status", "01-access/ssh-and-sudo"
CHALLENGE = "/.well-known/acme-challenge/"
WEEK_DAYS = 7


def dry_run(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """Judge the rehearsal; where none was asked for there is nothing to judge."""
    found = facts.get("dry_run")
    if isinstance(found, Missing):
        return [unknown(DRY_RUN, "renewal", found, next_notebook=ERRORS)]
    if not found.certificate:
        return []
    lineages = facts.get("lineages")
    lineage = None if isinstance(lineages, Missing) else lineages.get(found.certificate)
    reason = explain(found, lineage)
    return [
        judge_condition(
            found.good,
            DRY_RUN,
            found.certificate,
            ok="the authority would renew it now",
            bad=f"it would not be renewed: {reason}",
            value="succeeds" if found.good else "fails",
            limit="succeeds",
            evidence=evidence_of(found),
            next=FIREWALL if "firewall" in reason else ERRORS,
        )
    ]


def evidence_of(found: DryRun) -> str:
    """Return the line that proves it: the authority's own words, else certbot's."""
    answered = f"; nginx answered {', '.join(map(str, found.statuses))}" if found.statuses else ""
    if found.problems:
        return "; ".join(f"{item.domain}: {item.kind}: {item.detail}" for item in found.problems) + answered
    return (found.error or "certbot renew --dry-run: succeeded") + answered


def explain(found: DryRun, lineage: Lineage | None) -> str:
    """Given a rehearsal, return in words why it failed; empty where it did not."""
    if found.good:
        return ""
    if found.problems:
        return "; ".join(dict.fromkeys(_problem(item, lineage) for item in found.problems))
    return _error(found, lineage)


# what the authority says of a name ("<kind> <detail>"), the first that fits; then what certbot says without its word
SAID = (
    (r"^dns |dns problem|nxdomain|resolving|no such host", "the authority does not find {name} in the DNS"),
    (r"refused", "nothing answers on port 80 of the address that the DNS gives for {name} (connection refused)"),
    (r"timeout|timed out", "port 80 of {name} does not answer in time: a firewall is before it, or the DNS gives a wrong address"),
    (r"not match", "{name} serves something else under {path} than the file that certbot put there: another server or another rule answers"),
    (r"(?:returned|:) *([45]\d\d)$", "{name} answers {0} under {path}: {where}, and nginx does not serve it from there"),
    (r"ratelimited", "the authority's limit is reached: {detail}"),
    (r"", "the authority says of {name}: {detail}"),
)  # fmt: skip
ENDED = (
    (r"Requesting \S+: (.*)", "the server cannot reach the authority {server}: {0}"),
    (r"Max retries exceeded|ConnectionError", "the server cannot reach the authority {server}: {detail}"),
    (r"rateLimited|too many certificates", "the authority's limit is reached: {detail}"),
    (r"Another instance of Certbot", "another certbot has been at work all the while"),
    (r"", "{detail}"),
)
UNSAID = re.compile(r"authorizations were not finalized|challenges have failed")
LONGEST_DETAIL = 200


def _first(rules: Sequence[tuple[str, str]], text: str, **words: str) -> str:
    """Return the words of the first rule that fits the text; `{0}` is what its pattern caught."""
    for pattern, said in rules:
        found = re.search(pattern, text, re.IGNORECASE)
        if found:
            return said.format(*found.groups(), **words)
    return ""


def _problem(item: Problem, lineage: Lineage | None) -> str:
    words = {"name": item.domain, "path": CHALLENGE, "where": _where(lineage), "detail": item.detail[:LONGEST_DETAIL]}
    return _first(SAID, f"{item.kind} {item.detail}", **words)


def _where(lineage: Lineage | None) -> str:
    folder = lineage.webroot if lineage else ""
    return f"certbot puts its file into {folder}" if folder else "certbot puts a file there"


def _error(found: DryRun, lineage: Lineage | None) -> str:
    """Explain what ended without the authority's word on a challenge: by what nginx answered to it."""
    refused = [status for status in found.statuses if status >= 400]  # noqa: PLR2004 (RFC 9110, 15.5 and 15.6)
    if refused:
        return f"nginx answered the authority {refused[-1]} under {CHALLENGE}: {_where(lineage)}, and nginx does not serve it from there"
    if not UNSAID.search(found.error):
        server = lineage.server if lineage and lineage.server else "that issued it"
        return _first(ENDED, found.error, server=server, detail=found.error[:LONGEST_DETAIL])
    if found.statuses:
        return f"the authority fetched the challenge (nginx answered {found.statuses[-1]}) and did not accept it"
    return (
        "the authority never came for the challenge: the DNS gives another address, or a firewall stops it at port 80"
    )


def renewals(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge how many certificates were issued within a week against the authority's limit, for each lineage."""
    found = facts.get("lineages")
    if isinstance(found, Missing):
        return [unknown(COUNT, "certbot", found, next_notebook=STATUS)]
    most = parameters.certificates.renewals_per_week
    rows = []
    for lineage in found.values():
        count = lineage.issued_within(facts.at, WEEK_DAYS)
        rows.append(
            judge_condition(
                count < most,
                COUNT,
                lineage.certificate,
                ok="the authority would issue another one this week",
                bad="as many were issued within a week as the authority allows: another one may be refused",
                state=State.WARNING,
                value=f"{count} in 7 days",
                limit=f"{most} in 7 days",
                evidence=f"newest: number {lineage.live}" if lineage.live else "the live links do not agree",
                next=STATUS,
            )
        )
    return rows
