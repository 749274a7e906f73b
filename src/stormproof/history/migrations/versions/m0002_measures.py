"""What a run was made of: how strong its faults were, how much load, how busy the generator."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """The table `measure`; runs that are there already get theirs when they are imported again."""
    op.create_table(
        "measure",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Double, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name="fk_measure_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "kind", "name", name="pk_measure"),
    )
    # A run without measures is not whole any more: with no digest its next import replaces it.
    op.execute("UPDATE run SET verdict_sha256 = ''")


def downgrade() -> None:
    """Take it away, and what is in it."""
    op.drop_table("measure")
