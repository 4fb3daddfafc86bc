"""Certificates: days left, names, chain, key, and that what is served is what lies on disk; the timer that renews."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition, state_when_low, threshold_text, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    import datetime as dt

    from runbook.facts import Facts
    from runbook.facts.certificates import CertificateFact, Leaf
    from runbook.parameters import Certificate, Parameters

STATUS, ERRORS, RENEW, INTERNAL = (
    "05-certificates/status",
    "08-troubleshoot/certificate-errors",
    "05-certificates/renew",
    "05-certificates/internal",
)


def certificates(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge every certificate of the params file."""
    found = facts.get("certificates")
    if isinstance(found, Missing):
        return [unknown("certificates.days-left", "certificates", found, next_notebook=STATUS)]
    by_name = {item.name: item for item in found}
    return [
        verdict
        for item in parameters.certificates.items
        if item.name in by_name
        for verdict in _one(item, by_name[item.name], facts.at)
    ]


def _one(item: Certificate, found: CertificateFact, now: dt.datetime) -> list[Verdict]:
    mend = RENEW if item.kind == "letsencrypt" else INTERNAL
    if found.disk is None:
        absent = "No such file" in found.disk_error
        state = State.CRITICAL if absent or "not a certificate" in found.disk_error else State.UNKNOWN
        return [
            Verdict(
                state,
                "certificates.days-left",
                item.name,
                "the file is missing" if absent else f"no certificate can be read: {found.disk_error}",
                value="none",
                limit="a certificate",
                evidence=item.path,
                next=mend,
            )
        ]
    verdicts = [_days(item, found.disk, now, "on disk", mend)]
    if item.names:
        absent_names = sorted(set(item.names) - set(found.disk.names))
        verdicts.append(
            judge_condition(
                not absent_names,
                "certificates.names",
                item.name,
                ok="made for its names",
                bad=f"not made for {', '.join(absent_names)}",
                value=", ".join(found.disk.names),
                limit=", ".join(item.names),
                evidence=found.disk.subject,
                next=mend,
            )
        )
    verdicts.append(
        _maybe(
            "certificates.chain",
            item.name,
            found.chain_ok,
            found.chain_error,
            ok=f"issued as it should be, {found.chain_length} in the file",
            bad=found.chain_error,
            evidence=found.disk.issuer,
        )
    )
    if item.key:
        verdicts.append(
            _maybe(
                "certificates.key",
                item.name,
                found.key_matches,
                found.key_error,
                ok="the key belongs to it",
                bad="the key does not belong to it",
                evidence=item.key,
            )
        )
    if item.served_by:
        verdicts += _served(item, found, now, mend)
    return verdicts


def _days(item: Certificate, leaf: Leaf, now: dt.datetime, where: str, mend: str) -> Verdict:
    days = (leaf.not_after - now).total_seconds() / 86_400
    state = state_when_low(days, item.days_left)
    reason = (
        f"enough days left {where}" if state is State.OK else f"expired {where}" if days <= 0 else f"ends soon {where}"
    )
    if leaf.not_before > now:
        state, reason = State.CRITICAL, f"not valid yet {where}"
    return Verdict(
        state,
        "certificates.days-left",
        item.name,
        reason,
        value=f"{days:.0f} days",
        limit=threshold_text(item.days_left, "days"),
        evidence=f"serial {leaf.serial}, ends {leaf.not_after:%Y-%m-%d %H:%M} UTC",
        next="" if state is State.OK else mend,
    )


def _maybe(check: str, subject: str, good: bool | None, error: str, *, ok: str, bad: str, evidence: str) -> Verdict:
    if good is None:
        return Verdict(
            State.UNKNOWN,
            check,
            subject,
            f"no evidence: {error or 'nothing to compare with'}",
            evidence=evidence,
            next=ERRORS,
        )
    return judge_condition(
        good, check, subject, ok=ok, bad=bad, value="yes" if good else "no", limit="yes", evidence=evidence, next=ERRORS
    )


def _served(item: Certificate, found: CertificateFact, now: dt.datetime, mend: str) -> list[Verdict]:
    if found.served is None or found.disk is None:
        return [
            Verdict(
                State.UNKNOWN,
                "certificates.served",
                item.name,
                f"no evidence of what is served: {found.served_error}",
                value="nothing",
                limit="the one on disk",
                evidence=item.served_at or item.served_by or "",
                next=ERRORS,
            )
        ]
    verdicts = [
        judge_condition(
            found.serves_disk,
            "certificates.served",
            item.name,
            ok="the one on disk is served",
            bad="another one is served than lies on disk: it was renewed but not reloaded",
            value=found.served.sha256[:16],
            limit=found.disk.sha256[:16],
            evidence=f"served: serial {found.served.serial}, ends {found.served.not_after:%Y-%m-%d} UTC",
            next=ERRORS,
        )
    ]
    if not found.serves_disk:
        verdicts.append(_days(item, found.served, now, "as served", mend))
    return verdicts


def renewal(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """The timer runs and starts by itself, is not overdue, has a next run, and its last run ended well."""
    found = facts.get("renewal")
    name = parameters.certificates.timer
    if isinstance(found, Missing):
        return [unknown("certificates.timer", name, found, next_notebook=STATUS)]
    timer, service = found.timer, found.service
    last = f"last {timer.last:%Y-%m-%d %H:%M} UTC" if timer.last else "never ran"
    following = f"next {timer.next:%Y-%m-%d %H:%M} UTC" if timer.next else "no next run"
    waits = timer.active == "active" and timer.enabled in {"enabled", "static"} and timer.next is not None
    hours = (facts.at - timer.last).total_seconds() / 3600 if timer.last else None
    limit = parameters.certificates.timer_overdue_hours
    good = service.result == "success" and service.exit_status in {0, None}
    return [
        judge_condition(
            waits,
            "certificates.timer",
            name,
            ok=f"waits; {last}, {following}",
            bad=f"does not run: {timer.active}, {timer.enabled}, {following}",
            value=timer.active,
            limit="active",
            evidence=f"systemctl show {name}: {timer.active}/{timer.sub}, {timer.enabled}",
            next=RENEW,
        ),
        judge_condition(
            hours is None or hours <= limit,
            "certificates.timer-overdue",
            name,
            ok=last,
            bad="it should have run again by now",
            state=State.WARNING,
            value="never" if hours is None else f"{hours:.1f} h ago",
            limit=f"{limit:g} h",
            evidence=f"{last}, {following}",
            next=RENEW,
        ),
        judge_condition(
            good,
            "certificates.last-run",
            service.name,
            ok="its last run ended well" if service.ended else "has not run since the last boot",
            bad="its last run failed",
            value=service.result,
            limit="success",
            evidence=f"exit status {service.exit_status}"
            + (f", ended {service.ended:%Y-%m-%d %H:%M} UTC" if service.ended else ""),
            next=RENEW,
        ),
    ]
