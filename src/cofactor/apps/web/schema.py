"""The tables of the ratings store, and its schema version: Alembic's migrations bring a database up to date."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sql

from cofactor.errors import SettingError, first_line

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

__all__ = [
    "ERASURES",
    "EVENTS",
    "HEAD",
    "ITEMS",
    "LISTS",
    "RATINGS",
    "RULES",
    "STATE",
    "migrate",
    "table_options",
    "version_of",
]

HEAD = "0005"
"""The schema version of this code: its newest migration. The database has its own in ``cofactor_version``."""

_LOCK = 7_206_553_181  # any number that no other program on the server is likely to lock
_LOCK_SECONDS = 60
_TABLES = sql.MetaData()

STATE = sql.Table(
    "cofactor_state",
    _TABLES,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("born", sql.String(32), nullable=False),
    sql.Column("revision", sql.BigInteger, nullable=False),
)
"""One row: the store's own name, and the number of the last write, which every write raises by one."""

RATINGS = sql.Table(
    "cofactor_ratings",
    _TABLES,
    sql.Column("user_id", sql.String(200), primary_key=True),
    sql.Column("item_id", sql.String(200), primary_key=True),
    sql.Column("value", sql.Double),
    sql.Column("rated_at", sql.BigInteger, nullable=False),
    sql.Column("revision", sql.BigInteger, nullable=False),
)
"""What people rated; null for a deleted rating, which also hides the one that a model was trained on."""


ERASURES = sql.Table(
    "cofactor_erasures",
    _TABLES,
    sql.Column("digest", sql.String(32), primary_key=True),
    sql.Column("revision", sql.BigInteger, nullable=False),
)
"""Who was erased, as a digest of the id that is keyed with the store's name, and the number of that write."""

ITEMS = sql.Table(
    "cofactor_items",
    _TABLES,
    sql.Column("item_id", sql.String(200), primary_key=True),
    sql.Column("attributes", sql.Text),
    sql.Column("revision", sql.BigInteger, nullable=False),
)
"""Attributes of items as JSON, of those that were put after the training; null for what was deleted again."""

RULES = sql.Table(
    "cofactor_rules",
    _TABLES,
    sql.Column("item_id", sql.String(200), primary_key=True),
    sql.Column("rule", sql.Text),
    sql.Column("set_by", sql.String(200), nullable=False),
    sql.Column("set_at", sql.BigInteger, nullable=False),
    sql.Column("revision", sql.BigInteger, nullable=False),
)
"""Rules for all lists as JSON, by item, with who set them and when; null for what was taken back again."""

LISTS = sql.Table(
    "cofactor_lists",
    _TABLES,
    sql.Column("list_id", sql.String(32), primary_key=True),
    sql.Column("day", sql.Integer, nullable=False),
    sql.Column("served_at", sql.BigInteger, nullable=False),
    sql.Column("user_id", sql.String(200)),
    sql.Column("experiment", sql.String(200), nullable=False),
    sql.Column("arm", sql.String(2), nullable=False),
    sql.Column("model", sql.String(40), nullable=False),
    sql.Column("request", sql.Text, nullable=False),
    sql.Column("items", sql.Text, nullable=False),
)
"""Lists that were served, by ids in the order of time: the day and millisecond since 1970, for whom (null for somebody
without a name), by which model, and as JSON what was asked for and the items with what is known of each position."""

EVENTS = sql.Table(
    "cofactor_events",
    _TABLES,
    sql.Column("list_id", sql.String(32), primary_key=True),
    sql.Column("item_id", sql.String(200), primary_key=True),
    sql.Column("kind", sql.String(10), primary_key=True),
    sql.Column("told_at", sql.BigInteger, nullable=False),
)
"""What people did with the items of a list; no item is that of the whole list."""


def migrate(engine: "Engine") -> None:
    """Bring a database to this code's schema version; if several services start at once, one does it.

    Raises
    ------
    SettingError
        If the database has another version than this code can read.
    """
    found = version_of(engine)
    if found == HEAD:
        return
    if found == "0001" and engine.dialect.name == "sqlite":  # which left deleted ratings in the file
        with engine.connect().execution_options(outside=True) as connection:
            connection.exec_driver_sql("vacuum")
    with engine.begin() as connection:  # on SQLite this locks the file
        kind = connection.dialect.name
        if kind == "postgresql":
            connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_LOCK)))
        elif kind != "sqlite":
            connection.execute(sql.select(sql.func.get_lock(f"cofactor {_LOCK}", _LOCK_SECONDS)))
        try:
            if _version(connection) != HEAD:
                _upgrade(connection)
        finally:
            if kind not in ("postgresql", "sqlite"):  # no transaction holds the lock, and none holds new tables back
                connection.exec_driver_sql("commit")
                connection.execute(sql.select(sql.func.release_lock(f"cofactor {_LOCK}")))


def version_of(engine: "Engine") -> str | None:
    """Return the schema version of a database, None for an empty one.

    Raises
    ------
    SettingError
        If this code cannot read that version, or the database cannot hold every name.
    """
    with engine.connect().execution_options(reading=True) as connection:
        _check_encoding(connection)
        found = _version(connection)
    found = None if found is None else str(found)  # SQLite keeps anything in any column
    if found is not None and not (found.isdecimal() and len(found) == len(HEAD)):
        raise SettingError(
            f"the ratings database has an unknown schema version, {found[:20]!r}: give --ratings another database"
        )
    if found is not None and found > HEAD:
        raise SettingError(
            f"the ratings database has schema version {found}, and this cofactor reads up to {HEAD}: "
            "pip install --upgrade cofactor"
        )
    return found


def table_options(connection: "Connection") -> dict[str, Any]:
    """Return how tables are to be made where ids would otherwise be equal that differ in case, accents or spaces."""
    if connection.dialect.name not in ("mysql", "mariadb"):
        return {}
    exact = "utf8mb4_nopad_bin" if getattr(connection.dialect, "is_mariadb", False) else "utf8mb4_0900_bin"
    return {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": exact} | {
        "mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": exact,
    }  # fmt: skip


def _check_encoding(connection: "Connection") -> None:
    """Refuse a PostgreSQL database that cannot hold every character, or counts bytes instead of them."""
    if connection.dialect.name != "postgresql":
        return
    encoding = connection.execute(sql.text("select current_setting('server_encoding')")).scalar_one()
    if encoding != "UTF8":
        raise SettingError(
            f"the ratings database has the encoding {encoding}, which cannot hold every name: "
            "make one with 'createdb --encoding=UTF8 --template=template0 NAME'"
        )


def _version(connection: "Connection") -> str | None:
    if not sql.inspect(connection).has_table("cofactor_version"):
        return None
    found: str | None = connection.execute(sql.text("select version_num from cofactor_version")).scalar()
    return found


def _upgrade(connection: "Connection") -> None:
    from alembic import command  # slow to import, and seldom needed
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    folder = str(Path(__file__).parent / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))  # which has a meaning in options
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SettingError(
            f"the ratings database is damaged where its version is kept ({first_line(error)}): restore it from a copy"
        ) from error
