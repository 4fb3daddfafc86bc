"""Deploy a version of the backend or the frontend, and go back to an earlier one. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runbook.actions.deploy import schema
from runbook.actions.deploy.rollout import Rollout
from runbook.changes.plan import Context, Plan
from runbook.checks.dumps import newest_fault
from runbook.errors import ParametersError, PreflightError
from runbook.facts import Missing
from runbook.facts.deploy import settings_of

if TYPE_CHECKING:
    from runbook.facts.deploy import Found

PLAIN = re.compile(r"[A-Za-z0-9_.:@/+\"'-]*", re.ASCII)  # texts of the variable that can be put back as they were
BACKUP, STATUS = "06-database/backup", "02-services/status"
SETTLE_SECONDS = 15


def backend(context: Context) -> Plan:
    """Given `version`, return the plan. Raises PreflightError, ParametersError."""
    return _release(context, "backend", "Deploy backend")


def backend_rollback(context: Context) -> Plan:
    """Given `to` (empty: the version before), return the plan. Raises PreflightError, ParametersError."""
    found = found_release(context)
    wanted = str(context.values.get("to", "")).strip()
    if not found.version and not wanted:
        title, nothing = (
            "Roll the backend back",
            "no earlier version is in the history of deploys; name one in `to` by its tag and digest",
        )
        return Plan(title, context.parameters.target, context.stamp, nothing=nothing)
    if not found.version:
        raise PreflightError(
            f"{wanted!r} was never deployed here",
            remedy='name it with its digest, to="1.0.0@sha256:...", or deploy it with 03-deploy/backend',
        )
    return _release(context, "backend", "Roll the backend back")


def frontend(context: Context) -> Plan:
    """Given `version`, return the plan. Raises PreflightError, ParametersError."""
    return _release(context, "frontend", "Deploy frontend")


def found_release(context: Context) -> Found:
    """Return the fact about the release. Raises PreflightError without evidence."""
    found: Found | Missing = context.facts.get("release")
    if isinstance(found, Missing):
        raise PreflightError(f"the release could not be looked at: {found}", remedy=f"open {STATUS} first")
    return found


def _release(context: Context, part: str, title: str) -> Plan:
    found = found_release(context)
    settings = settings_of(context.parameters, part)
    began = next(
        (line for line in found.history if line.get("run") == context.stamp and line.get("event") == "begun"), None
    )
    _refuse_files(context, found, part, resumed=began is not None)
    refuse_image(context, found)
    at = ""
    if part == "backend":
        _refuse_backup(context)
        at = schema.database_revision(context)
        if found.schema is None:
            schema.refuse_stranger(found, accepted=_accepted(context))
        else:
            label = found.labels.get(context.parameters.deploy.schema_label or "", "")
            schema.refuse_unfit(found.tag, at, found.schema, allowed=label, accepted=_accepted(context))
    goal = f"{title}: {found.now_tag or found.now_digest[:19] or 'nothing'} to {found.tag}"
    basis = {
        "image": found.by_digest, "variable": found.variable, "running": dict(found.running), "revision": at, "accepted": _accepted(context),
    }  # fmt: skip
    target, stamp = context.parameters.target, context.stamp
    if found.runs_already and began is None:
        return Plan(goal, target, stamp, basis=basis, nothing=f"{part} runs {found.tag} ({found.digest[:19]}) already")
    rollout = Rollout(
        context.parameters, settings, part, found, stamp, context.work,
        before=began["from_variable"] if began else found.variable,
        from_version=began["from_version"] if began else found.now_tag,
        from_digest=began["from_digest"] if began else found.now_digest,
        accepted=_accepted(context),
    )  # fmt: skip
    return Plan(
        goal, target, stamp, steps=rollout.steps(), basis=basis, pinned={"to" if "to" in context.values else "version": found.pinned},
        notes=_notes(context, found, part), automatic_undo=True, settle_seconds=SETTLE_SECONDS, only_new=("deploy.errors",),
        losses=("the old containers' logs go with them; they are saved before",),
    )  # fmt: skip


def _accepted(context: Context) -> str:
    return str(context.values.get("accept_schema", "")).strip()


def _refuse_files(context: Context, found: Found, part: str, *, resumed: bool) -> None:
    stack = context.parameters.stack
    variable = settings_of(context.parameters, part).variable
    if found.compose_error:
        raise PreflightError(
            f"Compose refuses its files: {found.compose_error}", remedy=f"mend {stack.compose_file} first"
        )
    if len(found.images_wanted) != 1:
        listed = ", ".join(found.images_wanted) or "none"
        raise PreflightError(
            f"the services of the {part} do not run one image: {listed}",
            remedy=f"name services of one image in deploy.{part}.services",
        )
    if found.images_wanted == found.images_now and found.version not in {found.variable, found.now_tag} and not resumed:
        image = found.images_now[0]
        raise PreflightError(
            f"the compose file does not take the version from {variable}: its image is {image} whatever the variable says",
            remedy=f"in {stack.compose_file} write image: {image.partition('@')[0].rpartition(':')[0]}:${{{variable}}}, and {variable}={found.now_tag} in {stack.env_file}; or name the variable in deploy.{part}.variable",
        )  # fmt: skip
    if isinstance(context.facts.get("compose"), Missing):
        raise PreflightError(
            f"Compose does not say what it would do: {context.facts.get('compose')}", remedy=f"open {STATUS} first"
        )
    moved = _would_change(context, found.needs)
    if moved and not resumed:
        raise PreflightError(
            f"{', '.join(moved)}: the {part} depends on it, and Compose would start it or make it anew at the same time: its files changed, or it does not run",
            remedy="bring it in order by itself first, with 02-services/control",
        )
    if found.variable is not None and not PLAIN.fullmatch(found.variable):
        raise PreflightError(
            f"the text of {variable} in {stack.env_file} could not be put back as it is",
            remedy="write it as a plain word, without spaces",
        )


def _would_change(context: Context, services: tuple[str, ...]) -> list[str]:
    """Return those services of which Compose would now make or start the container."""
    boxes = {service.name: service.container for service in context.parameters.stack.services}
    would = context.facts.compose.would
    return [name for name in services if would.get(boxes.get(name, ""), "Running") != "Running"]


def refuse_image(context: Context, found: Found) -> None:
    """Raise PreflightError where the image is neither here nor to be had, or there is no room for it."""
    if not found.there and found.registry_error:
        known = "no such manifest" in found.registry_error or "manifest unknown" in found.registry_error
        if known:
            raise PreflightError(
                f"there is no {found.tag} in the registry: {found.registry_error}",
                remedy="check the version's name, and that it was pushed",
            )
        raise PreflightError(
            f"the registry cannot be asked for {found.tag}: {found.registry_error}",
            remedy="wait for the registry, or mend its login on the server (docker login); what runs is untouched",
        )  # fmt: skip
    needed = (found.pull_bytes or 0) * context.parameters.deploy.unpacked_factor
    if not found.there and needed > found.free_bytes:
        raise PreflightError(
            f"the disk is too full for the pull: {found.root} has {found.free_bytes / 1e6:.0f} MB free, and the layers need about {needed / 1e6:.0f} MB unpacked",
            remedy="make room first: open 04-health/detailed, which names what can be freed",
        )  # fmt: skip


def _refuse_backup(context: Context) -> None:
    hours = checked_hours(context)
    copies = context.facts.get("copies")
    if isinstance(copies, Missing):
        raise PreflightError(f"the backups could not be looked at: {copies}", remedy="open 07-backup/coverage first")
    names = [item.name for item in context.parameters.backup.classes if item.kind == "database"]
    found = sorted(
        (copy for name in names for copy in copies.get(name, ())), key=lambda copy: copy.modified, reverse=True
    )
    newest = context.facts.get("newest_dump")
    foreign = "" if isinstance(newest, Missing) else newest_fault(newest, context.parameters)
    good = [copy for copy in found if copy.has_checksum and not (foreign and copy.path == newest.path)]
    if not good:
        raise PreflightError(
            f"there is no backup of the database with a checksum beside it{f', but {newest.name}: {foreign}' if foreign else ''}",
            remedy=f"make one first: {BACKUP}",
        )
    age = (context.facts.at - good[0].modified).total_seconds() / 3600
    if age > hours:
        raise PreflightError(
            f"the newest backup of the database is {age:.1f} hours old, more than {hours:g}", remedy=f"make one first: {BACKUP}; or, if that one will do, raise backup_hours"
        )  # fmt: skip


def checked_hours(context: Context) -> float:
    """Return the notebook's `backup_hours`. Raises ParametersError for what is no age."""
    hours = float(context.values.get("backup_hours", 26))
    if hours <= 0:
        raise ParametersError("backup_hours", [f"{hours:g} is no age"], remedy="give hours, such as 26")
    return hours


def _notes(context: Context, found: Found, part: str) -> tuple[str, ...]:
    notes = []
    if part == "backend" and found.schema is None:
        notes.append(
            "which database revision the new version needs is known once it is pulled; the plan stops before the swap if the database is not there"
        )
    if found.variable is not None and "@" not in found.variable:
        notes.append(
            "from now on the variable holds tag and digest: what runs can no longer change under the same name"
        )
    stale = _would_change(context, settings_of(context.parameters, part).services)
    if stale:
        notes.append(
            f"{', '.join(stale)}: files changed since the container was made; the swap brings these changes in, too"
        )
    if part == "frontend":
        notes.append(
            "services that read the whole environment file will be told to be made anew by their next up, since a line of it changed"
        )
    return tuple(notes)
