"""What runs against the compose file: the image of each tag, and what Compose would recreate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runbook.facts import Facts
    from runbook.facts.service_configs import ServiceConfig
    from runbook.facts.services import Container
    from runbook.parameters import Parameters

NOT_READ = "a restart does not re-read it"
COMPARED = "image, command, environment, ports, volumes, networks, memory, logging, health check"
STATUS, CONTROL = "02-services/status", "02-services/control"


def image(facts: Facts, parameters: Parameters) -> list[Verdict]:
    """Every container runs the image that its tag means now, and the one the params file names, where it names one."""
    found, images = facts.get("containers"), facts.get("images")
    if isinstance(images, Missing):
        return [unknown("services.image", "images", images, next_notebook=STATUS)]
    if isinstance(found, Missing):
        return []  # services.state says so
    now = {item.reference: item for item in images} | {
        by_digest(item.reference, item.digest): item for item in images if item.digest
    }
    verdicts = []
    for service in parameters.stack.services:
        container = found.expected.get(service.name)
        if container is None:
            continue
        named, _, pinned = container.reference.partition("@")
        tagged = now.get(by_digest(named, pinned) if pinned else named)
        digest = (tagged.digest if tagged else "") or container.image
        same = tagged is not None and tagged.id == container.image
        wanted = service.image in {None, container.reference}
        reason = (
            f"the params file names {service.image}"
            if not wanted
            else "its tag means another image now: it was pulled but not recreated"
            if tagged
            else "its tag no longer exists on the server"
        )
        verdicts.append(
            judge_condition(
                same and wanted,
                "services.image",
                service.name,
                ok="runs the image of its tag",
                bad=reason,
                state=State.WARNING,
                value=container.reference,
                limit=service.image or "the tag's image",
                evidence=f"runs {container.image[:19]}, tag is {digest[:19]}",
                next=CONTROL,
            )
        )
    return verdicts


def by_digest(reference: str, digest: str) -> str:
    """Return an image's name with its digest and without its tag.

    >>> by_digest("localhost:5000/name:1.0", "sha256:00"), by_digest("localhost:5000/name", "sha256:00")
    ('localhost:5000/name@sha256:00', 'localhost:5000/name@sha256:00')
    """
    folder, slash, name = reference.rpartition("/")
    return f"{folder}{slash}{name.partition(':')[0]}@{digest}"


def drift(facts: Facts, _parameters: Parameters) -> list[Verdict]:
    """Every container was made from the compose file and environment as they are now (a restart does not re-read them)."""
    found, compose = facts.get("containers"), facts.get("compose")
    if isinstance(compose, Missing):
        return [unknown("services.drift", "compose file", compose, next_notebook="01-access/server-inventory")]
    if not compose.valid:
        return [
            Verdict(
                State.CRITICAL,
                "services.drift",
                "compose file",
                "Compose refuses the file: nothing can be recreated",
                value="refused",
                limit="accepted",
                evidence=compose.error,
                next="01-access/server-inventory",
            )
        ]
    if isinstance(found, Missing):
        return []  # services.state says so
    configs = facts.get("service_configs")
    known: dict[str, ServiceConfig] = {} if isinstance(configs, Missing) else configs
    would = {container.service: compose.would.get(container.name, "") for container in found}
    return [_drift(container, would, known) for container in found]


def _drift(container: Container, would: dict[str, str], known: dict[str, ServiceConfig]) -> Verdict:
    doing = would[container.service]
    good, reason = True, "made from the files as they are now"
    if container.running and doing != "Running":
        good, reason = explain_drift(container.service, would, known)
    return judge_condition(
        good,
        "services.drift",
        container.service,
        ok=reason,
        bad=reason,
        state=State.WARNING,
        value=doing.lower() or "unknown",
        limit="running",
        evidence=f"docker compose --dry-run create; it was made {container.created:%Y-%m-%d %H:%M:%S} UTC",
        next=CONTROL,
    )


def explain_drift(service: str, would: dict[str, str], known: dict[str, ServiceConfig]) -> tuple[bool, str]:
    """Return whether a service that Compose would not leave alone is all right, and why Compose would make it anew."""
    config = known.get(service)
    if not would[service]:
        return False, "the compose file does not know this service"
    if config is None or not config.made:
        return False, f"Compose would recreate it: the file or its environment changed since it was made, {NOT_READ}"
    along = [name for name in config.depends_on if would.get(name, "Running") != "Running"]
    # the first that is so explains it; whether that is all right stands behind it
    explained: tuple[tuple[object, bool, str], ...] = (
        (config.variables, False, f"its environment was changed since it was made: {_named(config.variables)}; {NOT_READ}"),
        (config.other_image and "image" not in config.settings, False, "its tag means another image now than the one it was made from"),
        (config.made == "alone", True, "made from the files as they are now, without all its dependencies (up --no-deps)"),
        (config.made == "as stated" and along, True, f"made from the files as they are now; Compose would make it anew along with {_named(along)}, which it depends on"),
        (config.made == "as stated", False, "Compose would recreate it, although its settings and its image are those that it was made from"),
        (config.settings, False, f"the compose file was changed since it was made: {_named(config.settings)}; {NOT_READ}"),
        (config.made_by, True, f"made by Compose {config.made_by}, which counts settings in another way; none of those compared differs"),
    )  # fmt: skip
    other = f"the compose file was changed since it was made, in none of these settings: {COMPARED}"
    return next(((good, reason) for so, good, reason in explained if so), (False, other))


def _named(names: Iterable[str]) -> str:
    return ", ".join(names)
