"""Background jobs: queued in Redis through arq, run by the worker, results kept for an hour."""

from typing import Any

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.constants import default_queue_name, health_check_key_suffix
from arq.jobs import Job, JobStatus

from pazpaz.settings import Settings

RESULT_KEPT_S = 3600
WORKER_BEAT_S = 10


class WorkerSilent(Exception):
    """No worker has shown a sign of life lately."""


def redis_settings(settings: Settings) -> RedisSettings:
    """Return arq's settings for our Redis, with short timeouts."""
    found = RedisSettings.from_dsn(settings.redis_url.get_secret_value())
    found.conn_timeout = 3
    found.conn_retries = 1
    return found


async def open_queue(settings: Settings) -> ArqRedis:
    """Return a connected queue. Raise redis.RedisError."""
    return await create_pool(redis_settings(settings))


async def enqueue(queue: ArqRedis, kind: str, payload: Any) -> str:
    """Queue a job and return its id."""
    job = await queue.enqueue_job(kind, payload)
    if job is None:  # arq answers None only where a caller chose an id that is in use
        raise RuntimeError(f"job {kind} was not queued")
    return job.job_id


async def status(queue: ArqRedis, job_id: str) -> dict[str, Any]:
    """Return {"status": queued | in_progress | complete | not_found, "result": ...}."""
    job = Job(job_id, queue)
    found = await job.status()
    if found is not JobStatus.complete:
        return {"status": "queued" if found is JobStatus.deferred else found.value, "result": None}
    info = await job.result_info()
    if info is None:
        return {"status": "not_found", "result": None}
    return {"status": "complete", "success": info.success, "result": info.result if info.success else str(info.result)}


async def worker_answers(queue: ArqRedis) -> None:
    """Return when the worker's sign of life is fresh. Raise WorkerSilent."""
    if not await queue.exists(default_queue_name + health_check_key_suffix):
        raise WorkerSilent("no sign of life in Redis")
