"""Lists that were served, and what people did with them."""

import sqlalchemy as sql
from alembic import op

from cofactor.apps.web.schema import table_options

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create their tables, which SQLite keeps in the order of the lists' ids, that is of time."""
    options = table_options(op.get_bind())
    op.create_table(
        "cofactor_lists",
        sql.Column("list_id", sql.String(32), primary_key=True),
        sql.Column("day", sql.Integer, nullable=False),
        sql.Column("served_at", sql.BigInteger, nullable=False),
        sql.Column("user_id", sql.String(200)),
        sql.Column("experiment", sql.String(200), nullable=False),
        sql.Column("arm", sql.String(2), nullable=False),
        sql.Column("model", sql.String(40), nullable=False),
        sql.Column("request", sql.Text, nullable=False),
        sql.Column("items", sql.Text, nullable=False),
        sqlite_with_rowid=False,
        **options,
    )
    op.create_index("cofactor_lists_by_user", "cofactor_lists", ["user_id"])
    op.create_table(
        "cofactor_events",
        sql.Column("list_id", sql.String(32), primary_key=True),
        sql.Column("item_id", sql.String(200), primary_key=True),
        sql.Column("kind", sql.String(10), primary_key=True),
        sql.Column("told_at", sql.BigInteger, nullable=False),
        sqlite_with_rowid=False,
        **options,
    )
