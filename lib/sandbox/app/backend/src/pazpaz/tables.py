"""The tables, as the newest migration leaves them."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

metadata = sa.MetaData()


def _id() -> sa.Column[UUID]:
    return sa.Column("id", pg.UUID(), primary_key=True, server_default=sa.text("gen_random_uuid()"))


def _moment(name: str) -> sa.Column[datetime]:
    return sa.Column(name, pg.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now())


def _maker() -> sa.Column[UUID]:
    return sa.Column("created_by", pg.UUID(), sa.ForeignKey("users.id"), nullable=False)


users = sa.Table(
    "users",
    metadata,
    _id(),
    sa.Column("email", sa.Text, nullable=False, unique=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("password_hash", sa.Text, nullable=False),
    sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
    _moment("created_at"),
)

clients = sa.Table(
    "clients",
    metadata,
    _id(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("email", sa.Text),
    sa.Column("phone", sa.Text),
    sa.Column("birth_date", sa.Date),
    sa.Column("medical_notes", sa.Text),  # sealed, see sealing.py
    _maker(),
    _moment("created_at"),
    _moment("updated_at"),
    sa.Index("clients_created_by_idx", "created_by"),
)

appointments = sa.Table(
    "appointments",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    sa.Column("client_id", pg.UUID(), sa.ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
    sa.Column("starts_at", pg.TIMESTAMP(timezone=True), nullable=False),
    sa.Column("ends_at", pg.TIMESTAMP(timezone=True), nullable=False),
    sa.Column("status", sa.Text, nullable=False, server_default="booked"),
    sa.Column("notes", sa.Text),
    _maker(),
    _moment("created_at"),
    sa.Index("appointments_client_id_idx", "client_id"),
    sa.Index("appointments_starts_at_idx", "starts_at"),
)

attachments = sa.Table(
    "attachments",
    metadata,
    _id(),
    sa.Column("client_id", pg.UUID(), sa.ForeignKey("clients.id", ondelete="SET NULL")),
    sa.Column("object_key", sa.Text, nullable=False, unique=True),
    sa.Column("file_name", sa.Text, nullable=False),
    sa.Column("content_type", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    _maker(),
    _moment("created_at"),
)

audit_log = sa.Table(
    "audit_log",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _moment("at"),
    sa.Column("user_id", pg.UUID(), sa.ForeignKey("users.id")),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Index("audit_log_at_idx", "at"),
)
