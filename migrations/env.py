"""Run migrations over the connection that the caller opened; no web application is needed."""

from alembic import context

from pdp.store import tables  # noqa: F401  completes Base.metadata
from pdp.store.base import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
