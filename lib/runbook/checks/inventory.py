"""Every place of the list: there, of the right kind, owner and mode; the compose file has all its variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition, judge_none, state_when_high, threshold_text, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.inventory import PathStat
    from runbook.facts.service_configs import Difference
    from runbook.parameters import Parameters, PathExpectation

INVENTORY, BREACH, UPDATES = "01-access/server-inventory", "09-emergency/security-breach", "10-maintenance/monthly"
OTHERS = 0o007
OTHERS_WRITE = 0o002
STICKY = 0o1000


def paths(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge every location, and the modes of private keys."""
    found = facts.get("paths")
    if isinstance(found, Missing):
        return [unknown("inventory.path", "locations", found, next_notebook=INVENTORY)]
    verdicts = []
    for wanted in parameters.locations:
        verdicts += _location(wanted, found.get(wanted.path))
    for item in parameters.certificates.items:
        stat = found.get(item.key) if item.key else None
        if stat is not None:
            verdicts.append(
                judge_condition(
                    not int(stat.mode, 8) & OTHERS,
                    "inventory.mode",
                    stat.path,
                    ok="a private key that others cannot read",
                    bad="a private key that everybody on the server can read",
                    value=stat.mode,
                    limit="no rights for others",
                    evidence=f"stat: {stat.mode} {stat.owner}:{stat.group}",
                    next=BREACH,
                )
            )
    return verdicts


def _location(wanted: PathExpectation, stat: PathStat | None) -> list[Verdict]:
    if stat is None:
        state = State.CRITICAL if wanted.required else State.OK
        reason = f"does not exist ({wanted.why})" if wanted.required else "does not exist, and need not"
        return [
            Verdict(
                state,
                "inventory.path",
                wanted.path,
                reason,
                value="absent",
                limit=wanted.kind,
                evidence="stat: no such file or directory",
                next=INVENTORY if wanted.required else "",
            )
        ]
    evidence = f"stat: {stat.kind} {stat.mode} {stat.owner}:{stat.group} {stat.size_bytes} bytes"
    verdicts = [
        judge_condition(
            stat.kind == wanted.kind,
            "inventory.path",
            wanted.path,
            ok=wanted.why or "there",
            bad=f"is a {stat.kind}",
            value=stat.kind,
            limit=wanted.kind,
            evidence=evidence,
            next=INVENTORY,
        )
    ]
    if stat.kind == "file" and wanted.kind == "file" and wanted.required and not stat.size_bytes:
        verdicts.append(
            Verdict(
                State.CRITICAL,
                "inventory.size",
                wanted.path,
                "is empty",
                value="0 bytes",
                limit="not empty",
                evidence=evidence,
                next=INVENTORY,
            )
        )
    if wanted.owner is not None:
        verdicts.append(
            judge_condition(
                stat.owner == wanted.owner,
                "inventory.owner",
                wanted.path,
                ok="owned as expected",
                bad="owned by somebody else",
                state=State.WARNING,
                value=stat.owner,
                limit=wanted.owner,
                evidence=evidence,
                next=INVENTORY,
            )
        )
    mode = int(stat.mode, 8)
    if wanted.mode is not None:
        limit = int(wanted.mode, 8)
        more = mode & ~limit
        verdicts.append(
            judge_condition(
                mode == limit,
                "inventory.mode",
                wanted.path,
                ok="as expected",
                bad="others have rights that they must not have" if more else "fewer rights than expected",
                state=State.CRITICAL if more else State.WARNING,
                value=stat.mode,
                limit=f"{limit:04o}",
                evidence=evidence,
                next=INVENTORY,
            )
        )
    elif mode & OTHERS_WRITE and not mode & STICKY:
        verdicts.append(
            Verdict(
                State.WARNING,
                "inventory.mode",
                wanted.path,
                "everybody on the server can change it",
                value=stat.mode,
                limit="not writable by others",
                evidence=evidence,
                next=INVENTORY,
            )
        )
    return verdicts


def variables(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """The compose file has a value for every variable it uses."""
    found = facts.get("variables")
    if isinstance(found, Missing):
        return [unknown("inventory.env", "variables", found, next_notebook=INVENTORY)]
    return [
        judge_none(
            found.lacking, "inventory.env", "variables", state=State.CRITICAL,
            ok=f"all {len(found.used)} that the compose file uses have a value", bad="without a value", word="lacking",
            evidence="names only: docker compose config --variables against the environment file", next=INVENTORY,
        ),
        judge_none(
            found.empty, "inventory.env-empty", "variables",
            ok="none is empty", bad="empty", word="empty", evidence="names only", next=INVENTORY,
        ),
    ]  # fmt: skip


def environment(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Each service that takes the environment file gets what the file seems to say. Names only, never a value."""
    found = facts.get("service_configs")
    if isinstance(found, Missing):
        return [unknown("inventory.env-value", "environment file", found, next_notebook=INVENTORY)]
    file = parameters.stack.env_file
    told: dict[Difference, list[str]] = {}
    rows: list[Verdict] = []
    for service, config in found.items():
        for item in config.differences:
            told.setdefault(item, []).append(service)
        other = config.variables
        if config.made and (config.takes_file or other):
            rows.append(
                judge_condition(
                    not other,
                    "inventory.env-container",
                    service,
                    ok="its container has what Compose resolves now",
                    bad=f"its container was made with other values of {', '.join(other)}; a restart does not re-read them",
                    state=State.WARNING,
                    value=f"{len(other)} differ",
                    limit="0 differ",
                    evidence="names only: docker inspect against docker compose config",
                    next="02-services/control",
                )
            )
    for item, services in told.items():
        lines = f"line{'s' if len(item.lines) > 1 else ''} {', '.join(map(str, item.lines))}"
        rows.append(
            Verdict(
                State.WARNING,
                "inventory.env-value" if item.kind == "value" else "inventory.env-twice",
                item.name,
                item.reason
                if item.kind == "twice"
                else f"not the value that the file seems to say reaches {', '.join(services)}: {item.reason}",
                value="differs" if item.kind == "value" else f"{len(item.lines)} times",
                limit="as stated" if item.kind == "value" else "once",
                evidence=f"{file}, {lines}",
                next=INVENTORY,
            )
        )
    takers = [service for service, config in found.items() if config.takes_file]
    if takers and not told:
        rows.append(
            Verdict(
                State.OK,
                "inventory.env-value",
                "environment file",
                f"what it seems to say reaches {', '.join(takers)}",
                value="0 differ",
                limit="0 differ",
                evidence=f"{file} against docker compose config",
            )
        )
    return rows


def compose(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """Compose accepts the file."""
    found = facts.get("compose")
    if isinstance(found, Missing):
        return [unknown("inventory.compose", "compose file", found, next_notebook=INVENTORY)]
    return [
        judge_condition(
            found.valid,
            "inventory.compose",
            "compose file",
            ok="Compose accepts it",
            bad="Compose refuses it: nothing can be recreated",
            value="accepted" if found.valid else "refused",
            limit="accepted",
            evidence=found.error,
            next=INVENTORY,
        )
    ]


def packages(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Few packages wait for an upgrade, none of them for security."""
    found = facts.get("packages")
    if isinstance(found, Missing):
        return [unknown("inventory.packages", "packages", found, next_notebook=UPDATES)]
    limit = parameters.limits.upgrades
    state = state_when_high(len(found.security), limit)
    more = f"{len(found.upgradable)} packages can be upgraded, {len(found.security)} of them for security"
    return [
        Verdict(
            state,
            "inventory.packages",
            "packages",
            more,
            value=str(len(found.security)),
            limit=threshold_text(limit, "security updates"),
            evidence=", ".join(found.security[:8]),
            next="" if state is State.OK else UPDATES,
        )
    ]
