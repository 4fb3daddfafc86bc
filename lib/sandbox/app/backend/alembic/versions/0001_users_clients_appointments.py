"""Users, clients and appointments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", pg.UUID(), primary_key=True, server_default=sa.text("gen_random_uuid()")),
        sa.Column("email", sa.Text(), nullable=False, unique=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("created_at", pg.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("role in ('owner', 'therapist', 'synthetic')", name="users_role_known"),
    )
    op.create_table(
        "clients",
        sa.Column("id", pg.UUID(), primary_key=True, server_default=sa.text("gen_random_uuid()")),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text()),
        sa.Column("birth_date", sa.Date()),
        sa.Column("medical_notes", sa.Text()),
        sa.Column("created_by", pg.UUID(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("created_at", pg.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("updated_at", pg.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
    )
    op.create_table(
        "appointments",
        sa.Column("id", sa.BigInteger(), sa.Identity(), primary_key=True),
        sa.Column("client_id", pg.UUID(), sa.ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
        sa.Column("starts_at", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ends_at", pg.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), nullable=False, server_default="booked"),
        sa.Column("notes", sa.Text()),
        sa.Column("created_by", pg.UUID(), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("created_at", pg.TIMESTAMP(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("ends_at > starts_at", name="appointments_end_after_start"),
    )
    op.create_index("clients_created_by_idx", "clients", ["created_by"])
    op.create_index("appointments_client_id_idx", "appointments", ["client_id"])


def downgrade() -> None:
    op.drop_table("appointments")
    op.drop_table("clients")
    op.drop_table("users")
