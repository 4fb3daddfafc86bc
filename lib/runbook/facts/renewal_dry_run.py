"""A renewal rehearsed: `certbot renew --dry-run` against the authority, and what nginx answered to its challenge meanwhile.

It changes nothing but certbot's own logs: the authority's test instance issues a certificate that certbot throws away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runbook.commands import Command
from runbook.errors import ParseError
from runbook.facts import Fact
from runbook.facts.lineage import Places, renewable, selected_certificate
from runbook.facts.proxy import container

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runbook.commands import Result
    from runbook.parameters import Certificate, Parameters

LONGEST_SECONDS = 240.0
PATIENCE_SECONDS = 12  # for the authority to say why, once nginx has refused its challenge; certbot itself waits 90 s
# $1 nginx's container, $2 patience, then certbot's words. When it is interrupted (INT, which a shell's job only heeds with
# `set -m`), certbot takes its challenge and its lock away, as at any end.
REHEARSE = r"""set -m
container=$1 patience=$2; shift 2
since=$(date +%s); out=$(mktemp); trap 'rm -f "$out"' EXIT
asked() { docker logs --since "$since" "$container" 2>/dev/null | sed -nE 's#.*"GET (/.well-known/acme-challenge/)[^ ]* HTTP/[0-9.]+" ([0-9]{3}) .*#\2 \1#p'; }
for attempt in $(seq 20); do
  "$@" >"$out" 2>&1 & certbot=$!
  ( while sleep 1 && kill -0 "$certbot"; do if asked | grep -q '^[45]'; then sleep "$patience"; kill -INT "$certbot"; fi; done ) >/dev/null 2>&1 & watcher=$!
  wait "$certbot"; code=$?
  kill "$watcher" 2>/dev/null; wait "$watcher" 2>/dev/null
  grep -q 'Another instance of Certbot' "$out" || break
  sleep 2
done
cat "$out"
echo "#### certbot ended with $code"
asked
true"""
END = re.compile(r"^#### certbot ended with (\d+)\n", re.MULTILINE)
PROBLEM = re.compile(r"^  Domain: *(\S+)\n  Type: *(\S+)\n  Detail: *(.*)$", re.MULTILINE)
ERROR = re.compile(r"^(?:Failed to renew certificate \S+ with error|The error was): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Problem:
    """What the authority said of one name; `kind` is its ACME error type (RFC 8555, 6.7): dns, connection, unauthorized, ..."""

    domain: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """How a rehearsal went. `statuses` are those of nginx's answers to the authority; empty where it never came.

    `certificate` is its name in the params file, empty where nothing was rehearsed.
    """

    certificate: str
    lineage: str
    exit_code: int
    problems: tuple[Problem, ...]
    error: str
    statuses: tuple[int, ...]
    seconds: float

    @property
    def good(self) -> bool:
        """Whether a renewal would succeed now."""
        return self.exit_code == 0


def dry_run(values: Mapping[str, Any]) -> Fact[DryRun]:
    """Given the notebook's parameters (`certificate`, `rehearse`), return the fact."""
    wanted, asked = str(values.get("certificate", "")), bool(values.get("rehearse", True))

    def item(parameters: Parameters) -> Certificate | None:
        return selected_certificate(parameters, wanted) if wanted else next(iter(renewable(parameters).values()), None)

    def commands(parameters: Parameters) -> dict[str, Command]:
        found = item(parameters)
        if found is None or not asked:
            return {}
        certbot = (*parameters.certificates.certbot, "renew", "--cert-name", Places.of(found).name, "--dry-run")
        words = (
            container(parameters),
            str(PATIENCE_SECONDS),
            *certbot,
            "--no-random-sleep-on-renew",
            "--non-interactive",
        )
        return {"certbot": Command(("bash", "-c", REHEARSE, "rehearse", *words), sudo=True, timeout=LONGEST_SECONDS)}

    def parse(results: Mapping[str, Result], parameters: Parameters) -> DryRun:
        found = item(parameters)
        if found is None or "certbot" not in results:
            return DryRun("", "", 0, (), "", (), 0.0)
        return read(found, results["certbot"])

    return Fact("dry_run", commands, parse)


def read(item: Certificate, result: Result) -> DryRun:
    """Given the output of a rehearsal, return how it went. Raises ParseError for an output that is not one."""
    end = END.search(result.stdout)
    if end is None:
        raise ParseError("certbot renew --dry-run", result.stdout[-200:] or "(nothing)")
    told, code = result.stdout[: end.start()], int(end[1])
    error = ERROR.search(told)
    # certbot says "Saving debug log" first, and where to find help last: neither is the reason
    other = [line for line in told.splitlines() if line.strip(" -") and not line.startswith(("Saving debug", "Ask for help", "Processing", "Simulating"))]  # fmt: skip
    return DryRun(
        certificate=item.name,
        lineage=Places.of(item).name,
        exit_code=code,
        problems=tuple(Problem(*found) for found in PROBLEM.findall(told)),
        error="" if code == 0 else error[1] if error else (other[0] if other else f"exit code {code}"),
        statuses=tuple(int(line.split()[0]) for line in result.stdout[end.end() :].splitlines() if line[:3].isdigit()),
        seconds=round(result.duration_seconds, 1),
    )
