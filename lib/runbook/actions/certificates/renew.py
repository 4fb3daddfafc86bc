"""Renew one public certificate, and have it served. Pure."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from runbook.actions import stack
from runbook.actions.certificates import scripts
from runbook.changes.plan import Context, Plan, Step
from runbook.checks.renewal import WEEK_DAYS, explain
from runbook.checks.renewal_configs import obstacles
from runbook.commands import Command
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Missing
from runbook.facts.lineage import Places, renewable, selected_certificate
from runbook.facts.proxy import container, test_command

if TYPE_CHECKING:
    from runbook.facts.certificates import CertificateFact
    from runbook.facts.lineage import Lineage
    from runbook.parameters import Certificate, Parameters

RENEW_SECONDS, SERVED_SECONDS = 300.0, 30.0
DAY = 86_400


def renew(context: Context) -> Plan:
    """Given `certificate`, `force` and `rehearse`, return the plan. Raises ParametersError, PreflightError."""
    parameters = context.parameters
    item = _item(parameters, str(context.values.get("certificate", "")))
    places = Places.of(item)
    found, lineage = _seen(context, item)
    title = f"Renew {item.name} ({places.name}) and serve it"
    basis = {
        "on disk": found.disk.sha256 if found.disk else "",
        "served": found.served.sha256 if found.served else "",
        "live number": lineage.live,
    }
    begun = lineage.newest is not None and lineage.newest.written >= _moment(context.stamp)
    forced = bool(context.values.get("force", False))
    renewed = _newer_on_disk(found) and lineage.live is not None and not forced
    why_not = "" if begun else _proxy(context) or ("" if renewed else _why_not(context, item, found, lineage))
    if why_not:
        if context.values.get("apply", False):
            raise PreflightError(f"{item.name} is not renewed: {why_not}", remedy=_remedy(why_not))
        return Plan(title, parameters.target, context.stamp, basis=basis, nothing=why_not)
    if renewed and not begun:
        return Plan(
            f"Serve the certificate {item.name} ({places.name}) that was renewed already",
            parameters.target,
            context.stamp,
            steps=(
                test_nginx(parameters),
                reload_nginx(parameters, _disk_served(places, parameters)),
                _served(places, parameters),
            ),
            basis=basis,
            notes=("it lies renewed on the server and is only not served yet",),
        )
    notes = ["nothing was rehearsed (rehearse=False); a failed renewal counts against the authority's limits"] if not context.values.get("rehearse", True) else []  # fmt: skip
    return Plan(
        title,
        parameters.target,
        context.stamp,
        steps=_renewal(context, places),
        basis=basis,
        pinned={"certificate": item.name, "force": True},
        notes=tuple(notes),
        automatic_undo=True,
        # the authority's test instance may be away afterwards, and the week's count has grown: neither is the certificate's fault
        tolerates=("certificates.dry-run", "certificates.renewals"),
    )


def _item(parameters: Parameters, name: str) -> Certificate:
    known = renewable(parameters)
    found = selected_certificate(parameters, name)
    if found is None:
        listed = ", ".join(f"{item.name} (certbot's {Places.of(item).name})" for item in known.values()) or "none"
        raise ParametersError(
            "certificate", [f"{name[:80]!r}: certbot renews no such certificate here; there are: {listed}"],
            remedy="name one of them, or add it to the params file under certificates.items with kind: letsencrypt",
        )  # fmt: skip
    return found


def _seen(context: Context, item: Certificate) -> tuple[CertificateFact, Lineage]:
    """Return what was seen of the certificate. Raises PreflightError where there is no evidence."""
    all_found, lineages = context.facts.get("certificates"), context.facts.get("lineages")
    for fact in (all_found, lineages):
        if isinstance(fact, Missing):
            raise PreflightError(
                f"the certificates could not be looked at: {fact}", remedy="open 05-certificates/status first"
            )
    return next(one for one in all_found if one.name == item.name), lineages[item.name]


def _newer_on_disk(found: CertificateFact) -> bool:
    """Whether a later certificate, with its key, lies on disk than the one that is served."""
    disk, served = found.disk, found.served
    return disk is not None and served is not None and disk.not_before > served.not_before and found.key_matches is True


def _moment(stamp: str) -> dt.datetime:
    return dt.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)


def _proxy(context: Context) -> str:
    """Why nginx could not take a new certificate; empty where it can."""
    found = context.facts.get("proxy_config")
    if isinstance(found, Missing):
        return f"nginx could not be asked whether its configuration holds: {found}"
    return "" if found.valid else f"nginx would not reload, its configuration has an error: {found.problem}"


def _why_not(context: Context, item: Certificate, found: CertificateFact, lineage: Lineage) -> str:
    """Why this certificate is not to be renewed now; empty where it is."""
    settings, at = context.parameters.certificates, context.facts.at
    if found.disk is None:
        return f"there is none to renew: {found.disk_error}"
    days = (found.disk.not_after - at).total_seconds() / DAY
    if days > settings.renew_within_days and not context.values.get("force", False):
        return f"it is not due: {days:.0f} days are left, and it is renewed when {settings.renew_within_days:g} days are left; force=True renews it all the same"
    if found_in_the_way := obstacles(context.facts, item.name):
        return f"certbot could not renew it: {'; '.join(found_in_the_way)}"
    count = lineage.issued_within(at, WEEK_DAYS, before=_moment(context.stamp))
    if count >= settings.renewals_per_week:
        return f"{count} certificates for {item.name} were issued within the last 7 days, and the authority allows {settings.renewals_per_week}"
    return _rehearsed(context, lineage)


def _rehearsed(context: Context, lineage: Lineage) -> str:
    """Why the rehearsal speaks against a renewal; empty where it does not, or none was asked for."""
    rehearsal = context.facts.get("dry_run")
    if isinstance(rehearsal, Missing):
        return f"the rehearsal gave no answer: {rehearsal}"
    if rehearsal.certificate and not rehearsal.good:
        return f"the rehearsal failed, so a renewal would fail too: {explain(rehearsal, lineage)}"
    return ""


def _remedy(why_not: str) -> str:
    if "force=True" in why_not:
        return "wait until it is due (the timer renews it by itself), or run again with force=True"
    if "the authority allows" in why_not:
        return "wait until fewer than that lie within seven days; nothing was changed"
    return "mend that first, then run again; nothing was changed"


def _renewal(context: Context, places: Places) -> tuple[Step, ...]:
    parameters, kept = context.parameters, f"{context.work}/kept"
    name = container(parameters)
    back = (
        Step(
            "put-back-lineage",
            stack.script(
                scripts.PUT_BACK_LINEAGE, kept, places.archive, places.conf, places.live,
                why=f"put the certificate from before back; the new one is kept in {context.work}/replaced",
            ),
            affects=places.live,
        ),
        Step(
            "reload-nginx",
            stack.script(scripts.RELOAD_IF_VALID, name, why="have nginx read the certificate from before", sudo=False),
            affects="nginx",
        ),
        _served(places, parameters, why="the certificate from before is served again"),
    )  # fmt: skip
    certbot = (*parameters.certificates.certbot, "renew", "--cert-name", places.name, "--force-renewal",
               "--no-random-sleep-on-renew", "--non-interactive")  # fmt: skip
    log = Command(("tail", "-n", "40", "/var/log/letsencrypt/letsencrypt.log"), sudo=True, why="certbot's own log")
    done = Command(("bash", "-c", scripts.RENEWED, "renewed", kept, places.live), sudo=True)
    reloaded = Command(
        ("bash", "-c", scripts.RENEWED_AND_SERVED, "reloaded", kept, places.live, name, parameters.web.name),
        sudo=True,
        timeout=20,
    )
    return (
        stack.keep(context.work, places.live, places.archive, places.conf, name="keep-lineage"),
        Step(
            "renew",
            Command(certbot, sudo=True, timeout=RENEW_SECONDS, changes=True, why=f"renew {places.name}, and no other certificate"),
            affects=places.live,
            undo=back,
            done=done,
            evidence=(log,),
            output=True,
        ),
        test_nginx(parameters),
        reload_nginx(parameters, reloaded),
        _served(places, parameters),
    )  # fmt: skip


def test_nginx(parameters: Parameters) -> Step:
    """Return the proof that nginx's configuration holds."""
    asked = test_command(parameters)
    return Step(
        "test-nginx", Command(asked.argv, why="nginx's configuration holds, with the certificate that lies there now")
    )


def reload_nginx(parameters: Parameters, done: Command | None = None) -> Step:
    """Return the step that has nginx read its files again; `done` tells that it has."""
    argv = ("docker", "exec", container(parameters), "nginx", "-s", "reload")
    return Step(
        "reload-nginx",
        Command(argv, changes=True, why="have nginx read the certificate; open connections are not cut"),
        affects="nginx",
        no_undo="nginx serves what lies on disk; put that back and reload",
        done=done,
        evidence=stack.evidence(parameters, ["nginx"]),
    )


def _disk_served(places: Places, parameters: Parameters) -> Command:
    argv = ("bash", "-c", scripts.DISK_SERVED, "served", places.live, container(parameters), parameters.web.name)
    return Command(argv, sudo=True, timeout=20)


def _served(
    places: Places, parameters: Parameters, why: str = "the certificate on disk is the one that is served"
) -> Step:
    asked = _disk_served(places, parameters)
    command = Command(asked.argv, sudo=True, timeout=asked.timeout, why=why)
    return Step("prove-served", command, within_seconds=SERVED_SECONDS, evidence=stack.evidence(parameters, ["nginx"]), output=True)  # fmt: skip
