"""systemd's units: which have failed, and whether the expected ones run and start by themselves."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runbook.commands import Result
    from runbook.parameters import Parameters

PROPERTIES = "Id,LoadState,ActiveState,SubState,UnitFileState,Result,ExecMainStatus,ExecMainExitTimestamp,LastTriggerUSec,NextElapseUSecRealtime"


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as `systemctl show` describes it. `last` and `next` are a timer's triggers, `ended` a service's last end."""

    name: str
    loaded: bool
    active: str
    sub: str
    enabled: str
    result: str
    exit_status: int | None
    ended: dt.datetime | None
    last: dt.datetime | None
    next: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Units:
    """The expected units by name, and the names of all that have failed."""

    expected: dict[str, Unit]
    failed: tuple[str, ...]


def show(units: Sequence[str]) -> Command:
    """Return the command that describes these units, times in UTC (--timestamp=unix leaves out those of timers)."""
    return Command(
        ("env", "TZ=UTC", "systemctl", "show", f"--property={PROPERTIES}", "--no-pager", "--", *units), timeout=10
    )


def parse_show(text: str) -> dict[str, Unit]:
    r"""Given the output of `show`, return the units by name. One block of `key=value` lines each, a blank line between.

    >>> parse_show("Id=a.timer\nActiveState=active\nLastTriggerUSec=Tue 2023-11-14 22:13:20 UTC\n")["a.timer"].last
    datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.timezone.utc)
    """
    units = {}
    for block in text.strip().split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        status = values.get("ExecMainStatus", "")
        units[values["Id"]] = Unit(
            name=values["Id"],
            loaded=values.get("LoadState") == "loaded",
            active=values["ActiveState"],
            sub=values.get("SubState", ""),
            enabled=values.get("UnitFileState", ""),
            result=values.get("Result", ""),
            exit_status=int(status) if status.isdigit() else None,
            ended=_when(values.get("ExecMainExitTimestamp", "")),
            last=_when(values.get("LastTriggerUSec", "")),
            next=_when(values.get("NextElapseUSecRealtime", "")),
        )
    return units


def _when(text: str) -> dt.datetime | None:
    """Given systemd's time, return it; None for an empty value or "n/a" (never)."""
    if not text or text == "n/a":
        return None
    try:
        return dt.datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=dt.UTC)
    except ValueError:
        raise ParseError("a time of systemd", text) from None


def wanted(parameters: Parameters) -> tuple[str, ...]:
    """Return the units that matter: the expected ones and those behind the backups, each once."""
    timers = [item.timer for item in parameters.backup.classes if item.timer]
    services = [f"{timer.removesuffix('.timer')}.service" for timer in timers]
    return tuple(dict.fromkeys([*parameters.units, *timers, *services]))


def units_commands(parameters: Parameters) -> dict[str, Command]:
    """List what has failed (JSON), and describe the units that matter."""
    commands = {
        "failed": Command(("systemctl", "list-units", "--failed", "--all", "--output=json", "--no-pager"), timeout=10)
    }
    names = wanted(parameters)
    return commands | ({"show": show(names)} if names else {})


def parse_units(results: Mapping[str, Result], _parameters: Parameters) -> Units:
    """Read both answers."""
    failed = tuple(sorted(item["unit"] for item in json.loads(results["failed"].stdout or "[]")))
    return Units(parse_show(results["show"].stdout) if "show" in results else {}, failed)


units = Fact("units", units_commands, parse_units)
