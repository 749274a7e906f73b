"""What Alembic runs for each migration: on the connection that `database` hands it, in that transaction."""

from __future__ import annotations

from alembic import context

from stormproof.history.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
