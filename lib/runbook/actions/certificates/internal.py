"""Make an internal set of certificates anew with the host's script, and have everything that uses it use it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.actions import stack
from runbook.actions.certificates import scripts
from runbook.changes.plan import Context, Plan, Step
from runbook.commands import Command
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Missing

if TYPE_CHECKING:
    from runbook.parameters import Certificate, InternalSet, Parameters

SCRIPT_SECONDS, TRUSTED_SECONDS = 120.0, 60.0
RESTART_SECONDS = 5.0
STORE_HEALTH = "/minio/health/live"
QUIET_SERVICES = frozenset({"arq-worker", "clamav"})  # users do not notice their restart


def internal(context: Context) -> Plan:
    """Given `which` ("postgres", "minio"), return the plan. Raises ParametersError, PreflightError."""
    parameters = context.parameters
    which = str(context.values.get("which", ""))
    made = _set(parameters, which)
    item = next((one for one in parameters.certificates.items if one.name == made.certificate), None)
    if item is None or item.key is None or item.chain is None or not item.served_at:
        raise ParametersError(
            f"certificates.internal.{which}",
            [
                f"the certificate {made.certificate!r} is not among certificates.items with path, key, chain and served_at"
            ],
            remedy="mend the params file; see params/production.example.yaml",
        )
    found = context.facts.get("certificates")
    if isinstance(found, Missing):
        raise PreflightError(
            f"the certificates could not be looked at: {found}", remedy="open 05-certificates/status first"
        )
    now = next(one for one in found if one.name == item.name)
    services = stack.ordered(parameters, made.services)
    others = [one.name for one in parameters.certificates.items if one.name != item.name and one.kind == "internal" and one.chain == item.chain]  # fmt: skip
    notes = [
        f"{name} is issued by the same authority ({item.chain}): if the script makes a new one it no longer fits; the step "
        "prove-chains finds that before anything is restarted, and the set from before is put back"
        for name in others
    ]
    return Plan(
        f"Make the certificates of {which} anew and have {', '.join(services)} use them",
        parameters.target,
        context.stamp,
        steps=(*_make(context, made, item, services), *_use(context, made, item, services), *stack.served(parameters)),
        basis={
            "on disk": now.disk.sha256 if now.disk else "",
            "served": now.served.sha256 if now.served else "",
            "services": list(services),
        },
        pinned={"which": which},
        notes=tuple(notes),
        automatic_undo=True,
    )


def _set(parameters: Parameters, which: str) -> InternalSet:
    known = parameters.certificates.internal
    if which not in known:
        raise ParametersError(
            "which", [f"{which[:80]!r}: no such set of certificates; there are: {', '.join(known) or 'none'}"],
            remedy="name one of them, or add it to the params file under certificates.internal",
        )  # fmt: skip
    return known[which]


def _words(context: Context, item: Certificate) -> tuple[str, ...]:
    return (f"{context.work}/kept", item.path, item.key or "", item.chain or "")


def _make(context: Context, made: InternalSet, item: Certificate, services: tuple[str, ...]) -> tuple[Step, ...]:
    parameters = context.parameters
    keep = stack.keep(context.work, made.directory, name="keep-set")
    back = Step(
        "put-back-set",
        stack.script(scripts.PUT_BACK_SET, f"{context.work}/kept", made.directory, why=f"put the files from before back into {made.directory}"),
        affects=made.directory,
    )  # fmt: skip
    restart = Step(
        "restart-changed",
        stack.script(
            scripts.RESTART_SINCE, f"{context.work}/kept", *stack.containers(parameters, services),
            why="restart those that were restarted with the new files", seconds=180,
        ),
        affects=", ".join(services),
    )  # fmt: skip
    served = Command(
        ("bash", "-c", scripts.FILE_SERVED, "served", item.path, *_place(parameters, item)), sudo=True, timeout=20,
        why="the certificate from before is served",
    )  # fmt: skip
    undo = (
        back,
        restart,
        stack.healthy(parameters, services),
        Step("prove-served", served, within_seconds=TRUSTED_SECONDS),
    )
    make = Step(
        "make-set",
        Command((made.script,), sudo=True, timeout=SCRIPT_SECONDS, changes=True, why=f"make a new authority and certificate in {made.directory}"),
        affects=made.directory,
        undo=undo,
        done=Command(("bash", "-c", scripts.MADE, "made", *_words(context, item)), sudo=True),
        output=True,
    )  # fmt: skip
    # what did not fit before is no fault of this script
    fitting = {one.name for one in context.facts["certificates"] if one.chain_ok}
    chains = [
        word
        for one in parameters.certificates.items
        if one.chain is not None and (one.name == item.name or one.name in fitting)
        for word in (one.path, one.chain)
    ]
    prove = Step(
        "prove-chains",
        Command(("bash", "-c", scripts.CHAINS_HOLD, "chains", *chains), sudo=True, why="the new certificate is issued by its authority, and those that fitted theirs before still do"),
    )  # fmt: skip
    return keep, make, prove


def _place(parameters: Parameters, item: Certificate) -> tuple[str, str, str, str]:
    """Return container, port, starttls protocol and name of what serves a certificate."""
    host, _, port = (item.served_at or "").rpartition(":")
    return parameters.stack.container(host), port, "postgres" if item.served_by == "postgres" else "no", host


def _restart(context: Context, item: Certificate, service: str) -> Step:
    parameters = context.parameters
    name = parameters.stack.container(service)
    done = Command(
        ("bash", "-c", scripts.MADE_AND_STARTED, "started", *_words(context, item), name), sudo=True, timeout=20
    )
    return Step(
        f"restart-{service}",
        stack.compose(parameters, "restart", service, why=f"restart {service}, which reads its files at start only"),
        affects=service,
        downtime_seconds=0 if service in QUIET_SERVICES else RESTART_SECONDS,
        no_undo="taken back with make-set",
        done=done,
        evidence=stack.evidence(parameters, [service]),
    )  # fmt: skip


def _use(context: Context, made: InternalSet, item: Certificate, services: tuple[str, ...]) -> tuple[Step, ...]:
    parameters = context.parameters
    name, port, _, host = place = _place(parameters, item)
    steps: list[Step] = []
    for service in services:
        steps += [_restart(context, item, service), stack.healthy(parameters, [service], name=f"wait-{service}")]
    trusted = ("bash", "-c", scripts.TRUSTED, "trusted", item.path, item.chain or "", *place)
    steps.append(
        Step(
            "prove-tls",
            Command(trusted, sudo=True, timeout=20, why=f"{host} serves the new certificate to a client that trusts the new authority alone"),
            within_seconds=TRUSTED_SECONDS,
            evidence=stack.evidence(parameters, [host]),
            output=True,
        )
    )  # fmt: skip
    if item.served_by == "tls":
        store = ("bash", "-c", scripts.STORE_ANSWERS, "store", f"{host}:{port}", item.chain or "", name, STORE_HEALTH)
        steps.append(
            Step("prove-store", Command(store, sudo=True, why="the object store answers over it"), within_seconds=30)
        )
    callers = [word for service, place in made.authority.items() for word in (parameters.stack.container(service), place)]  # fmt: skip
    if callers:
        same = ("bash", "-c", scripts.SAME_FILE, "same", item.chain or "", *callers)
        why = f"{', '.join(made.authority)} see the new authority, not the file from before"
        steps.append(Step("prove-authority", Command(same, sudo=True, timeout=20, why=why)))
    return tuple(steps)
