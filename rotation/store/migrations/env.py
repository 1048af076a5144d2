"""Alembic's entry: runs the revisions on the connection that `rotation.store.migrate` hands over."""

from alembic import context

from rotation.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
