"""What runs against the compose file: the image of each tag, and what Compose would recreate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.checks import judge_condition, unknown
from runbook.facts import Missing
from runbook.verdict import State, Verdict

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.parameters import Parameters

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
    return [
        judge_condition(
            compose.would.get(container.name) == "Running" or not container.running,
            "services.drift",
            container.service,
            ok="made from the files as they are now",
            bad="Compose would recreate it: the file or its environment changed since it was made, and restart does not re-read them"
            if container.name in compose.would
            else "the compose file does not know this service",
            state=State.WARNING,
            value=compose.would.get(container.name, "unknown").lower(),
            limit="running",
            evidence=f"docker compose --dry-run create; it was made {container.created:%Y-%m-%d %H:%M:%S} UTC",
            next=CONTROL,
        )
        for container in found
    ]
