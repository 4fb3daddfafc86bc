"""A phone number for clients, and an index for the calendar."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("clients", sa.Column("phone", sa.Text()))
    op.create_index("appointments_starts_at_idx", "appointments", ["starts_at"])


def downgrade() -> None:
    op.drop_index("appointments_starts_at_idx")
    op.drop_column("clients", "phone")
