"""Re-encrypt sealed columns from ENCRYPTION_MASTER_KEY_OLD to ENCRYPTION_MASTER_KEY: `python -m pazpaz.reencrypt`.

Works in batches, each its own transaction, and only touches rows that are not yet under the new key: killed at any
point, it can be run again. `--check` changes nothing and counts rows by key. Exit code 0: every row is under the new
key; 1: some row opens under neither key; 2: the keys are missing or the same.
"""

import argparse
import asyncio
import json
import sys

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from pazpaz.database import open_engine
from pazpaz.sealing import CannotUnseal, Seal
from pazpaz.settings import load_settings
from pazpaz.tables import clients

BATCH_ROWS = 500


async def count_by_key(connection: AsyncConnection) -> dict[str, int]:
    """Return the number of sealed rows by key id."""
    key_id = sa.func.split_part(clients.c.medical_notes, ".", 2).label("key_id")
    query = sa.select(key_id, sa.func.count()).where(clients.c.medical_notes.is_not(None)).group_by(key_id)
    return {row[0]: row[1] for row in (await connection.execute(query)).all()}


async def reseal_batch(connection: AsyncConnection, old: Seal, new: Seal, after: str) -> tuple[str | None, int, int]:
    """Reseal the next rows after an id; return the last id seen (None at the end), rows resealed, rows unreadable."""
    query = (
        sa.select(*clients.c["id", "medical_notes"])
        .where(clients.c.medical_notes.is_not(None), clients.c.id > after)
        .where(~clients.c.medical_notes.startswith(new.prefix, autoescape=True))
        .order_by(clients.c.id)
        .limit(BATCH_ROWS)
        .with_for_update()
    )
    rows = (await connection.execute(query)).all()
    changes, unreadable = [], 0
    for client_id, sealed in rows:
        try:
            text = old.unseal(sealed, str(client_id))
        except CannotUnseal as error:
            print(f"client {client_id}: {error}", file=sys.stderr)
            unreadable += 1
        else:
            changes.append({"row": client_id, "notes": new.seal(text, str(client_id))})
    if changes:
        change = sa.update(clients).where(clients.c.id == sa.bindparam("row"))
        await connection.execute(change.values(medical_notes=sa.bindparam("notes")), changes)
    return (str(rows[-1][0]) if rows else None), len(changes), unreadable


async def reencrypt(check: bool) -> int:
    """Do it, print a JSON summary as the last line, return the exit code."""
    settings = load_settings()
    new = Seal(settings.encryption_master_key.get_secret_value())
    old_key = settings.encryption_master_key_old
    engine = open_engine(settings)
    resealed = unreadable = 0
    try:
        if not check:
            if old_key is None or Seal(old_key.get_secret_value()).key_id == new.key_id:
                print("ENCRYPTION_MASTER_KEY_OLD is missing or equal to ENCRYPTION_MASTER_KEY", file=sys.stderr)
                return 2
            old = Seal(old_key.get_secret_value())
            after: str | None = "00000000-0000-0000-0000-000000000000"
            while after is not None:
                async with engine.begin() as connection:
                    after, done, failed = await reseal_batch(connection, old, new, after)
                resealed, unreadable = resealed + done, unreadable + failed
                if done:
                    print(f"{resealed} rows resealed", file=sys.stderr)
        async with engine.connect() as connection:
            by_key = await count_by_key(connection)
    finally:
        await engine.dispose()
    summary = {"key": new.key_id, "resealed": resealed, "unreadable": unreadable, "rows_by_key": by_key}
    print(json.dumps(summary))
    return 0 if set(by_key) <= {new.key_id} else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m pazpaz.reencrypt", description="Change the encryption key.")
    parser.add_argument("--check", action="store_true", help="change nothing; count rows by key")
    sys.exit(asyncio.run(reencrypt(parser.parse_args().check)))
