"""Have the web server serve the certificate that is stored: it reads it at its start, or when it is told to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.actions import stack
from runbook.changes.plan import Context, Plan, Step
from runbook.errors import PreflightError
from runbook.facts import Missing
from runbook.facts.proxy import container, test_command

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
    steps = (
        Step("test-configuration", test_command(parameters)),
        Step(
            "reload",
            stack.script(
                'docker exec "$1" nginx -s reload',
                container(parameters),
                why="have the web server read the stored certificate",
                sudo=False,
            ),
            affects="nginx",
            no_undo="a reload reads the files as they are; to go back, put the files back and reload",
        ),
        *stack.served(parameters),
    )
    return Plan(
        "Serve the certificate that is stored",
        parameters.target,
        context.stamp,
        steps=steps,
        basis={"until": str(better[0].not_after)},
    )
