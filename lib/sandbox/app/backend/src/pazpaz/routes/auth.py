"""Logging in: a password becomes a bearer token; too many failures in a minute are refused."""

import asyncio

import sqlalchemy as sa
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, EmailStr, Field

from pazpaz.parts import Parts, PartsHere, UserHere
from pazpaz.security import hash_password, issue_token, password_matches
from pazpaz.tables import users

router = APIRouter(tags=["auth"])
FAILURES_A_MINUTE = 10


class Login(BaseModel):
    """What a login sends."""

    email: EmailStr | str = Field(max_length=254)
    password: str = Field(max_length=1024)


async def _refuse_if_hammered(here: Parts, key: str) -> None:
    failures = await (await here.queue()).get(key)
    if failures is not None and int(failures) >= FAILURES_A_MINUTE:
        raise HTTPException(429, "too many failed logins, wait a minute", headers={"Retry-After": "60"})


async def _count_failure(here: Parts, key: str) -> None:
    redis = await here.queue()
    if await redis.incr(key) == 1:
        await redis.expire(key, 60)


@router.post("/auth/login")
async def login(body: Login, here: PartsHere) -> dict[str, str | int]:
    """Answer with a token, or 401; 429 after ten failures within a minute."""
    key = f"login-failures:{body.email.lower()}"
    await _refuse_if_hammered(here, key)
    query = sa.select(*users.c["id", "password_hash"]).where(users.c.email == body.email.lower(), users.c.active)
    async with here.engine.connect() as connection:
        row = (await connection.execute(query)).mappings().first()
    # An unknown address costs as much time as a wrong password, so that addresses cannot be told apart.
    if row is None:
        await asyncio.to_thread(hash_password, body.password)
    if row is None or not await asyncio.to_thread(password_matches, body.password, row["password_hash"]):
        await _count_failure(here, key)
        raise HTTPException(401, "wrong email or password")
    lifetime_s = here.settings.token_lifetime_s
    token = issue_token(str(row["id"]), here.settings.secret_key.get_secret_value(), lifetime_s)
    return {"access_token": token, "token_type": "bearer", "expires_in": lifetime_s}


@router.get("/me")
async def me(user: UserHere) -> dict[str, str]:
    """Say who the token belongs to."""
    return {"id": str(user.id), "email": user.email, "name": user.name, "role": user.role}
