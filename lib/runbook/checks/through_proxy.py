"""What the web server passes on, against what stands behind it answers itself: where they differ, the web server is what differs."""

from __future__ import annotations

import http.client
import re
from typing import TYPE_CHECKING

from runbook.facts import Missing
from runbook.facts.roles import roles_of
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.http import Answer
    from runbook.parameters import Parameters

DOCKERS_RESOLVER = "127.0.0.11"
CONTROL = "08-troubleshoot/service-wont-start"
OK_STATUS = http.client.OK
BY_STATUS = (
    ({401, 407}, r"auth_basic|auth_request|return {status}"), ({403}, r"\bdeny\b|return {status}|satisfy"), ({413}, r"client_max_body_size|return {status}"),
    ({429, 503}, r"limit_req\b|limit_conn\b|return {status}"), ({504}, r"timeout|return {status}"), ({502}, r"proxy_pass|return {status}"),
    ({404}, r"try_files|rewrite|return {status}"), (set(range(200, 600)), r"return {status}|rewrite"),
)  # fmt: skip
"""Which directives of nginx can be the reason of a status (nginx.org, modules core, proxy, limit_req, access, auth_basic, rewrite)."""


def through_proxy(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """What is answered past the web server is answered through it, too; where it is not, the web server is what differs."""
    found, web = facts.get("backends"), facts.get("web")
    roles = roles_of(parameters)
    proxy = next((name for name, role in roles.items() if role == "proxy"), "")
    if isinstance(found, Missing) or isinstance(web, Missing) or not proxy:
        return []
    wrong: list[tuple[str, Answer]] = []
    right: list[tuple[str, Answer]] = []
    for name, part in found.parts.items():
        service, _, kind = name.partition(" ")
        if kind != "http" or part.get("status") != OK_STATUS:
            continue
        application = roles.get(service) == "application"
        answer, text = (web.health, "") if application else (web.front, parameters.web.front_page_contains)
        if not answer.status or (text and text not in part["body"]):
            continue  # nobody answers at all, or the page itself is not ours
        said = answer.text.split()
        same = answer.status == OK_STATUS and (said == part["body"].split() if application else text in answer.text)
        (right if same else wrong).append((service, answer))
    rows = [*_resolver(facts, proxy)]
    if wrong:
        services, answer = " and ".join(service for service, _ in wrong), wrong[0][1]
        line = _directive(facts, proxy, answer.status)
        told = (
            f"through it comes another answer ({answer.status}){f': {line}' if line else ', by its own configuration'}"
        )
        evidence = f"GET {answer.path} through {proxy}: {answer.status} {' '.join(answer.text.split())[:100]}"
        reason = f"asked past it, {services} answers as it should; {told}"
        rows.append(
            Verdict(State.CRITICAL, "proxy.answers", proxy, reason, str(answer.status), "200", evidence, CONTROL)
        )
    elif right:
        services = " and ".join(service for service, _ in right)
        rows.append(Verdict(State.OK, "proxy.answers", proxy, f"it passes on what {services} answers", "200", "200"))
    return rows


def _resolver(facts: Facts, proxy: str) -> list[Verdict]:
    """Tell of a name server that is not Docker's: only Docker's knows the names of containers."""
    found = facts.get("links")
    if isinstance(found, Missing):
        return []
    return [
        Verdict(
            State.WARNING, "maybe.resolver", proxy, "it asks another name server than Docker's for the names of containers", text, f"resolver {DOCKERS_RESOLVER}",
            f"{file}, line {number}: {text}", CONTROL,
        )
        for file, number, text in found.directives.get(proxy, ())
        if text.startswith("resolver ") and DOCKERS_RESOLVER not in text
    ]  # fmt: skip


def _directive(facts: Facts, proxy: str, status: int) -> str:
    """Return the line of the web server's configuration that can give a status; "" where none or several do."""
    found = facts.get("links")
    if isinstance(found, Missing):
        return ""
    words = next((pattern for codes, pattern in BY_STATUS if status in codes), "")
    rows = (
        [
            f"{file}, line {number}: {text}"
            for file, number, text in found.directives.get(proxy, ())
            if re.search(words.format(status=status), text)
        ]
        if words
        else []
    )
    return rows[0] if len(rows) == 1 else "; ".join(rows[:2])
