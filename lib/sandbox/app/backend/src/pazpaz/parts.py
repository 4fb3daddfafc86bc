"""What a request needs from the process: engine, store, scanner, queue, seal and the user who asks."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import sqlalchemy as sa
from arq.connections import ArqRedis
from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pazpaz.jobs import open_queue
from pazpaz.scanner import Scanner
from pazpaz.sealing import Seal
from pazpaz.security import BadToken, read_token
from pazpaz.settings import Settings
from pazpaz.storage import Storage
from pazpaz.tables import audit_log, users


@dataclass
class Parts:
    """The parts behind the service, one of each a process."""

    settings: Settings
    engine: AsyncEngine
    storage: Storage
    scanner: Scanner
    seal: Seal
    _queue: ArqRedis | None = None

    async def queue(self) -> ArqRedis:
        """Return the queue, connected at first use so that the service starts without Redis."""
        if self._queue is None:
            self._queue = await open_queue(self.settings)
        return self._queue

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()
        if self._queue is not None:
            await self._queue.aclose()


@dataclass(frozen=True)
class User:
    """The user who asks."""

    id: UUID
    email: str
    name: str
    role: str

    def sees(self, table: sa.Table) -> sa.ColumnElement[bool]:
        """Return the condition for rows this user may see: the synthetic user only sees its own."""
        return table.c.created_by == self.id if self.role == "synthetic" else sa.true()


def parts(request: Request) -> Parts:
    """Return the process's parts."""
    found: Parts = request.app.state.parts
    return found


PartsHere = Annotated[Parts, Depends(parts)]
_bearer = HTTPBearer(auto_error=False)


async def current_user(
    here: PartsHere, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> User:
    """Return the active user of the request's bearer token, or answer 401."""
    refusal = HTTPException(401, "not authenticated", headers={"WWW-Authenticate": "Bearer"})
    if credentials is None:
        raise refusal
    try:
        user_id = read_token(credentials.credentials, here.settings.secret_key.get_secret_value())
    except BadToken as error:
        raise refusal from error
    query = sa.select(*users.c["id", "email", "name", "role"]).where(users.c.id == user_id, users.c.active)
    async with here.engine.connect() as connection:
        row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise refusal
    return User(**row)


UserHere = Annotated[User, Depends(current_user)]


async def note(connection: AsyncConnection, user: User, action: str, subject: str) -> None:
    """Write an audit line in the transaction of the change it tells of."""
    await connection.execute(sa.insert(audit_log).values(user_id=user.id, action=action, subject=subject))
