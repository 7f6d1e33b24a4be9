"""Erasures: digests of the ids that were erased, so that no older model brings these people back."""

import sqlalchemy as sql
from alembic import op

from cofactor.apps.web.schema import table_options

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "cofactor_erasures",
        sql.Column("digest", sql.String(32), primary_key=True),
        sql.Column("revision", sql.BigInteger, nullable=False),
        **table_options(op.get_bind()),
    )
