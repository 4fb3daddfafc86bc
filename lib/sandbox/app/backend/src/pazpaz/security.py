"""Who is asking: password hashes (argon2id) and bearer tokens (JWT, HS256)."""

from datetime import UTC, datetime, timedelta

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

ALGORITHM = "HS256"
# 19 MiB and two passes: the least that OWASP's password storage sheet advises; the practice host is small.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class BadToken(Exception):
    """A bearer token is absent, malformed, expired or signed with another key."""


def hash_password(password: str) -> str:
    """Return a salted argon2id hash of the password."""
    return _hasher.hash(password)


def password_matches(password: str, password_hash: str) -> bool:
    """Tell whether the password is the one that was hashed."""
    try:
        return _hasher.verify(password_hash, password)
    except (VerifyMismatchError, InvalidHashError):
        return False


def issue_token(user_id: str, key: str, lifetime_s: int) -> str:
    """Return a signed token for the user that ends after lifetime_s seconds."""
    now = datetime.now(UTC)
    claims = {"sub": user_id, "iat": now, "exp": now + timedelta(seconds=lifetime_s)}
    return jwt.encode(claims, key, algorithm=ALGORITHM)


def read_token(token: str, key: str) -> str:
    """Return the user id in the token. Raise BadToken."""
    try:
        claims = jwt.decode(token, key, algorithms=[ALGORITHM], options={"require": ["exp", "sub"]})
    except jwt.InvalidTokenError as error:
        raise BadToken(str(error)) from error
    return str(claims["sub"])
