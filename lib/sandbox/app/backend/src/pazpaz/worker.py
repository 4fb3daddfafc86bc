"""The background worker: `arq pazpaz.worker.WorkerSettings`."""

import hashlib
import logging
from typing import Any, ClassVar

import sqlalchemy as sa

from pazpaz.database import open_engine
from pazpaz.jobs import RESULT_KEPT_S, WORKER_BEAT_S, redis_settings
from pazpaz.logs import configure_logs
from pazpaz.settings import load_settings
from pazpaz.storage import Storage
from pazpaz.tables import attachments

log = logging.getLogger("pazpaz.worker")
Context = dict[str, Any]


async def echo(_context: Context, payload: Any) -> Any:
    """Give the payload back: the smallest proof that jobs are done."""
    log.info("echo done")
    return payload


async def verify_attachment(context: Context, attachment_id: str) -> str:
    """Read a stored attachment back and compare its SHA-256 with the database's."""
    async with context["engine"].connect() as connection:
        query = sa.select(attachments).where(attachments.c.id == attachment_id)
        row = (await connection.execute(query)).mappings().first()
    if row is None:
        return "gone"
    content = await context["storage"].get(row["object_key"])
    matches = hashlib.sha256(content).hexdigest() == row["sha256"]
    log.log(logging.INFO if matches else logging.ERROR, "attachment %s verified=%s", attachment_id, matches)
    return "ok" if matches else "differs"


async def start(context: Context) -> None:
    """Open what jobs need."""
    settings = load_settings()
    configure_logs(settings.log_level)
    context["engine"] = open_engine(settings)
    context["storage"] = Storage(settings)
    log.info("worker started")


async def stop(context: Context) -> None:
    """Close what was opened."""
    await context["engine"].dispose()


class WorkerSettings:
    """Read by arq."""

    functions: ClassVar = [echo, verify_attachment]
    on_startup = start
    on_shutdown = stop
    redis_settings = redis_settings(load_settings())
    health_check_interval = WORKER_BEAT_S
    keep_result = RESULT_KEPT_S
    max_jobs = 4
    job_timeout = 60
