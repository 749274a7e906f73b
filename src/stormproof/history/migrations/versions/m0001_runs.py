"""Runs and their findings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """The tables `run` and `finding`."""
    op.create_table(
        "run",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("simulated", sa.Boolean, nullable=False),
        sa.Column("conditions", sa.Text, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("reasons", sa.Text, nullable=False),
        sa.Column("workload_version", sa.Text, nullable=False),
        sa.Column("topology_digest", sa.Text, nullable=False),
        sa.Column("experiment_commit", sa.Text, nullable=False),
        sa.Column("verdict_sha256", sa.Text, nullable=False),
        sa.Column("directory", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_run"),
    )
    op.create_index("ix_run_slug", "run", ["slug", "environment", "started_at"])
    op.create_table(
        "finding",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("claim", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("estimate", sa.Double),
        sa.Column("low", sa.Double),
        sa.Column("high", sa.Double),
        sa.Column("steady", sa.Double),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("op", sa.Text, nullable=False),
        sa.Column("bound", sa.Double),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("found", sa.Text),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name="fk_finding_run_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "position", name="pk_finding"),
    )


def downgrade() -> None:
    """Take both away, and what is in them."""
    op.drop_table("finding")
    op.drop_table("run")
