"""What Alembic runs: the missing migrations, on the given connection and in its transaction."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], version_table="cofactor_version")
context.run_migrations()
