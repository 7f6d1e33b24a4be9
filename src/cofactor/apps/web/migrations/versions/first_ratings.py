"""The first tables: the ratings, and the number of the last write."""

import secrets

import sqlalchemy as sql
from alembic import op

from cofactor.apps.web.schema import table_options

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables, and give the store a random name."""
    options = table_options(op.get_bind())
    state = op.create_table(
        "cofactor_state",
        sql.Column("id", sql.Integer, primary_key=True),
        sql.Column("born", sql.String(32), nullable=False),
        sql.Column("revision", sql.BigInteger, nullable=False),
        **options,
    )
    op.create_table(
        "cofactor_ratings",
        sql.Column("user_id", sql.String(200), primary_key=True),
        sql.Column("item_id", sql.String(200), primary_key=True),
        sql.Column("value", sql.Double),
        sql.Column("rated_at", sql.BigInteger, nullable=False),
        sql.Column("revision", sql.BigInteger, nullable=False),
        **options,
    )
    op.create_index("cofactor_ratings_by_revision", "cofactor_ratings", ["revision"])
    op.bulk_insert(state, [{"id": 1, "born": secrets.token_hex(16), "revision": 0}])
