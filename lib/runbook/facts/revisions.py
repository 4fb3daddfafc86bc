"""The database revisions that an image knows, the way from one to another as SQL, and what a way down drops."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

STEP = re.compile(r"^-- Running (?:upgrade|downgrade) (\S*) ?-> (\S*)$", re.MULTILINE)
BOOKKEEPING = re.compile(r"(INSERT INTO|UPDATE|DELETE FROM) alembic_version\b|(BEGIN|COMMIT);", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Revisions:
    """The database revisions that an image knows: each with the one below it and its title. `heads` are the newest."""

    known: dict[str, tuple[str, str]]
    heads: tuple[str, ...]

    def below(self, revision: str) -> tuple[str, ...]:
        """Return a revision and all below it, newest first; nothing for one that is not known."""
        found: list[str] = []
        while revision in self.known and revision not in found:
            found.append(revision)
            revision = self.known[revision][0]
        return tuple(found)

    def between(self, low: str, high: str) -> tuple[str, ...]:
        """Return what leads from `low` (not counted; "" is the empty database) up to `high`, oldest first."""
        way = self.below(high)
        cut = way.index(low) if low in way else len(way)
        return way[:cut][::-1]


@dataclass(frozen=True, slots=True)
class Lost:
    """What a downgrade drops. `count`: rows of a table, or values of a column that are not null; None where it has none."""

    kind: str
    table: str
    name: str
    count: int | None
    error: str = ""

    @property
    def sentence(self) -> str:
        """What it is, in words."""
        what = {
            "table": f"table {self.table}",
            "column": f"column {self.table}.{self.name}",
            "rows": f"rows of {self.table}",
        }.get(self.kind, f"{self.kind} {self.name}{f' of {self.table}' if self.table else ''}")
        if self.count is None:
            return f"{what}{f' (not counted: {self.error})' if self.error else ''}"
        return f"{what} with {self.count:,} {'values' if self.kind == 'column' else 'rows'}"


@dataclass(frozen=True, slots=True)
class Migration:
    """The way from the database's revision `at` to the wanted one `to` ("" is the empty database).

    `up` and `down` hold the SQL by revision, in the order in which it would run; `lost` is what the way down drops.
    """

    at: str
    to: str
    up: dict[str, str]
    down: dict[str, str]
    lost: tuple[Lost, ...]
    error: str = ""


def read_revisions(found: Mapping[str, Any]) -> Revisions | None:
    """Given what the probe says of an image's revisions, return them; None where it could not be asked."""
    if "known" not in found:
        return None
    return Revisions({name: (below, title) for name, (below, title) in found["known"].items()}, tuple(found["heads"]))


def by_revision(sql: str, *, up: bool) -> dict[str, str]:
    """Given what `alembic --sql` printed, return the SQL of each revision, in order, without alembic's own bookkeeping.

    Sample output::

        BEGIN;

        -- Running upgrade 0003 -> 0004

        ALTER TABLE appointments ADD COLUMN reminder_sent_at TIMESTAMP WITH TIME ZONE;

        UPDATE alembic_version SET version_num='0004' WHERE alembic_version.version_num = '0003';

        COMMIT;
    """
    parts = STEP.split(sql)[1:]
    return {
        (to if up else low): "\n".join(
            line for line in body.splitlines() if line.strip() and not BOOKKEEPING.match(line)
        )
        for low, to, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }


def read_migration(told: Mapping[str, Any]) -> Migration:
    """Given what the probe says of the way from one revision to another, return it."""
    return Migration(
        at=told["at"],
        to=told.get("to", ""),
        up=by_revision(told.get("up", ""), up=True),
        down=by_revision(told.get("down", ""), up=False),
        lost=tuple(Lost(**item) for item in told.get("lost", ())),
        error=told["error"],
    )
