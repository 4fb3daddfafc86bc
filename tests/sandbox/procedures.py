"""The procedures of the crash matrix: how a server is brought to their beginning, and how their goal is seen. All by other means than the library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Host


def _nothing(_host: Host) -> None:
    """Nothing is to be prepared."""


@dataclass(frozen=True)
class Procedure:
    """`goal` returns why it is not reached, empty where it is. `stays` are lines of the snapshot that an undo leaves alone."""

    name: str
    notebook: str
    goal: Callable[[Host], str]
    values: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[Host], None] = _nothing
    confirmed: bool = True
    stays: tuple[str, ...] = ()
    may_refuse_resume: bool = False


MARK = "/run/prepared"


def _mark(host: Host) -> None:
    host.sh(f"sleep 1.1; touch {MARK}")


def _restarted(host: Host) -> str:
    script = f"""for name in pazpaz-api pazpaz-arq-worker; do
        [ "$(date -d "$(docker inspect -f '{{{{.State.StartedAt}}}}' $name)" +%s)" -ge "$(stat -c %Y {MARK} 2>/dev/null || echo 0)" ] || echo "$name was not restarted"
    done"""
    return host.sh(script).strip()


PROCEDURES = {
    procedure.name: procedure
    for procedure in (
        Procedure("restart", "02-services/control", _restarted, {"services": "api,arq-worker"}, _mark, confirmed=False),
    )
}
