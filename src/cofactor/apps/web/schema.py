"""The tables of the ratings store, and how a database is brought to them: Alembic's migrations, run at the start."""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sql

from cofactor.errors import SettingError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = ["HEAD", "RATINGS", "STATE", "migrate"]

HEAD = "0001"
"""The newest migration; that it is, a test holds."""

_LOCK = 7_206_553_181  # any number that nobody else on the server is likely to lock
_TABLES = sql.MetaData()

STATE = sql.Table(
    "cofactor_state",
    _TABLES,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("born", sql.String(32), nullable=False),
    sql.Column("revision", sql.BigInteger, nullable=False),
)
"""One row: the store's own name, and the number of the last write. Every write raises it, which puts them in a row."""

RATINGS = sql.Table(
    "cofactor_ratings",
    _TABLES,
    sql.Column("user_id", sql.String(200), primary_key=True),
    sql.Column("item_id", sql.String(200), primary_key=True),
    sql.Column("value", sql.Double),
    sql.Column("rated_at", sql.BigInteger, nullable=False),
    sql.Column("revision", sql.BigInteger, nullable=False),
)
"""What people gave; no value where they took it back, which holds against what a model was trained on as well."""


def migrate(engine: "Engine") -> None:
    """Bring a database to the newest tables; of several services that start at once one does it, the others wait.

    Raises
    ------
    SettingError
        If a newer version of cofactor wrote the database, or its version is none of cofactor's.
    """
    with engine.connect().execution_options(reading=True) as connection:
        found = _version(connection)
    if found == HEAD:
        return
    if found is not None and not (found.isdecimal() and len(found) == len(HEAD)):
        raise SettingError(
            f"the ratings database has an unknown version, {found[:20]!r}: give --ratings another database"
        )
    if found is not None and found > HEAD:
        raise SettingError("a newer cofactor wrote the ratings database: pip install --upgrade cofactor")
    with engine.begin() as connection:  # on SQLite this locks the file
        if connection.dialect.name == "postgresql":
            connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_LOCK)))
        if _version(connection) != HEAD:
            _upgrade(connection)


def _version(connection: "Connection") -> str | None:
    if not sql.inspect(connection).has_table("cofactor_version"):
        return None
    found: str | None = connection.execute(sql.text("select version_num from cofactor_version")).scalar()
    return found


def _upgrade(connection: "Connection") -> None:
    from alembic import command  # slow to load, and seldom needed
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
