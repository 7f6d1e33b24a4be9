"""Conditions on the attributes of items: a polars expression, or a text such as ``year >= 1990 and not adult``."""

from typing import TypeAlias

import numpy as np
import polars as pl

from cofactor.errors import SettingError, first_line
from cofactor.lists.where_text import columns_of, evaluated

__all__ = ["Where", "check_where", "rows_where"]

Where: TypeAlias = pl.Expr | str
"""Which items: a boolean expression over their attributes, or the same as a text."""


def check_where(where: object) -> None:
    """Raise SettingError where a condition is neither an expression nor a text."""
    if where is not None and not isinstance(where, pl.Expr | str):
        raise SettingError(
            f"where is of type {type(where).__name__}: give a polars expression such as pl.col('price') < 20, or a "
            "text such as 'price < 20'"
        )


def rows_where(where: Where, table: pl.DataFrame, name: str = "where") -> np.ndarray:
    """Return for which rows of a table a condition holds: a mask. Where it is null, it does not hold.

    Parameters
    ----------
    where : polars.Expr or str
        A text knows columns (in backquotes if they are no plain words), numbers, texts in quotes, true and false;
        ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``between 1 and 2``, ``in (1, 2)``, ``'Comedy' in genres``,
        ``is null``; and ``and``, ``or``, ``not`` with brackets. Dates are texts such as '2024-05-31'. A value may be
        ``in`` a column of lists, or of texts with ``|`` between several. Nothing else of a text reaches polars.
    table : polars.DataFrame
    name : str
        What errors call the condition.

    Raises
    ------
    SettingError
        If the condition names no column, or one that is not there; if it is no condition, or does not fit the columns.

    Examples
    --------
    >>> goods = pl.DataFrame({"item": ["tea", "rye"], "price": [4.5, None], "tags": ["hot|green", None]})
    >>> rows_where("price < 20 and 'green' in tags", goods).tolist()
    [True, False]
    >>> rows_where(pl.col("price").is_null(), goods).tolist()
    [False, True]
    """
    check_where(where)
    if isinstance(where, str):
        return _mask(evaluated(where, table, name))
    if not where.meta.root_names() and not where.meta.has_multiple_outputs():
        raise SettingError(f"{name} is the expression {where}, which names no column: {columns_of(table)}")
    try:
        found = table.select(where)
    except pl.exceptions.ColumnNotFoundError as error:
        raise SettingError(
            f"{name} names a column that is not there ({first_line(error)}): {columns_of(table)}"
        ) from error
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise SettingError(f"{name} does not fit the columns ({first_line(error)}): {columns_of(table)}") from error
    if found.width != 1:
        raise SettingError(f"{name} gives {found.width} columns: combine them with & or | to one")
    if found.dtypes[0] != pl.Boolean:
        raise SettingError(f"{name} gives {found.dtypes[0]}, not true or false: compare it, as in pl.col('price') < 20")
    if found.height != table.height:
        raise SettingError(f"{name} gives {found.height:,} values for {table.height:,} rows: it must give one for each")
    return _mask(found.to_series())


def _mask(column: pl.Series) -> np.ndarray:
    mask: np.ndarray = column.alias("holds").fill_null(False).to_numpy()
    return mask
