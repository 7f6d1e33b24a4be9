"""Rules for all lists: items that are hidden, pinned or moved, and what holds where a request says nothing."""

import sqlalchemy as sql
from alembic import op

from cofactor.apps.web.schema import table_options

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create their table."""
    op.create_table(
        "cofactor_rules",
        sql.Column("item_id", sql.String(200), primary_key=True),
        sql.Column("rule", sql.Text),
        sql.Column("set_by", sql.String(200), nullable=False),
        sql.Column("set_at", sql.BigInteger, nullable=False),
        sql.Column("revision", sql.BigInteger, nullable=False),
        **table_options(op.get_bind()),
    )
    op.create_index("cofactor_rules_by_revision", "cofactor_rules", ["revision"])
