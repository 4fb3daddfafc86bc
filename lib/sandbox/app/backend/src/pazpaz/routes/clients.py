"""Clients; their medical notes are sealed in the database and opened when one client is read."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import BaseModel, Field

from pazpaz.parts import PartsHere, UserHere, note
from pazpaz.sealing import Seal
from pazpaz.tables import clients

router = APIRouter(tags=["clients"])


class ClientFields(BaseModel):
    """What may be set on a client."""

    name: str = Field(min_length=1, max_length=200)
    email: str | None = Field(None, max_length=254)
    phone: str | None = Field(None, max_length=40)
    birth_date: date | None = None
    medical_notes: str | None = Field(None, max_length=20_000)


class ClientChange(ClientFields):
    """What may be changed: each field by itself."""

    name: str = Field("", min_length=1, max_length=200)


class ClientLine(BaseModel):
    """A client in a list: without the notes."""

    id: UUID
    name: str
    email: str | None
    phone: str | None
    created_at: datetime


class Client(ClientFields):
    """A client in full."""

    id: UUID
    created_at: datetime
    updated_at: datetime


def _sealed(seal: Seal, fields: dict[str, Any], client_id: UUID) -> dict[str, Any]:
    if fields.get("medical_notes") is None:
        return fields
    return {**fields, "medical_notes": seal.seal(fields["medical_notes"], str(client_id))}


def _opened(seal: Seal, row: sa.RowMapping) -> Client:
    fields = dict(row)
    if fields["medical_notes"] is not None:
        fields["medical_notes"] = seal.unseal(fields["medical_notes"], str(fields["id"]))
    return Client(**fields)


@router.get("/clients")
async def listed(
    here: PartsHere,
    user: UserHere,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> list[ClientLine]:
    """List clients by name."""
    query = sa.select(clients).where(user.sees(clients)).order_by(clients.c.name, clients.c.id)
    async with here.engine.connect() as connection:
        rows = (await connection.execute(query.limit(limit).offset(offset))).mappings().all()
    return [ClientLine(**row) for row in rows]


@router.post("/clients", status_code=201)
async def created(body: ClientFields, here: PartsHere, user: UserHere) -> Client:
    """Make a client."""
    client_id = uuid4()
    values = _sealed(here.seal, body.model_dump(), client_id)
    statement = sa.insert(clients).values(id=client_id, created_by=user.id, **values).returning(clients)
    async with here.engine.begin() as connection:
        row = (await connection.execute(statement)).mappings().one()
        await note(connection, user, "client.create", str(client_id))
    return _opened(here.seal, row)


@router.get("/clients/{client_id}")
async def read(client_id: UUID, here: PartsHere, user: UserHere) -> Client:
    """Read one client, notes included."""
    query = sa.select(clients).where(clients.c.id == client_id, user.sees(clients))
    async with here.engine.connect() as connection:
        row = (await connection.execute(query)).mappings().first()
    if row is None:
        raise HTTPException(404, "no such client")
    return _opened(here.seal, row)


@router.patch("/clients/{client_id}")
async def changed(client_id: UUID, body: ClientChange, here: PartsHere, user: UserHere) -> Client:
    """Change the fields that were sent."""
    values = _sealed(here.seal, body.model_dump(exclude_unset=True), client_id)
    statement = (
        sa.update(clients)
        .where(clients.c.id == client_id, user.sees(clients))
        .values(updated_at=sa.func.now(), **values)
        .returning(clients)
    )
    async with here.engine.begin() as connection:
        row = (await connection.execute(statement)).mappings().first()
        if row is None:
            raise HTTPException(404, "no such client")
        await note(connection, user, "client.change", str(client_id))
    return _opened(here.seal, row)


@router.delete("/clients/{client_id}", status_code=204)
async def removed(client_id: UUID, here: PartsHere, user: UserHere) -> Response:
    """Remove a client with its appointments."""
    statement = sa.delete(clients).where(clients.c.id == client_id, user.sees(clients)).returning(clients.c.id)
    async with here.engine.begin() as connection:
        if (await connection.execute(statement)).first() is None:
            raise HTTPException(404, "no such client")
        await note(connection, user, "client.remove", str(client_id))
    return Response(status_code=204)
