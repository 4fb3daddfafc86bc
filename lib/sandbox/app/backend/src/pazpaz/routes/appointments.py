"""Appointments, the big table."""

from datetime import UTC, datetime
from typing import Annotated, Self
from uuid import UUID

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException, Query, Response
from pydantic import AwareDatetime, BaseModel, Field, model_validator

from pazpaz.parts import PartsHere, UserHere, note
from pazpaz.tables import appointments, clients

router = APIRouter(tags=["appointments"])


class AppointmentFields(BaseModel):
    """What may be set on an appointment."""

    client_id: UUID
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    notes: str | None = Field(None, max_length=2000)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends_at <= self.starts_at:
            raise ValueError("ends_at must be after starts_at")
        return self


class Appointment(BaseModel):
    """An appointment as it is answered."""

    id: int
    client_id: UUID
    starts_at: datetime
    ends_at: datetime
    status: str
    notes: str | None


@router.get("/appointments")
async def listed(
    here: PartsHere,
    user: UserHere,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> list[Appointment]:
    """List appointments that start from `since` (default: today) up to `until`, soonest first."""
    query = sa.select(appointments).where(user.sees(appointments))
    query = query.where(appointments.c.starts_at >= (since or datetime.now(UTC).replace(hour=0, minute=0)))
    if until is not None:
        query = query.where(appointments.c.starts_at < until)
    query = query.order_by(appointments.c.starts_at, appointments.c.id)
    async with here.engine.connect() as connection:
        rows = (await connection.execute(query.limit(limit))).mappings().all()
    return [Appointment(**row) for row in rows]


@router.post("/appointments", status_code=201)
async def created(body: AppointmentFields, here: PartsHere, user: UserHere) -> Appointment:
    """Make an appointment with a client that the user may see."""
    visible = sa.select(clients.c.id).where(clients.c.id == body.client_id, user.sees(clients))
    statement = sa.insert(appointments).values(created_by=user.id, **body.model_dump()).returning(appointments)
    async with here.engine.begin() as connection:
        if (await connection.execute(visible)).first() is None:
            raise HTTPException(404, "no such client")
        row = (await connection.execute(statement)).mappings().one()
        await note(connection, user, "appointment.create", str(row["id"]))
    return Appointment(**row)


@router.delete("/appointments/{appointment_id}", status_code=204)
async def removed(appointment_id: int, here: PartsHere, user: UserHere) -> Response:
    """Remove an appointment."""
    statement = (
        sa.delete(appointments)
        .where(appointments.c.id == appointment_id, user.sees(appointments))
        .returning(appointments.c.id)
    )
    async with here.engine.begin() as connection:
        if (await connection.execute(statement)).first() is None:
            raise HTTPException(404, "no such appointment")
        await note(connection, user, "appointment.remove", str(appointment_id))
    return Response(status_code=204)
