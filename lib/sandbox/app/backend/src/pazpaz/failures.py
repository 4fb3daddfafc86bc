"""What a caller sees when a part behind us fails: 503 where it is away, 500 where it answers wrongly."""

import logging
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from minio.error import MinioException
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from urllib3.exceptions import HTTPError as TransportError

from pazpaz.scanner import ScannerFailed
from pazpaz.sealing import CannotUnseal
from pazpaz.storage import ObjectMissing

log = logging.getLogger("pazpaz.failures")
Handler = Callable[[Request, Exception], Awaitable[JSONResponse]]


def _answer(status: int, part: str, reason: str, error: Exception) -> JSONResponse:
    log.error("%s: %s", reason, error, extra={"part": part, "error": type(error).__name__})
    return JSONResponse({"detail": reason, "part": part}, status_code=status)


def _handler(status: int, part: str, reason: str) -> Handler:
    async def answer(_request: Request, error: Exception) -> JSONResponse:
        return _answer(status, part, reason, error)

    return answer


async def _database_failed(_request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return _answer(503, "database", "database is unavailable", error)
    return _answer(500, "database", "database query failed", error)


_database_away = _handler(503, "database", "database is unavailable")
_storage_failed = _handler(503, "storage", "object store failed")
HANDLERS: dict[type[Exception], Handler] = {
    OperationalError: _database_away,
    InterfaceError: _database_away,
    PoolTimeout: _database_away,
    ConnectionError: _database_away,
    TimeoutError: _database_away,
    DBAPIError: _database_failed,
    RedisError: _handler(503, "redis", "queue is unavailable"),
    MinioException: _storage_failed,
    TransportError: _storage_failed,
    ObjectMissing: _handler(500, "storage", "stored object is missing"),
    ScannerFailed: _handler(503, "clamav", "virus scanner failed"),
    CannotUnseal: _handler(500, "encryption", "a sealed column cannot be read"),
}
"""What to answer, by the nearest class of what was raised."""


def install(app: FastAPI) -> None:
    """Give the application its answers for failing parts."""
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
