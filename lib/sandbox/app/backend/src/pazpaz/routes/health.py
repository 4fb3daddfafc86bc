"""Liveness (the process answers), readiness (everything behind it answers), and the image's version."""

import asyncio
import logging
from collections.abc import Awaitable
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from pazpaz import database, jobs
from pazpaz.parts import Parts, PartsHere
from pazpaz.settings import load_release

log = logging.getLogger("pazpaz.health")
router = APIRouter(tags=["health"])
CHECK_TIMEOUT_S = 5
ALEMBIC_INI = Path(__file__).parents[3] / "alembic.ini"


@router.get("/health")
async def health() -> dict[str, str]:
    """Say that the process is alive, and nothing more."""
    return {"status": "ok", "version": "v1"}


async def _redis(here: Parts) -> None:
    await (await here.queue()).ping()


async def _worker(here: Parts) -> None:
    await jobs.worker_answers(await here.queue())


async def _check(name: str, question: Awaitable[None]) -> tuple[str, str]:
    try:
        await asyncio.wait_for(question, CHECK_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001  # every failure of a part is an answer here
        log.warning("not ready: %s: %s", name, error, extra={"part": name, "error": type(error).__name__})
        return name, f"error: {type(error).__name__}"
    return name, "ok"


@router.get("/ready")
async def ready(here: PartsHere) -> JSONResponse:
    """Ask every part behind the service, all at once; 503 where one does not answer in 5 s."""
    questions = {
        "database": database.answers(here.engine),
        "redis": _redis(here),
        "storage": here.storage.answers(),
        "clamav": here.scanner.answers(),
        "worker": _worker(here),
    }
    checks = dict(await asyncio.gather(*(_check(name, question) for name, question in questions.items())))
    well = all(state == "ok" for state in checks.values())
    return JSONResponse({"status": "ok" if well else "error", "checks": checks}, status_code=200 if well else 503)


@router.get("/version")
async def version() -> dict[str, str | None]:
    """Name the release and the newest database revision that this image knows."""
    head = ScriptDirectory.from_config(Config(str(ALEMBIC_INI))).get_current_head()
    return {"version": load_release().version, "revision": head, "commit": load_release().commit}
