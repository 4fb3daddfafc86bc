"""What must hold before a notebook looks or acts: the right host, rights, and room for the record here."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runbook.commands import Command, Result
from runbook.facts import Fact, LocalFact
from runbook.parameters import project_root

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Rights:
    """Whether sudo lets us in: "granted", "refused", or "not configured"; `reason` is what sudo said."""

    sudo: str
    reason: str = ""


def _hostname(results: Mapping[str, Result], _parameters: Parameters) -> str:
    return results["name"].stdout.strip()


def _ask_rights(parameters: Parameters) -> dict[str, Command]:
    # without a password in the params file sudo is asked without one (NOPASSWD rules)
    return {"sudo": Command(("true",), sudo=True, timeout=15)} if parameters.connection.sudo_password else {}


def _rights(results: Mapping[str, Result], _parameters: Parameters) -> Rights:
    if "sudo" not in results:
        return Rights("not configured")
    result = results["sudo"]
    if result.ok:
        return Rights("granted")
    told = [line for line in result.stderr.splitlines() if line.strip() and "lecture" not in line]
    return Rights("refused", told[-1].strip() if told else result.meaning)


def _free_bytes(_parameters: Parameters) -> int:
    return shutil.disk_usage(project_root()).free


HOSTNAME: Fact[str] = Fact("hostname", lambda _parameters: {"name": Command(("uname", "-n"))}, _hostname)
RIGHTS: Fact[Rights] = Fact("rights", _ask_rights, _rights, optional=frozenset({"sudo"}))
FREE_BYTES: LocalFact[int] = LocalFact("free_bytes_here", _free_bytes)
FACTS = (HOSTNAME, RIGHTS, FREE_BYTES)
