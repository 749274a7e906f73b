"""The tables of the history, one definition for SQLite and PostgreSQL; `migrations/` brings a database here.

Instants are Unix seconds, numbers double precision: what was written is what is read, in either database.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, ForeignKey, Index, Integer, MetaData, Table, Text

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

runs = Table(
    "run",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("slug", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("variant", Text, nullable=False),  # of the lab's shop; "" elsewhere
    Column("simulated", Boolean, nullable=False),
    Column("conditions", Text, nullable=False),  # digest of load, timeline and faults: runs of another are not compared
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("verdict", Text, nullable=False),
    Column("reasons", Text, nullable=False),  # JSON, a list of sentences
    Column("workload_version", Text, nullable=False),  # "": not known
    Column("topology_digest", Text, nullable=False),
    Column("experiment_commit", Text, nullable=False),
    Column("verdict_sha256", Text, nullable=False),  # of verdict.json: whether a run is here already, and the same
    Column("directory", Text, nullable=False),  # <slug>/<run-id>: below whichever reports/ has it
    Index("ix_run_slug", "slug", "environment", "started_at"),
)

findings = Table(
    "finding",
    metadata,
    Column("run_id", Text, ForeignKey("run.run_id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),  # from 0, as in the spec
    Column("claim", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("estimate", Double),
    Column("low", Double),
    Column("high", Double),
    Column("steady", Double),
    Column("n", BigInteger, nullable=False),
    Column("unit", Text, nullable=False),
    Column("op", Text, nullable=False),
    Column("bound", Double),
    Column("method", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("found", Text),  # of a claim about a word
)

measures = Table(
    "measure",
    metadata,
    Column("run_id", Text, ForeignKey("run.run_id", ondelete="CASCADE"), primary_key=True),
    Column("kind", Text, primary_key=True),  # fault | load | generator
    Column("name", Text, primary_key=True),
    Column("value", Double, nullable=False),
    Column("unit", Text, nullable=False),
)
