"""Run migrations over the application's own TLS connection, one transaction for all of them."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from pazpaz.database import open_engine
from pazpaz.settings import load_settings
from pazpaz.tables import metadata


def migrate(connection: Connection) -> None:
    """Migrate on the given connection; a lock held by someone else fails in 30 s instead of queueing."""
    connection.exec_driver_sql("SET lock_timeout = '30s'")
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


async def online() -> None:
    """Open an engine, migrate, commit and close."""
    engine = open_engine(load_settings())
    try:
        async with engine.begin() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", target_metadata=metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    asyncio.run(online())
