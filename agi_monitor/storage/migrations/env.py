"""Run by Alembic, within the transaction of ``Database.upgrade``."""

from alembic import context

from agi_monitor.storage.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata)
context.run_migrations()
