"""Attachments: scanned first, then stored, then written down; a file that fails the scan is kept nowhere."""

import hashlib
import re
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

import sqlalchemy as sa
from fastapi import APIRouter, Form, HTTPException, Response, UploadFile

from pazpaz.jobs import enqueue
from pazpaz.parts import PartsHere, UserHere, note
from pazpaz.tables import attachments, clients

router = APIRouter(tags=["attachments"])


def _safe_name(name: str | None) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name or "file").lstrip(".")[-100:] or "file"


@router.get("/attachments")
async def listed(here: PartsHere, user: UserHere) -> list[dict[str, str | int | datetime]]:
    """List attachments, newest first, at most 100."""
    columns = attachments.c["id", "object_key", "file_name", "size", "sha256", "created_at"]
    query = sa.select(*columns).where(user.sees(attachments)).order_by(attachments.c.created_at.desc()).limit(100)
    async with here.engine.connect() as connection:
        rows = (await connection.execute(query)).mappings().all()
    return [{**row, "id": str(row["id"])} for row in rows]


@router.post("/attachments", status_code=201)
async def uploaded(
    file: UploadFile, here: PartsHere, user: UserHere, client_id: Annotated[UUID | None, Form()] = None
) -> dict[str, str | int]:
    """Scan and store a file; 413 over the size limit, 422 with the scanner's line for a virus."""
    content = await file.read(here.settings.upload_limit_bytes + 1)
    if len(content) > here.settings.upload_limit_bytes:
        raise HTTPException(413, f"larger than {here.settings.upload_limit_bytes} bytes")
    if (finding := await here.scanner.scan(content)) is not None:
        raise HTTPException(422, {"scan": finding})
    attachment_id, file_name = uuid4(), _safe_name(file.filename)
    key = f"{user.id}/{attachment_id}/{file_name}"
    content_type = file.content_type or "application/octet-stream"
    sha256 = hashlib.sha256(content).hexdigest()
    values: dict[str, object] = {"id": attachment_id, "client_id": client_id, "object_key": key, "file_name": file_name}
    values |= {"content_type": content_type, "size": len(content), "sha256": sha256, "created_by": user.id}
    async with here.engine.begin() as connection:
        visible = sa.select(clients.c.id).where(clients.c.id == client_id, user.sees(clients))
        if client_id is not None and (await connection.execute(visible)).first() is None:
            raise HTTPException(404, "no such client")
        await connection.execute(sa.insert(attachments).values(values))
        await note(connection, user, "attachment.create", str(attachment_id))
        await here.storage.put(key, content, content_type)
    await enqueue(await here.queue(), "verify_attachment", str(attachment_id))
    return {"id": str(attachment_id), "object_key": key, "size": len(content), "sha256": sha256}


@router.get("/attachments/{attachment_id}")
async def read(attachment_id: UUID, here: PartsHere, user: UserHere) -> Response:
    """Give the bytes back."""
    query = sa.select(attachments).where(attachments.c.id == attachment_id, user.sees(attachments))
    async with here.engine.connect() as connection:
        row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise HTTPException(404, "no such attachment")
    headers = {"Content-Disposition": f'attachment; filename="{row["file_name"]}"'}
    return Response(await here.storage.get(row["object_key"]), media_type=row["content_type"], headers=headers)


@router.delete("/attachments/{attachment_id}", status_code=204)
async def removed(attachment_id: UUID, here: PartsHere, user: UserHere) -> Response:
    """Remove the row and the object."""
    statement = (
        sa.delete(attachments)
        .where(attachments.c.id == attachment_id, user.sees(attachments))
        .returning(attachments.c.object_key)
    )
    async with here.engine.begin() as connection:
        key = (await connection.execute(statement)).scalar()
        if key is None:
            raise HTTPException(404, "no such attachment")
        await note(connection, user, "attachment.remove", str(attachment_id))
        await here.storage.remove(key)
    return Response(status_code=204)
