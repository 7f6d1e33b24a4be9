"""What Alembic runs: the steps not yet taken, on the connection and in the transaction that it was given."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="cofactor_version")
context.run_migrations()
