"""What a caller sees when a part behind us fails: 503 where it is away, 500 where it answers wrongly."""

import logging

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


def _answer(status: int, part: str, reason: str, error: Exception) -> JSONResponse:
    log.error("%s: %s", reason, error, extra={"part": part, "error": type(error).__name__})
    return JSONResponse({"detail": reason, "part": part}, status_code=status)


def install(app: FastAPI) -> None:
    """Give the application its answers for failing parts."""

    async def database_away(_request: Request, error: Exception) -> JSONResponse:
        return _answer(503, "database", "database is unavailable", error)

    async def database_failed(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            return await database_away(request, error)
        return _answer(500, "database", "database query failed", error)

    async def redis_failed(_request: Request, error: Exception) -> JSONResponse:
        return _answer(503, "redis", "queue is unavailable", error)

    async def storage_failed(_request: Request, error: Exception) -> JSONResponse:
        return _answer(503, "storage", "object store failed", error)

    async def object_missing(_request: Request, error: Exception) -> JSONResponse:
        return _answer(500, "storage", "stored object is missing", error)

    async def scanner_failed(_request: Request, error: Exception) -> JSONResponse:
        return _answer(503, "clamav", "virus scanner failed", error)

    async def cannot_unseal(_request: Request, error: Exception) -> JSONResponse:
        return _answer(500, "encryption", "a sealed column cannot be read", error)

    for kind in (OperationalError, InterfaceError, PoolTimeout, ConnectionError, TimeoutError):
        app.add_exception_handler(kind, database_away)
    app.add_exception_handler(DBAPIError, database_failed)
    app.add_exception_handler(RedisError, redis_failed)
    for kind in (MinioException, TransportError):
        app.add_exception_handler(kind, storage_failed)
    app.add_exception_handler(ObjectMissing, object_missing)
    app.add_exception_handler(ScannerFailed, scanner_failed)
    app.add_exception_handler(CannotUnseal, cannot_unseal)
