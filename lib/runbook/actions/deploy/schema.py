"""Whether an image and the database's schema fit: neither may be ahead of the other without somebody's decision. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runbook.errors import PreflightError
from runbook.facts import Missing

if TYPE_CHECKING:
    from runbook.changes.plan import Context
    from runbook.facts.deploy import Found
    from runbook.facts.revisions import Revisions

MIGRATE, MIGRATE_BACK = "03-deploy/migrate", "03-deploy/migrate-rollback"


def database_revision(context: Context) -> str:
    """Return the database's revision; "" for one that alembic never touched. Raises PreflightError without evidence."""
    found = context.facts.get("database")
    if isinstance(found, Missing):
        raise PreflightError(f"the database's revision is not known: {found}", remedy="open 06-database/size first")
    if "revision" in found.unanswered:
        if "does not exist" in found.unanswered["revision"]:
            return ""
        raise PreflightError(
            f"the database's revision is not known: {found.unanswered['revision']}",
            remedy="open 06-database/size first",
        )
    rows = [str(row["revision"]) for row in found.rows("revision")]
    if len(rows) > 1:
        raise PreflightError(
            f"the database is at several revisions at once: {', '.join(rows)}",
            remedy="merge the branches of the migrations first",
        )
    return rows[0] if rows else ""


def refuse_stranger(found: Found, *, accepted: str = "") -> None:
    """Raise PreflightError where nobody here knows the database's revision: no migration can start from it.

    `accepted` is a revision that the operator decided on. What is known is told: who knows it, and when it came.
    """
    strange = found.stranger
    if strange is None or strange.at == accepted:
        return
    when = f"; it came {strange.came} UTC" if strange.came else ""
    others = found.schema is not None and found.tag != found.now_tag
    images = f"{found.now_tag} (running) and {found.tag} do" if others else f"{found.now_tag} (running) does"
    unread = (
        ""
        if found.there or found.runs_already
        else f" ({found.tag} is not on the server, so nobody can say what it knows)"
    )
    remedy = (
        f"{', '.join(strange.knowing)} on this server knows it: name it with version=..."
        if strange.knowing
        else f"no image on the server knows it (asked: {', '.join(strange.asked) or 'none'}): find out who migrated the database, or bring back a backup from before with 06-database/restore"
    )
    if unread:
        remedy += f"; to see whether {found.tag} knows it: docker pull {found.by_digest}, then run this again"
    raise PreflightError(f"the database is at {strange.at}, which {images} not know{when}{unread}", remedy=remedy)


def refuse_unfit(version: str, at: str, image: Revisions, *, allowed: str = "", accepted: str = "") -> None:
    """Raise PreflightError where an image needs a revision that the database lacks, or does not know the one it is at.

    `allowed` are revisions that the image itself declares to run on, `accepted` the one that the operator decided on.
    """
    if at in image.heads:
        return
    heads = " ".join(image.heads) or "none"
    if at in image.known or not at:
        pending = [name for head in image.heads for name in image.between(at, head)]
        listed = "; ".join(f"{name} {image.known[name][1]}".strip() for name in pending)
        raise PreflightError(
            f"{version} needs the database at revision {heads}, and it is at {at or 'none'}; pending: {listed}",
            remedy=f"run {MIGRATE} with version={version} first",
        )
    if at in allowed.replace(",", " ").split() or at == accepted:
        return
    raise PreflightError(
        f"the database is at revision {at}, which {version} (made for {heads}) does not know: what was written since may be lost to it, or break it",
        remedy=f"take the database back first with {MIGRATE_BACK}; or, if you know that {version} runs on {at}, decide so with accept_schema={at}",
    )
