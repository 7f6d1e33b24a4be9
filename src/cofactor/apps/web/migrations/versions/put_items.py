"""Attributes of items that were put."""

import sqlalchemy as sql
from alembic import op

from cofactor.apps.web.schema import table_options

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create their table."""
    op.create_table(
        "cofactor_items",
        sql.Column("item_id", sql.String(200), primary_key=True),
        sql.Column("attributes", sql.Text),
        sql.Column("revision", sql.BigInteger, nullable=False),
        **table_options(op.get_bind()),
    )
    op.create_index("cofactor_items_by_revision", "cofactor_items", ["revision"])
