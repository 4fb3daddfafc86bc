"""The way to PostgreSQL: TLS with a verified server, few connections, no endless wait for a new one."""

import ssl

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pazpaz.schema import SCHEMA
from pazpaz.settings import Settings

CONNECT_TIMEOUT_S = 5
POOL_TIMEOUT_S = 5


def open_engine(settings: Settings) -> AsyncEngine:
    """Return an engine that connects at first use. Raise FileNotFoundError where the CA is missing."""
    return create_async_engine(
        settings.database_url.get_secret_value(),
        connect_args={
            "ssl": ssl.create_default_context(cafile=settings.db_ssl_ca),
            "timeout": CONNECT_TIMEOUT_S,
            "server_settings": {"application_name": "pazpaz", "search_path": SCHEMA},
        },
        pool_size=5,
        max_overflow=5,
        pool_timeout=POOL_TIMEOUT_S,
        pool_pre_ping=True,
        hide_parameters=True,  # names of people do not belong in logs
    )


async def answers(engine: AsyncEngine) -> None:
    """Return when the database has answered a query; raise what went wrong otherwise."""
    async with engine.connect() as connection:
        await connection.execute(sa.text("select 1"))
