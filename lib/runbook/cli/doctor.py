"""./runbook doctor."""

from __future__ import annotations

import click

from runbook.errors import EXIT_FAILED


@click.command()
@click.option("-t", "--target", help="Also connect to this target (default: sandbox, where it is up).")
@click.option("--offline", is_flag=True, help="Connect to nothing.")
def doctor(target: str | None, *, offline: bool) -> int:
    """Check Python, the environment, Docker, ports, disk space, ssh and the target; name the remedy of each."""
    from runbook import doctor as look  # noqa: PLC0415 (--help does not need it)
    from runbook.parameters import sandbox_home  # noqa: PLC0415 (as above)

    findings = []
    for check in (*look.CHECKS, look.notebooks):
        findings.append(check())
        _tell(findings[-1])
    if not offline and (target or (sandbox_home() / "sandbox" / "ports.json").exists()):
        for finding in look.target(target or "sandbox"):
            findings.append(finding)
            _tell(finding)
    elif not offline:
        click.echo("          target: the practice server is not up (./runbook sandbox up); others with --target NAME")
    bad = [finding for finding in findings if finding.state == "CRITICAL"]
    click.echo(f"\n{len(bad)} of {len(findings)} need mending." if bad else "\nEverything that is needed is there.")
    return EXIT_FAILED if bad else 0


def _tell(finding: object) -> None:
    state, what = getattr(finding, "state", ""), getattr(finding, "what", "")
    click.echo(f"{state:8}  {what}: {getattr(finding, 'seen', '')}")
    if getattr(finding, "remedy", ""):
        click.echo(f"{'':8}    what to do: {getattr(finding, 'remedy', '')}")
