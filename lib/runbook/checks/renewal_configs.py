"""Whether a renewal can work at all: certbot's configurations and links, read before the timer runs into what is wrong.

Dates and the timer can look well for two months while this does not; certbot says so only in its own log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from runbook.checks import judge_condition, number_of, unknown
from runbook.facts import Missing
from runbook.facts.lineage import KINDS, renewable
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from runbook.facts import Facts
    from runbook.facts.renewal_configs import RenewalConfig, RenewalConfigs
    from runbook.parameters import Parameters

CONFIG, LINKS, HOOKS, CERTBOT = (
    "certificates.renewal-config",
    "certificates.links",
    "certificates.hooks",
    "certificates.certbot",
)
ERRORS, STATUS = "08-troubleshoot/certificate-errors", "05-certificates/status"


class BrokenLink(NamedTuple):
    """What is wrong with a live link. `unusable`: a web server could not start with it; `stops_certbot`: no renewal from it."""

    reason: str
    unusable: bool = False
    stops_certbot: bool = True


def renewal_configs(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge each lineage of the params file, and those that stand only on the server where something is wrong with them."""
    found = facts.get("renewal_configs")
    if isinstance(found, Missing):
        return [unknown(CONFIG, "certbot", found, next_notebook=STATUS)]
    rows = []
    for item in found.configs:
        problems, broken = [*_obstacles(item, found), *_doubts(item, parameters)], list(_links(item))
        state = _state(item, facts.at, parameters)
        subject = item.certificate or item.name
        if item.certificate or problems:
            rows.append(
                judge_condition(
                    not problems,
                    CONFIG,
                    subject,
                    ok=f"certbot can renew it: {item.settings.get('authenticator', '')}, account and paths are there",
                    bad=f"the certificate cannot be renewed: {'; '.join(problems)}",
                    state=state,
                    value="cannot work" if problems else "complete",
                    limit="complete",
                    evidence=_evidence(item),
                    next=ERRORS,
                )
            )
        if item.links and (item.certificate or broken):
            rows.append(
                judge_condition(
                    not broken,
                    LINKS,
                    subject,
                    ok="the live links point at the newest certificate",
                    bad="; ".join(one.reason for one in broken),
                    state=State.CRITICAL if item.certificate and any(one.unusable for one in broken) else state,
                    value="broken" if broken else "whole",
                    limit="whole",
                    evidence=_link_evidence(item),
                    next=ERRORS,
                )
            )
    if found.idle_hooks:
        rows.append(
            Verdict(
                State.WARNING,
                HOOKS,
                "certbot",
                f"{number_of(len(found.idle_hooks), 'hook')} would be passed over: not executable",
                value="not executable",
                limit="executable",
                evidence=", ".join(found.idle_hooks),
                next=ERRORS,
            )
        )
    return rows


def _state(item: RenewalConfig, at: dt.datetime, parameters: Parameters) -> State:
    """A renewal that cannot work is CRITICAL once it is due, and a WARNING while the certificate has long to live."""
    known = renewable(parameters).get(item.certificate)
    if known is None:
        return State.WARNING
    days = (item.ends - at).total_seconds() / 86_400 if item.ends else 0
    return State.CRITICAL if days <= parameters.certificates.renew_within_days else State.WARNING


def obstacles(facts: Facts, certificate: str) -> list[str]:
    """Given a certificate's name in the params file, return what certbot would fail at; nothing where that is not known."""
    found = facts.get("renewal_configs")
    if isinstance(found, Missing):
        return []
    return [
        reason
        for item in found.configs
        if item.certificate == certificate
        for reason in (*_obstacles(item, found), *(one.reason for one in _links(item) if one.stops_certbot))
    ]


def _obstacles(item: RenewalConfig, found: RenewalConfigs) -> Iterator[str]:
    """Yield what certbot would stumble over, in the order in which it looks."""
    if not found.certbot:
        yield "certbot is not installed"
    if not item.exists:
        yield f"certbot has no renewal configuration {item.name}.conf"
        return
    if item.unreadable:
        yield f"its renewal configuration does not parse: {item.unreadable}"
        return
    absent = [kind for kind in KINDS if kind not in item.links]
    if absent:
        yield f"its renewal configuration does not name {' and '.join(absent)}"
    yield from _method(item, found)
    for key, program in item.hooks.items():
        looked_at = item.paths.get(program)
        if looked_at is None or looked_at.kind == "missing":
            yield f"its {key} {program} does not exist"
        elif not looked_at.executable:
            yield f"its {key} {program} is not executable"


def _doubts(item: RenewalConfig, parameters: Parameters) -> Iterator[str]:
    """Yield why a renewal that certbot calls a success would not help, or would not be tried by the timer."""
    known = renewable(parameters).get(item.certificate)
    named, server = item.links.get("fullchain", ""), item.settings.get("server", "")
    if known and named and named != known.path:
        yield f"certbot renews {named}, and not {known.path}, which is the one in use"
    if item.settings.get("autorenew", "").lower() == "false":
        yield "its renewal is turned off (autorenew = False)"
    if "staging" in server:
        yield f"it would come from a test authority that no browser trusts ({server})"


def _method(item: RenewalConfig, found: RenewalConfigs) -> Iterator[str]:
    """Yield what is wrong with how the name is proven: the authenticator, its folders, the account at the authority."""
    method = item.settings.get("authenticator", "")
    if not method:
        yield "it names no authenticator"
    elif found.plugins is not None and method not in found.plugins:
        yield f"certbot has no authenticator {method} (it has {', '.join(found.plugins)})"
    elif method == "webroot" and not item.webroots:
        yield "it names no webroot_path"
    if method == "webroot":
        yield from _webroots(item, found)
    server, account = item.settings.get("server", ""), item.settings.get("account", "")
    if not account:
        yield "it names no account"
    elif server and not found.has_account(server, account):
        yield f"the key of its account {account[:8]} at {server} is not there"


def _webroots(item: RenewalConfig, found: RenewalConfigs) -> Iterator[str]:
    """Yield the folders for challenges that the web server does not give out: absent, not mounted, no root of nginx."""
    for folder in item.webroots:
        looked_at = item.paths.get(folder)
        if looked_at is None or looked_at.kind != "directory":
            yield f"its webroot {folder} is no folder on the server"
        elif found.mounts and (within := found.within(folder)) is None:
            yield f"its webroot {folder} is not mounted into the web server's container, which cannot serve it"
        elif found.mounts and found.served and not found.serves(within or ""):
            yield f"its webroot {folder} is not served: nginx has no root or alias {within}"


def _links(item: RenewalConfig) -> Iterator[BrokenLink]:
    """Yield what is wrong with the links.

    certbot refuses what is no link; a link to an older certificate it follows without a word, and users get that one.
    """
    generations: dict[int, list[str]] = {}
    for kind in KINDS:
        path = item.links.get(kind)
        looked_at = item.paths.get(path or "")
        if path is None or looked_at is None:
            continue
        if looked_at.kind == "missing":
            told = f"{path} points at nothing ({looked_at.target})" if looked_at.target else f"{path} is missing"
            yield BrokenLink(told, unusable=True)
        elif not looked_at.target:
            yield BrokenLink(f"{path} is no link: certbot calls such a configuration invalid")
        elif looked_at.generation is not None:
            generations.setdefault(looked_at.generation, []).append(kind)
    if len(generations) > 1:
        told = ", ".join(f"{' and '.join(kinds)} at number {number}" for number, kinds in sorted(generations.items()))
        yield BrokenLink(f"the live links do not point at one and the same certificate: {told}", unusable=True)
    elif generations and item.generations and max(item.generations) > (live := next(iter(generations))):
        newest = max(item.generations)
        yield BrokenLink(
            f"the live links point at number {live}, and the archive holds a newer one, number {newest}",
            stops_certbot=False,
        )


def _evidence(item: RenewalConfig) -> str:
    told = [f"{key} = {value}" for key, value in item.settings.items() if key != "account"]
    return f"renewal/{item.name}.conf: {', '.join(told) or 'nothing to be read'}"


def _link_evidence(item: RenewalConfig) -> str:
    return ", ".join(
        f"{kind} -> {(looked_at.target.rpartition('/')[2] if looked_at.target else 'no link')}"
        for kind, path in item.links.items()
        if (looked_at := item.paths.get(path)) is not None
    )


def certbot_verdict(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """Say what certbot itself says of its configurations."""
    found = facts.get("certbot_verdict")
    if isinstance(found, Missing):
        return [unknown(CERTBOT, "certbot", found, next_notebook=ERRORS)]
    if found.error:
        return [
            Verdict(
                State.UNKNOWN,
                CERTBOT,
                "certbot",
                f"certbot does not say: {found.error}",
                evidence="certbot certificates",
                next=ERRORS,
            )
        ]
    return [
        judge_condition(
            not found.invalid,
            CERTBOT,
            "certbot",
            ok="certbot reads all its renewal configurations",
            bad=f"certbot calls these renewal configurations invalid: {', '.join(found.invalid)}",
            state=State.WARNING,  # how much time is left is judged with the configuration itself
            value=f"{len(found.invalid)} invalid",
            limit="0 invalid",
            evidence="; ".join(found.reasons) or "certbot certificates",
            next=ERRORS,
        )
    ]
