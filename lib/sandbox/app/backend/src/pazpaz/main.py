"""The HTTP service: `uvicorn pazpaz.main:app`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from pazpaz import failures
from pazpaz.access import AccessLog
from pazpaz.database import open_engine
from pazpaz.logs import configure_logs
from pazpaz.parts import Parts
from pazpaz.routes import appointments, attachments, auth, clients, health, jobs
from pazpaz.scanner import Scanner
from pazpaz.sealing import Seal
from pazpaz.settings import load_release, load_settings
from pazpaz.storage import Storage

log = logging.getLogger("pazpaz.main")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the parts at start, close them at the end."""
    settings = load_settings()
    configure_logs(settings.log_level)
    seal = Seal(settings.encryption_master_key.get_secret_value())
    app.state.parts = Parts(settings, open_engine(settings), Storage(settings), Scanner(settings), seal)
    log.info("pazpaz %s started in %s, key %s", load_release().version, settings.environment, seal.key_id)
    yield
    await app.state.parts.close()
    log.info("pazpaz stopped")


app = FastAPI(title="PazPaz", version=load_release().version, lifespan=lifespan, docs_url=None, redoc_url=None)
app.add_middleware(AccessLog)
failures.install(app)
for module in (health, auth, clients, appointments, attachments, jobs):
    app.include_router(module.router, prefix="/api/v1")
