"""./runbook params: is a target's params file right?"""

from __future__ import annotations

import click


@click.group()
def params() -> None:
    """The params files: one for each target, in params/."""


@params.command("list")
def list_() -> None:
    """List the targets."""
    from runbook.parameters import targets  # noqa: PLC0415 (--help does not need it)

    click.echo("\n".join(targets()) or "none yet: copy params/production.example.yaml to params/<name>.yaml")


@params.command()
@click.argument("target")
def check(target: str) -> None:
    """Check the params file of TARGET: every problem at once, with its line. Connects to nothing."""
    import datetime as dt  # noqa: PLC0415 (--help does not need it)

    from runbook.parameters import load  # noqa: PLC0415 (as above)

    found = load(target)
    click.echo(
        f"OK: {target} is {found.purpose} ({found.environment}); {len(found.stack.services)} services, "
        f"{len(found.certificates.items)} certificates, {len(found.backup.classes)} backup classes, {len(found.known_exceptions)} known exceptions."
    )
    today = dt.datetime.now(dt.UTC).date()
    for item in found.known_exceptions:
        if item.expires <= today:
            click.echo(
                f"note: the known exception {item.check} of {item.subject} has expired on {item.expires}; it is a finding again"
            )
    if found.about.next_review and found.about.next_review < today:
        click.echo(f"note: the review of this file was due on {found.about.next_review}")
