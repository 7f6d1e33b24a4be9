"""Take columns out of any data frame; the one module that imports narwhals, loaded only when a frame is read."""

from typing import Any

import narwhals as nw
import polars as pl

from cofactor.data.delimited import position_of
from cofactor.data.vocabulary import id_series
from cofactor.errors import DataError, first_line

__all__ = ["chosen_columns"]


def chosen_columns(frame: Any, wanted: dict[str, str]) -> pl.DataFrame:
    """Return the wanted columns of a frame under the names of their roles."""
    try:
        table = nw.from_native(frame)
    except TypeError as error:
        raise DataError(
            f"{type(frame).__name__} is no data frame: give one of pandas, polars, pyarrow or duckdb"
        ) from error
    names = [str(name) for name in table.collect_schema().names()]
    positions = {role: position_of(name, names, "the frame", role) for role, name in wanted.items()}
    held = table.select(*dict.fromkeys(names[at] for at in positions.values()))
    if isinstance(held, nw.LazyFrame):
        try:
            held = held.collect("polars")
        except Exception as error:  # whatever the engine behind the lazy frame raises
            raise DataError(f"the frame cannot be computed: {first_line(error)}") from error
    return pl.DataFrame([_column(held[names[at]], role) for role, at in positions.items()])


def _column(column: Any, role: str) -> pl.Series:
    try:
        series: pl.Series = column.to_polars()
    except Exception as error:  # pandas objects of mixed types fail in many ways
        if role not in ("user", "item"):
            raise DataError(f"the frame's column {column.name!r} mixes types: {first_line(error)}") from error
        series = id_series(column.to_list(), role)
    return series.alias(role)
