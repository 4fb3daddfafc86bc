"""Have the web server serve the certificate that is stored: it reads it at its start, or when it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.actions import stack
from runbook.actions.certificates.renew import reload_nginx, test_nginx
from runbook.changes.plan import Context, Plan
from runbook.errors import PreflightError
from runbook.facts import Missing

if TYPE_CHECKING:
    from runbook.triage import Cause


def serve_stored(context: Context, cause: Cause) -> Plan:
    """Return the plan that reloads the web server. Raises PreflightError where what is stored is no better than what is served."""
    web, stored = context.facts.get("web"), context.facts.get("certificates")
    if isinstance(web, Missing) or web.certificate is None or isinstance(stored, Missing):
        raise PreflightError("the certificates could not be compared", remedy="open 05-certificates/status first")
    names = {item.name for item in context.parameters.certificates.items if item.served_by == "https"}
    better = [item for item in stored if item.name in names and item.not_after > web.certificate.not_after]
    if not better:
        raise PreflightError(
            f"{cause.row.subject}: {cause.row.reason}: what is stored is no newer than what is served, so a reload would change nothing",
            remedy="open 05-certificates/renew: it gets a new certificate",
        )
    parameters = context.parameters
    steps = (test_nginx(parameters), reload_nginx(parameters), *stack.served(parameters))
    return Plan(
        "Serve the certificate that is stored",
        parameters.target,
        context.stamp,
        steps=steps,
        basis={"until": str(better[0].not_after)},
    )
