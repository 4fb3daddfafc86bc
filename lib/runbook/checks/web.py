"""The public address: page, its files, health, readiness, certificate, redirect, latencies."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

from runbook.checks import judge_condition, state_when_high, state_when_low, threshold_text, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.http import Answer
    from runbook.facts.web import Web
    from runbook.parameters import Parameters, Threshold

OUTAGE, SERVICES = "09-emergency/complete-outage", "02-services/status"
CERTIFICATES, TRIAGE, DEPLOY = "08-troubleshoot/certificate-errors", "08-troubleshoot/triage", "03-deploy/frontend"
NEXT_OF_PART = {"database": "08-troubleshoot/database-connections"}
REDIRECTS = frozenset({301, 302, 307, 308})


def web(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge everything that was seen of the public address."""
    found = facts.get("web")
    if isinstance(found, Missing):
        return [unknown("web.front-page", parameters.web.url, found, next_notebook=OUTAGE)]
    return [
        *_front(found, parameters),
        _health(found, parameters),
        *_ready(found, parameters),
        *_redirect(found, parameters),
        *certificate(facts, parameters),
        *_latency(found, parameters.web.latency_milliseconds),
    ]


def _front(found: Web, parameters: Parameters) -> list[Verdict]:
    text = parameters.web.front_page_contains
    if found.front.status != http.client.OK:
        reason = _why(found.front, "the front page")
    elif text not in found.front.text:
        reason = f"what is served is not our front page: {text!r} is not in it"
    else:
        reason = ""
    front = judge_condition(
        not reason,
        "web.front-page",
        "front page",
        ok="served, and it is ours",
        bad=reason,
        value=_value(found.front),
        limit="200",
        evidence=_evidence(found.front),
        next=OUTAGE if found.front.error else SERVICES,
    )
    if reason:
        return [front]
    broken = [asset for asset in found.assets if not _is_asset(asset)]
    assets = judge_condition(
        not broken,
        "web.assets",
        "front page's files",
        ok=f"{len(found.assets)} scripts and style sheets served",
        bad=f"the page stays empty or bare: {broken[0].path} is not served" if broken else "",
        state=State.CRITICAL,
        value=f"{len(found.assets) - len(broken)} of {len(found.assets)}",
        limit="all",
        evidence=_evidence(broken[0]) if broken else "",
        next=DEPLOY,
    )
    return [front, assets]


def _is_asset(answer: Answer) -> bool:
    # a server that answers every unknown path with its front page hides a missing script behind a 200
    return answer.status == http.client.OK and answer.size_bytes > 0 and "text/html" not in answer.content_type


def _health(found: Web, parameters: Parameters) -> Verdict:
    expected = parameters.web.health_equals
    body = found.health.json
    same = isinstance(body, dict) and all(str(body.get(key)) == value for key, value in expected.items())
    good = found.health.status == http.client.OK and same
    reason = (
        "its answer is not the expected one" if found.health.status == http.client.OK else _why(found.health, "the API")
    )
    return judge_condition(
        good,
        "web.health",
        "API",
        ok="alive (this says nothing of what is behind it)",
        bad=reason,
        value=_value(found.health),
        limit="200",
        evidence=_evidence(found.health),
        next=SERVICES,
    )


def _ready(found: Web, parameters: Parameters) -> list[Verdict]:
    if found.ready is None:
        return []
    checks = found.ready_checks
    if not checks:
        return [
            Verdict(
                State.CRITICAL,
                "web.ready",
                "API",
                _why(found.ready, "readiness")
                if found.ready.status != http.client.OK
                else "its readiness answer names no parts",
                value=_value(found.ready),
                limit="200",
                evidence=_evidence(found.ready),
                next=SERVICES,
            )
        ]
    verdicts = [
        judge_condition(
            said == "ok",
            "web.ready",
            part,
            ok="the API reaches it",
            bad=f"the API says: {said}",
            value=said,
            limit="ok",
            evidence=_evidence(found.ready),
            next=NEXT_OF_PART.get(part, SERVICES),
        )
        for part, said in checks.items()
    ]
    absent = set(parameters.web.ready_checks) - checks.keys()
    verdicts += [
        Verdict(
            State.UNKNOWN,
            "web.ready",
            part,
            "the API no longer says whether it reaches it",
            value="absent",
            limit="ok",
            next=SERVICES,
        )
        for part in sorted(absent)
    ]
    all_ok = all(said == "ok" for said in checks.values())
    if all_ok and found.ready.status != http.client.OK:
        verdicts.append(
            Verdict(
                State.CRITICAL,
                "web.ready",
                "API",
                f"all parts are ok, yet readiness answers {found.ready.status}",
                value=_value(found.ready),
                limit="200",
                evidence=_evidence(found.ready),
                next=SERVICES,
            )
        )
    return verdicts


def _redirect(found: Web, parameters: Parameters) -> list[Verdict]:
    answer = found.redirect
    if answer is None:
        return []
    good = answer.status in REDIRECTS and answer.location.startswith(f"https://{parameters.web.name}")
    reason = _why(answer, "port 80") if answer.status == 0 else "plain HTTP does not lead to the HTTPS address"
    return [
        judge_condition(
            good,
            "web.redirect",
            "http",
            ok="plain HTTP leads to HTTPS",
            bad=reason,
            state=State.WARNING,
            value=_value(answer),
            limit="301 to https",
            evidence=f"{_evidence(answer)} Location: {answer.location or 'none'}",
            next=TRIAGE,
        )
    ]


def certificate(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """The certificate as it is served: trusted by this machine, for this name, with enough days left."""
    found = facts.get("web")
    if isinstance(found, Missing):
        return []  # web.front-page says so
    if not parameters.web.url.startswith("https:"):
        return []
    served = found.certificate
    if served is None:
        return [
            Verdict(
                State.CRITICAL,
                "web.certificate",
                parameters.web.name,
                f"no TLS connection: {found.certificate_error}",
                value="none",
                limit="trusted",
                evidence=found.certificate_error,
                next=OUTAGE,
            )
        ]
    limit = next((item.days_left for item in parameters.certificates.items if item.served_by == "https"), None)
    days = (served.not_after - facts.at).total_seconds() / 86_400
    evidence = f"serial {served.serial}, issued by {served.issuer}, ends {served.not_after:%Y-%m-%d %H:%M} UTC"
    verdicts = [
        judge_condition(
            served.trusted,
            "web.certificate",
            parameters.web.name,
            ok=f"trusted, {served.protocol}",
            bad=served.error,
            value="trusted" if served.trusted else "refused",
            limit="trusted",
            evidence=evidence,
            next=CERTIFICATES,
        )
    ]
    if limit is not None:
        state = state_when_low(days, limit)
        reason = "enough days left" if state is State.OK else "expired" if days <= 0 else "ends soon"
        verdicts.append(
            Verdict(
                state,
                "web.certificate-days",
                parameters.web.name,
                reason,
                value=f"{days:.0f} days",
                limit=threshold_text(limit, "days"),
                evidence=evidence,
                next="" if state is State.OK else "05-certificates/status",
            )
        )
    return verdicts


def _latency(found: Web, limit: Threshold) -> list[Verdict]:
    answers = {"front page": found.front, "API": found.health}
    if found.ready is not None:
        answers["readiness"] = found.ready
    verdicts = []
    for subject, answer in answers.items():
        if answer.status == 0:
            continue  # that it does not answer is said elsewhere
        state = state_when_high(answer.milliseconds, limit)
        verdicts.append(
            Verdict(
                state,
                "web.latency",
                subject,
                "answers in time" if state is State.OK else "answers slowly",
                value=f"{answer.milliseconds:.0f} ms",
                limit=threshold_text(limit, "ms"),
                evidence=f"GET {answer.path}",
                next="" if state is State.OK else "08-troubleshoot/high-cpu-memory",
            )
        )
    return verdicts


def _why(answer: Answer, what: str) -> str:
    if answer.status == 0:
        return f"{what} does not answer: {answer.error}"
    return f"{what} answers {answer.status}"


def _value(answer: Answer) -> str:
    return str(answer.status) if answer.status else "no answer"


def _evidence(answer: Answer) -> str:
    if answer.error:
        return f"GET {answer.path}: {answer.error} after {answer.milliseconds:.0f} ms"
    return f"GET {answer.path}: {answer.status}, {answer.size_bytes} bytes, {' '.join(answer.text.split())[:120]}"
