"""When an appointment's reminder went out; past appointments had theirs the day before."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("appointments", sa.Column("reminder_sent_at", pg.TIMESTAMP(timezone=True)))
    op.execute("update appointments set reminder_sent_at = starts_at - interval '1 day' where status = 'done'")
    op.create_index(
        "appointments_reminder_due_idx",
        "appointments",
        ["starts_at"],
        postgresql_where=sa.text("reminder_sent_at is null and status = 'booked'"),
    )


def downgrade() -> None:
    op.drop_index("appointments_reminder_due_idx")
    op.drop_column("appointments", "reminder_sent_at")
