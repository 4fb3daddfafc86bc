"""Fill the practice service with invented people: `python -m pazpaz.seed --rows 100000`.

The same rows give the same data every time, and running it again changes nothing. The synthetic account's password
comes from SYNTHETIC_PASSWORD or, where that is not set, from standard input; the staff's passwords are derived from it
(see staff_password), so that no password stands in this repository.

The synthetic account owns one client with a known note, one appointment and one attachment that stay for ever: whoever
reads them back proves that old data can still be decrypted and old uploads are still there.
"""

import argparse
import asyncio
import hashlib
import hmac
import os
import sys
from datetime import UTC, date, datetime, timedelta
from uuid import NAMESPACE_DNS, UUID, uuid5

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from pazpaz.database import open_engine
from pazpaz.sealing import Seal
from pazpaz.security import hash_password, password_matches
from pazpaz.settings import load_settings
from pazpaz.storage import Storage
from pazpaz.tables import appointments, attachments, clients, users

SYNTHETIC_EMAIL = "synthetic@pazpaz.test"
SYNTHETIC_CLIENT = "Synthetic Canary"
SYNTHETIC_NOTE = "This note was written when the practice server was made."
STAFF = {"ada@pazpaz.test": "owner", "bruno@pazpaz.test": "therapist", "chana@pazpaz.test": "therapist"}
FIRST_DAY = datetime(2024, 1, 1, 8, tzinfo=UTC)
ROWS_A_CLIENT = 50
SEEDED_FILES = 40
PASSWORD_LENGTH = 12
FIRST_NAMES = ("Noa", "Lior", "Maya", "Omer", "Tamar", "Eitan", "Yael", "Amit", "Rona", "Gil", "Dana", "Ido")
LAST_NAMES = ("Example", "Sample", "Specimen", "Placeholder", "Dummy", "Fiction", "Mockup", "Pattern")


def _id(kind: str, name: object) -> UUID:
    return uuid5(NAMESPACE_DNS, f"{kind}-{name}.pazpaz.test")


def staff_password(synthetic_password: str, email: str) -> str:
    """Return the password of a seeded user, derived from the synthetic account's."""
    return hmac.new(synthetic_password.encode(), email.encode(), hashlib.sha256).hexdigest()[:24]


async def seed_users(connection: AsyncConnection, password: str) -> None:
    """Make the synthetic account and the staff, or give them the passwords of today."""
    accounts = [(SYNTHETIC_EMAIL, "synthetic", password)]
    accounts += [(email, role, staff_password(password, email)) for email, role in STAFF.items()]
    hashes = (await connection.execute(sa.select(*users.c["email", "password_hash"]))).all()
    known: dict[str, str] = dict(map(tuple, hashes))
    for email, role, secret in accounts:
        if email in known and password_matches(secret, known[email]):
            continue
        name = email.partition("@")[0].title()
        values = {"id": _id("user", email), "email": email, "name": name, "role": role}
        statement = insert(users).values(password_hash=hash_password(secret), **values)
        change = {"password_hash": statement.excluded.password_hash, "active": True}
        await connection.execute(statement.on_conflict_do_update(index_elements=["email"], set_=change))


def _client(number: int, seal: Seal, maker: UUID) -> dict[str, object]:
    client_id = _id("client", number)
    name = f"{FIRST_NAMES[number % len(FIRST_NAMES)]} {LAST_NAMES[number // 12 % len(LAST_NAMES)]} {number:05d}"
    note = (
        f"Invented note {number}: sleeps {5 + number % 4} h, pain {number % 10} of 10, follow up in {number % 6} weeks."
    )
    return {
        "id": client_id,
        "name": name,
        "email": f"client{number}@example.test",
        "phone": f"+000 555 {number:07d}",
        "birth_date": date(1940, 1, 1) + timedelta(days=number * 37 % 25_000),
        "medical_notes": seal.seal(note, str(client_id)),
        "created_by": maker,
        "created_at": FIRST_DAY,
    }


async def seed_clients(connection: AsyncConnection, count: int, seal: Seal) -> None:
    """Make the clients that are missing, in batches."""
    ids = await connection.execute(sa.select(clients.c.id))
    known = set(ids.scalars())
    makers = [_id("user", email) for email in STAFF]
    missing = [n for n in range(count) if _id("client", n) not in known]
    for start in range(0, len(missing), 1000):
        batch = [_client(n, seal, makers[n % len(makers)]) for n in missing[start : start + 1000]]
        await connection.execute(sa.insert(clients), batch)
    synthetic = {"id": _id("client", "synthetic"), "name": SYNTHETIC_CLIENT, "created_by": _id("user", SYNTHETIC_EMAIL)}
    synthetic |= {"medical_notes": seal.seal(SYNTHETIC_NOTE, str(synthetic["id"])), "created_at": FIRST_DAY}
    await connection.execute(insert(clients).values(synthetic).on_conflict_do_nothing())


async def seed_appointments(connection: AsyncConnection, rows: int, client_count: int) -> None:
    """Make appointments up to that many rows, on the server, or remove the newest beyond.

    They are half-hours from FIRST_DAY, spread over the clients; the synthetic account's own comes on top.
    """
    of_staff = appointments.c.created_by != _id("user", SYNTHETIC_EMAIL)
    have = await connection.scalar(sa.select(sa.func.count()).select_from(appointments).where(of_staff)) or 0
    if have > rows:
        newest = sa.select(appointments.c.id).where(of_staff).order_by(appointments.c.id.desc()).limit(have - rows)
        await connection.execute(sa.delete(appointments).where(appointments.c.id.in_(newest)))
    statement = sa.text(
        """
        insert into appointments (client_id, starts_at, ends_at, status, notes, created_by, created_at)
        select c.id, t.at, t.at + interval '50 minutes',
               (array['booked', 'done', 'done', 'done', 'cancelled'])[1 + n % 5],
               'Session ' || n || ' ' || md5(n::text), c.created_by, t.at - interval '7 days'
        from generate_series(cast(:first as bigint), cast(:last as bigint)) as n
        join (select id, created_by, row_number() over (order by id) - 1 as number from clients
              where created_by <> :synthetic) as c on c.number = n * 7919 % :clients
        cross join lateral (select cast(:day as timestamptz)
              + (n / 40 % 1095) * interval '1 day' + (n % 20) * interval '30 minutes' as at) as t
        """
    )
    values = {"first": have, "last": rows - 1, "clients": client_count, "day": FIRST_DAY}
    # the rows' clients and makers come from the join itself: looking each up once more would take half of the time
    await connection.execute(sa.text("set local session_replication_role = replica"))
    await connection.execute(statement, values | {"synthetic": _id("user", SYNTHETIC_EMAIL)})
    await connection.execute(sa.text("set local session_replication_role = origin"))
    mine = sa.select(appointments.c.id).where(appointments.c.client_id == _id("client", "synthetic"))
    if (await connection.execute(mine)).first() is None:
        one: dict[str, object] = {"client_id": _id("client", "synthetic"), "created_by": _id("user", SYNTHETIC_EMAIL)}
        one |= {"starts_at": FIRST_DAY, "ends_at": FIRST_DAY + timedelta(minutes=50), "notes": "Synthetic"}
        await connection.execute(sa.insert(appointments).values(one))


def _file(number: int) -> bytes:
    line = f"Invented document {number:04d}\n".encode()
    return line * (40 + number * 17 % 400)


async def seed_files(connection: AsyncConnection, storage: Storage) -> None:
    """Store the seeded files and their rows; the last one belongs to the synthetic account."""
    await storage.make_bucket()
    known = set((await connection.execute(sa.select(attachments.c.object_key))).scalars())
    for number in range(SEEDED_FILES + 1):
        synthetic = number == SEEDED_FILES
        maker = _id("user", SYNTHETIC_EMAIL if synthetic else list(STAFF)[number % len(STAFF)])
        owner = _id("client", "synthetic" if synthetic else number)
        key, content = f"seed/{number:04d}.txt", _file(number)
        if key in known:
            continue
        await storage.put(key, content, "text/plain")
        row = {"id": _id("attachment", number), "client_id": owner, "object_key": key, "file_name": f"{number:04d}.txt"}
        row |= {"content_type": "text/plain", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        await connection.execute(sa.insert(attachments).values(created_by=maker, created_at=FIRST_DAY, **row))


async def seed(rows: int, password: str) -> None:
    """Seed everything in one transaction, then gather the planner's statistics."""
    settings = load_settings()
    seal = Seal(settings.encryption_master_key.get_secret_value())
    client_count = max(SEEDED_FILES + 10, rows // ROWS_A_CLIENT)
    engine = open_engine(settings)
    try:
        async with engine.begin() as connection:
            await seed_users(connection, password)
            await seed_clients(connection, client_count, seal)
            await seed_appointments(connection, rows, client_count)
            await seed_files(connection, Storage(settings))
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.exec_driver_sql("vacuum (analyze)")
            counts = {
                t.name: await connection.scalar(sa.select(sa.func.count()).select_from(t))
                for t in (users, clients, appointments, attachments)
            }
    finally:
        await engine.dispose()
    print(" ".join(f"{name}={count}" for name, count in counts.items()))


def main() -> None:
    """Read the command line and seed."""
    parser = argparse.ArgumentParser(prog="python -m pazpaz.seed", description="Fill the practice service.")
    parser.add_argument("--rows", type=int, default=100_000, help="appointments to have (default 100000)")
    arguments = parser.parse_args()
    password = os.environ.get("SYNTHETIC_PASSWORD") or sys.stdin.readline().rstrip("\n")
    if len(password) < PASSWORD_LENGTH:
        parser.error(f"SYNTHETIC_PASSWORD (or standard input) must give at least {PASSWORD_LENGTH} characters")
    if arguments.rows < 0:
        parser.error(f"--rows {arguments.rows}: must not be negative")
    asyncio.run(seed(arguments.rows, password))


if __name__ == "__main__":
    main()
