"""Read interactions from a database through SQLAlchemy (extra "sql"), without ever showing the URL's password."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from cofactor.data.columns import DEFAULTS, OnBadRows, Weights, checked_weights, position_of
from cofactor.data.ingest import Attributes, Known, from_columns
from cofactor.data.interactions import Duplicates, Interactions
from cofactor.data.memory_limit import Limit, needed_for
from cofactor.errors import CofactorError, DataError, MissingExtraError, first_line, missing_extra

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

__all__ = ["read_sql", "read_sql_table"]

_BATCH = 50_000  # rows held as Python objects at once
_FIRST = 1_000  # rows of the first batch; the next ones are larger where rows are small
_BATCH_BYTES = 1 << 24
_PACKAGES = {"MySQLdb": "mysqlclient"}  # drivers whose package has another name
_SECRET = ("pass", "pwd", "secret", "token", "key")


def read_sql(
    query: str,
    url: str,
    *,
    user: str | None = None,
    item: str | None = None,
    value: str | None = None,
    time: str | None = None,
    items: Attributes | None = None,
    users: Attributes | None = None,
    weights: Weights | None = None,
    duplicates: Duplicates = "last",
    on_bad_rows: OnBadRows = "error",
    memory: str | int | None = None,
    name: str | None = None,
) -> Interactions:
    """Read the rows of a query, in batches, from any database that SQLAlchemy reaches.

    Parameters
    ----------
    query : str
        A select statement.
    url : str
        Where the database is, such as ``sqlite:///shop.db`` or ``postgresql+psycopg://me:secret@host/shop``.
    user, item, value, time : str, optional
        The names of the query's columns. User and item, where not given, are the columns of those names, else the first
        and the second. Value and time are the columns that are given; where none at all is given, those of these names,
        else the next in order.
    items, users, weights, duplicates, on_bad_rows, memory, name
        See `cofactor.data.readers.read_csv`.

    Raises
    ------
    MissingExtraError
        If SQLAlchemy or the database's driver is not installed.
    DataError
        If the database cannot be reached, the query fails, or its rows are bad or take more memory than they may.

    Examples
    --------
    >>> read_sql("select 'ann' as who, 7 as what, 4.5 as stars", "sqlite://")
    1 users × 1 items, 1 ratings from 4.5 to 4.5, 100 %
    """
    known = Known.of(items, users)  # fails before the work, not after it
    weights = checked_weights(weights, "" if value is None else value)
    database = _Database.at(url)
    named = {"user": user, "item": item, "value": value, "time": time}
    raw = database.fetched(query, lambda names: _positions(names, named), memory)
    if raw is None:
        raise DataError("the query gives no rows: nothing to learn from")
    name = (database.address.database or "") if name is None else name
    return from_columns(raw, database.place, on_bad_rows, duplicates, name, known, weights=weights)


def read_sql_table(query: str, url: str) -> pl.DataFrame:
    """Read all columns that a query gives, such as what is known of items: a table for ``items=`` or ``with_items``.

    Parameters
    ----------
    query : str
        A select statement.
    url : str
        As for `read_sql`.

    Raises
    ------
    MissingExtraError
        If SQLAlchemy or the database's driver is not installed.
    DataError
        If the database cannot be reached, the query fails or gives no rows, or a column mixes types.

    Examples
    --------
    >>> read_sql_table("select 7 as item, 'Rye' as title, 2.5 as price", "sqlite://").row(0, named=True)
    {'item': 7, 'title': 'Rye', 'price': 2.5}
    """
    table = _Database.at(url).fetched(query, _every_position)
    if table is None:
        raise DataError("the query gives no rows: nothing is known by it")
    return table


@dataclass(frozen=True)
class _Database:
    """A database that is there, and how it is called in errors."""

    address: "URL"
    place: str

    @classmethod
    def at(cls, url: str) -> "_Database":
        try:
            import sqlalchemy  # noqa: F401 - slow to import, and optional
        except ImportError as error:
            raise missing_extra("sqlalchemy", "sql") from error
        address = _address(url)
        place = address.set(query={}).render_as_string(hide_password=True)
        if address.get_backend_name() == "sqlite" and not _is_there(address.database):
            raise DataError(f"{place} does not exist: give sqlite:/// and the path of an existing file")
        return cls(address, place)

    def fetched(
        self, query: str, choose: Callable[[list[str]], dict[str, int]], memory: Any = None
    ) -> pl.DataFrame | None:
        """Return the columns that are wanted of a query's, None if it gives no rows."""
        import sqlalchemy

        try:
            return _fetched(sqlalchemy.create_engine(self.address), query, choose, Limit.of(memory))
        except CofactorError:
            raise
        except ModuleNotFoundError as error:
            driver = error.name or "the driver"
            package = _PACKAGES.get(driver, driver)
            raise MissingExtraError(
                f"{self.place} needs {driver}, which is not installed: pip install {package}"
            ) from None
        except Exception as error:  # drivers raise their own errors, which may contain the password
            raise DataError(f"{self.place}: {_scrubbed(error, self.address)}") from None


def _is_there(file: str | None) -> bool:
    """Return whether the SQLite file exists; otherwise SQLite would create an empty one."""
    return not file or file.startswith((":memory:", "file:")) or Path(file).exists()


def _address(url: str) -> "URL":
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise DataError("the database URL is invalid: write it as driver://user:password@host/database") from None


def _scrubbed(error: Exception, address: "URL") -> str:
    """Return the first line of a driver's error with the URL's secrets replaced."""
    text = first_line(getattr(error, "orig", None) or error)
    secrets = [str(address.password)] if address.password else []
    secrets += [str(given) for key, given in address.query.items() if any(word in key.lower() for word in _SECRET)]
    for secret in secrets:
        text = text.replace(secret, "***")
    return text


def _fetched(
    engine: Any, query: str, choose: Callable[[list[str]], dict[str, int]], limit: Limit
) -> pl.DataFrame | None:
    """Stream the query's rows into columns."""
    import sqlalchemy

    parts: list[pl.DataFrame] = []
    n_rows = size = 0
    wanted = _FIRST
    try:
        with engine.connect().execution_options(stream_results=True, yield_per=_FIRST) as connection:
            result = connection.execute(sqlalchemy.text(query))
            positions = choose(list(result.keys()))
            while batch := result.fetchmany(wanted):
                part = _columns(batch, positions, n_rows)
                parts.append(part)
                n_rows, size = n_rows + len(part), size + int(part.estimated_size())
                limit.check(needed_for(size, n_rows), f"the query, after {n_rows:,} rows,", _smaller)
                wanted = max(min(_BATCH, _BATCH_BYTES * n_rows // max(size, 1)), 1)
    finally:
        engine.dispose()
    return _together(parts) if parts else None


def _every_position(names: list[str]) -> dict[str, int]:
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(f"the query gives several columns {repeated!r}: rename them with 'as'")
    return {name: at for at, name in enumerate(names)}


def _smaller(amount: str) -> str:
    return f"let it give fewer rows or columns, or give memory={amount!r} or more where there is as much"


def _positions(names: list[str], named: dict[str, str | None]) -> dict[str, int]:
    if len(names) < 2:
        raise DataError(f"the query gives {len(names)} column: it must give at least a user and an item")
    positions = {role: position_of(name, names, "the query", role) for role, name in named.items() if name}
    wanted = ("user", "item") if positions else tuple(DEFAULTS)
    for role in wanted:
        known = next((name for name in DEFAULTS[role] if name in names), None)
        if role not in positions and known is not None:
            positions[role] = names.index(known)
    free = [at for at in range(len(names)) if at not in positions.values()]
    for role in wanted:
        if role not in positions and free:
            positions[role] = free.pop(0)
    return {role: positions[role] for role in DEFAULTS if role in positions}


def _columns(batch: Sequence[Sequence[object]], positions: dict[str, int], before: int) -> pl.DataFrame:
    columns = {}
    for role, at in positions.items():
        cells = [_plain(row[at], role) for row in batch]
        kinds = {type(cell) for cell in cells} - {type(None)}
        if len(kinds) > 1 and not (role not in ("user", "item", "time") and kinds <= {int, float, bool}):
            names = " and ".join(sorted(kind.__name__ for kind in kinds))
            raise DataError(f"the query's {role} column mixes {names} from row {before:,} on: cast it to one type")
        columns[role] = pl.Series(role, cells, strict=False)
    return pl.DataFrame(columns)


def _plain(cell: object, role: str) -> object:
    """Convert decimals to numbers and UUIDs to text."""
    if isinstance(cell, Decimal):
        return int(cell) if role in ("user", "item", "time") and cell == cell.to_integral_value() else float(cell)
    return str(cell) if isinstance(cell, uuid.UUID) else cell


def _together(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Concatenate the batches; only numeric types may differ between them."""
    for role in parts[0].columns:
        kinds = {part[role].dtype for part in parts} - {pl.Null}
        if len(kinds) > 1 and not all(kind.is_numeric() for kind in kinds):
            raise DataError(f"the query's {role} column mixes {' and '.join(map(str, kinds))}: cast it to one type")
    return pl.concat(parts, how="vertical_relaxed")
