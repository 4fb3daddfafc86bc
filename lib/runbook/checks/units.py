"""systemd's units: none has failed, and the expected ones run now and after a reboot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters

TRIAGE = "08-troubleshoot/triage"
STARTS_BY_ITSELF = frozenset({"enabled", "enabled-runtime", "static", "indirect", "generated", "alias", "linked"})


def units(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Judge failed units and expected ones."""
    found = facts.get("units")
    if isinstance(found, Missing):
        return [unknown("units.failed", "systemd", found, next_notebook=TRIAGE)]
    verdicts = [
        Verdict(
            State.CRITICAL if name in parameters.units else State.WARNING,
            "units.failed",
            name,
            "this unit has failed",
            value="failed",
            limit="not failed",
            evidence=f"systemctl status {name}",
            next=TRIAGE,
        )
        for name in found.failed
    ] or [Verdict(State.OK, "units.failed", "systemd", "no unit has failed", value="0", limit="0")]
    for name in parameters.units:
        unit = found.expected.get(name)
        if unit is None or not unit.loaded:
            masked = unit is not None and unit.enabled.startswith("masked")
            verdicts.append(
                Verdict(
                    State.CRITICAL,
                    "units.active",
                    name,
                    "this unit is masked: nothing can start it" if masked else "this unit does not exist",
                    value="masked" if masked else "absent",
                    limit="active",
                    evidence=f"systemctl is-enabled {name}: masked; systemctl unmask {name} takes it back"
                    if masked
                    else "",
                    next=TRIAGE,
                )
            )
            continue
        verdicts.append(
            judge_condition(
                unit.active == "active",
                "units.active",
                name,
                ok="runs",
                bad=f"it does not run ({unit.active})",
                value=unit.active,
                limit="active",
                evidence=f"systemctl show {name}: {unit.active}/{unit.sub}",
                next=TRIAGE,
            )
        )
        verdicts.append(
            judge_condition(
                unit.enabled in STARTS_BY_ITSELF,
                "units.enabled",
                name,
                ok="starts by itself",
                bad="it would not start after a reboot",
                state=State.WARNING,
                value=unit.enabled or "unknown",
                limit="enabled",
                evidence=f"systemctl is-enabled {name}: {unit.enabled}",
                next=TRIAGE,
            )
        )
    return verdicts
