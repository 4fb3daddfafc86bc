"""Jobs that a user may start, and how far they are."""

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel

from pazpaz.jobs import enqueue, status
from pazpaz.parts import PartsHere, UserHere

router = APIRouter(tags=["jobs"])


class JobRequest(BaseModel):
    """A job to be done."""

    kind: Literal["echo"]
    payload: Any = None


@router.post("/jobs", status_code=202)
async def queued(body: JobRequest, here: PartsHere, _user: UserHere) -> dict[str, str]:
    """Queue a job."""
    return {"job_id": await enqueue(await here.queue(), body.kind, body.payload)}


@router.get("/jobs/{job_id}")
async def read(job_id: str, here: PartsHere, _user: UserHere) -> dict[str, Any]:
    """Say how far a job is."""
    return await status(await here.queue(), job_id)
