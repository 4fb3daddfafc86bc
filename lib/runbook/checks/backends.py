"""Cache, queue, object store, scanner and application, asked themselves with the application's own credentials."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any

from runbook.checks import unknown
from runbook.checks.cache import cache, slow
from runbook.facts import Missing
from runbook.facts.roles import roles_of
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runbook.facts import Facts
    from runbook.parameters import Parameters

CONTROL, START, SECRETS, STATUS, INVENTORY = (
    "08-troubleshoot/service-wont-start",
    "08-troubleshoot/service-wont-start",
    "10-maintenance/rotate-secrets",
    "02-services/status",
    "01-access/server-inventory",
)


OK_STATUS = http.client.OK


def backends(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge every part that was asked."""
    found = facts.get("backends")
    if isinstance(found, Missing):
        return [unknown("cache.answers", "docker", found, next_notebook=STATUS)]
    roles = roles_of(parameters)
    rows: list[Verdict] = []
    for name, part in sorted(found.parts.items()):
        service, _, kind = name.partition(" ")
        role = roles.get(service, "")
        check = "application" if kind else role
        if "failed" in part or "late" in part:
            said = part.get("failed") or f"no answer within {part['late']:g} s"
            shown = (
                "application.answers"
                if kind and role == "application"
                else f"{check}.answers"
                if not kind
                else "link.port"
            )
            rows.append(
                Verdict(
                    State.CRITICAL,
                    shown,
                    service,
                    f"asked itself, it does not answer: {said}",
                    "no answer",
                    "answers",
                    f"a connection to {service}: {said}",
                    START,
                )
            )
            continue
        judge = JUDGES.get(kind or role)
        bad = list(judge(service, part)) if judge else []
        rows += bad or [
            Verdict(State.OK, f"{check}.answers", service, "asked itself, it answers as it should", "ok", "ok")
        ]
    for variable, groups in sorted(found.differing.items()):
        told = " and ".join(", ".join(group) for group in groups)
        rows.append(
            Verdict(
                State.WARNING,
                "settings.differ",
                groups[-1][0] if len(groups[-1]) < len(groups[0]) else groups[0][0],
                f"{variable} is not the same in {told}: they do not work with the same part",
                "different",
                "the same",
                f"the environment of the containers: {variable}",
                CONTROL,
            )
        )
    return rows


def _store(service: str, part: dict[str, Any]) -> Iterator[Verdict]:
    if said := part.get("tls"):
        yield Verdict(
            State.CRITICAL,
            "storage.tls",
            service,
            f"no TLS connection to it: {said}",
            "none",
            "TLS",
            f"a TLS handshake with {service}: {said}",
            "08-troubleshoot/certificate-errors",
        )
        return
    if part["live"]["status"] != OK_STATUS or part["ready"]["status"] != OK_STATUS:
        yield Verdict(
            State.CRITICAL,
            "storage.answers",
            service,
            f"it says that it is not healthy ({part['live']['status']}, {part['ready']['status']})",
            str(part["ready"]["status"]),
            "200",
            "GET /minio/health/ready",
            START,
        )
    bucket = part.get("bucket")
    if bucket and bucket["status"] != OK_STATUS:
        said = bucket.get("said") or str(bucket["status"])
        reason = {
            "NoSuchBucket": f"the bucket {part['bucket_name']} is not there",
            "InvalidAccessKeyId": "it does not know the application's access key",
            "SignatureDoesNotMatch": "it refuses the application's secret key",
            "AccessDenied": f"it does not let the application see the bucket {part['bucket_name']}",
            "RequestTimeTooSkewed": "its clock and the server's are too far apart",
        }.get(said.partition(":")[0], f"it refuses the application: {said}")
        yield Verdict(
            State.CRITICAL,
            "storage.bucket",
            service,
            reason,
            str(bucket["status"]),
            "200",
            f"GET /{part['bucket_name']}/ with the application's key: {said}",
            INVENTORY,
        )
    if part.get("trusted") is False:
        yield Verdict(
            State.CRITICAL, "storage.certificate", service, f"the application cannot trust its certificate: {part['trust_said']}", "refused", "trusted",
            f"a TLS handshake with the authorities that the application has: {part['trust_said']}", "08-troubleshoot/certificate-errors",
        )  # fmt: skip
    longest = max(part[key]["milliseconds"] for key in ("live", "ready", "bucket") if key in part)
    yield from slow("storage.slow", service, longest, "its health and its bucket, asked directly")


def _scanner(service: str, part: dict[str, Any]) -> Iterator[Verdict]:
    if part["ping"] != "PONG":
        yield Verdict(
            State.CRITICAL,
            "scanner.answers",
            service,
            f"it does not answer PONG: {part['ping'][:80] or 'nothing'}",
            part["ping"][:20],
            "PONG",
            f"zPING: {part['ping'][:120]}",
            START,
        )
        return
    if "FOUND" not in part["virus"]:
        yield Verdict(
            State.CRITICAL,
            "scanner.signatures",
            service,
            "it does not find the test virus: its signatures are not there, or scanning is off",
            part["virus"][:40],
            "FOUND",
            f"INSTREAM with the test virus: {part['virus'][:120]}",
            CONTROL,
        )
    if not part["clean"].endswith("OK"):
        yield Verdict(
            State.CRITICAL,
            "scanner.clean",
            service,
            "it takes a clean text for a virus",
            part["clean"][:60],
            "OK",
            f"INSTREAM with a line of text: {part['clean'][:120]}",
            CONTROL,
        )
    if not part["large"].endswith("OK"):
        yield Verdict(
            State.CRITICAL,
            "scanner.size",
            service,
            "it refuses files of 2 MB: its limits are too low for uploads",
            part["large"][:60],
            "OK",
            f"INSTREAM with 2 MB: {part['large'][:120]}",
            CONTROL,
        )
    yield from slow("scanner.slow", service, part["milliseconds"], "zPING and zVERSION")


def _http(service: str, part: dict[str, Any]) -> Iterator[Verdict]:
    if part["status"] >= 400:  # noqa: PLR2004 (RFC 9110, 15.5)
        yield Verdict(
            State.CRITICAL,
            "application.answers",
            service,
            f"asked past the web server, it answers {part['status']}",
            str(part["status"]),
            "200",
            f"GET from the host: {part['status']} {part['body'][:120]}",
            START,
        )
    else:
        yield from slow("application.slow", service, part["milliseconds"], "GET from the host, past the web server")


def _database(service: str, part: dict[str, Any]) -> Iterator[Verdict]:
    by_reason: dict[str, list[str]] = {}
    for who, said in part["logins"].items():
        if said != "ok":
            by_reason.setdefault(said, []).append(who)
    for said, users in by_reason.items():
        named = " and ".join(sorted({who.partition(" ")[0] for who in users}))
        yield Verdict(
            State.CRITICAL,
            "database.login",
            service,
            f"it refuses {named}: {said.removeprefix('FATAL:').strip()}",
            "refused",
            "let in",
            f"psql with the credentials of {users[0].replace(' ', ' (')}): {said}",
            "08-troubleshoot/database-connections",
        )


JUDGES = {"database": _database, "cache": cache, "storage": _store, "scanner": _scanner, "http": _http}
