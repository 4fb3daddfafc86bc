"""A release: what runs beside what is wanted, and what was deployed before."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from runbook.facts import Missing
from runbook.tables.shown import count, shown
from runbook.tables.table import Table, size

if TYPE_CHECKING:
    from runbook.facts import Facts
    from runbook.facts.deploy import Found
    from runbook.facts.revisions import Revisions
    from runbook.verdict import Verdicts

SHORT_DIGEST = 19  # "sha256:" and twelve digits, as Docker shortens them
MOST_EARLIER = 15


@shown("release")
def release(fact: Found, facts: Facts, _verdicts: Verdicts | None) -> Table:
    """Return what runs and what is wanted, side by side."""
    rows: list[tuple[str, str, str]] = [
        ("version", fact.now_tag or "no tag", fact.tag or "none found"),
        (
            "digest",
            fact.now_digest[:SHORT_DIGEST] or "none",
            fact.digest[:SHORT_DIGEST] or fact.registry_error or "not known",
        ),
        ("on the server", "yes" if fact.now_id else "no", "yes" if fact.there else "no: it will be pulled"),
        ("to download", "-", "-" if fact.there or fact.pull_bytes is None else size(fact.pull_bytes)),
        ("free for images", size(fact.free_bytes), "-"),
    ]
    if fact.schema_now is not None or fact.schema is not None:
        rows.append(("database revision it is made for", _heads(fact.schema_now), _heads(fact.schema)))
        rows.append(("database revision there is", _revision(facts), "-"))
    return Table.of(
        ("what", "runs now", "wanted"), rows, title=f"{fact.repository or 'the image'}: what runs, and what is wanted"
    ).all


@shown("release")
def deploys(fact: Found, facts: Facts, _verdicts: Verdicts | None) -> Table:
    """Return the history of deploys on the server, newest first."""
    rows = []
    for line in reversed(fact.history):
        at = dt.datetime.fromisoformat(str(line["time"]))
        rows.append(
            (facts.at - at, line.get("part"), line.get("event"), line.get("version"), str(line.get("digest", ""))[:SHORT_DIGEST],
             line.get("from_version"), line.get("by"), line.get("run"))
        )  # fmt: skip
    columns = ("ago", "part", "event", "version", "digest", "instead of", "by", "run")
    return Table.of(
        columns if rows else (),
        rows[:MOST_EARLIER],
        title=f"{count(len(fact.history), 'line')} in the history of deploys",
    ).all


@shown("release")
def migrations(fact: Found, _facts: Facts, _verdicts: Verdicts | None) -> Table:
    """Return the SQL of each revision on the way, in the order in which it would run, and what the way down drops."""
    columns = ("no.", "revision", "what it is", "SQL")
    way = fact.migration
    if way is None or fact.schema is None:
        why = fact.schema_error if fact.schema is None else "it was not asked for"
        return Table.of((), (), title=f"The migrations cannot be shown: {why}.")
    up = bool(way.to) and way.to in fact.schema.known and (not way.at or way.at in fact.schema.below(way.to))
    rows = []
    for number, (revision, sql) in enumerate((way.up if up else way.down).items(), start=1):
        title = fact.schema.known[revision][1]
        for line, statement in enumerate(_statements(sql)):
            rows.append((number, revision, title, statement) if line == 0 else (None, None, None, statement))
    title = f"{count(len(way.up), 'migration')} {'up' if up else 'down'}: from {way.at or 'the beginning'} to {way.to or 'the beginning'}"
    newest = f"newest in {fact.tag}: {_heads(fact.schema)}"
    dropped = [f"The way down drops {item.sentence}." for item in way.lost]
    return Table.of(columns if rows else (), rows, title=f"{title}; {newest}", note="\n".join(dropped)).all


def _statements(sql: str) -> list[str]:
    """Split a migration's SQL as alembic prints it: a statement ends with a semicolon at the end of a line."""
    return [part.strip() for part in re.split(r";[ \t]*(?:\n|$)", sql) if part.strip()]


def _heads(revisions: Revisions | None) -> str:
    return "known once it is pulled" if revisions is None else " ".join(revisions.heads) or "none"


def _revision(facts: Facts) -> str:
    found = facts.get("database")
    if isinstance(found, Missing) or "revision" not in found.answers:
        return "not known"
    return " ".join(str(row["revision"]) for row in found.rows("revision")) or "none"
