"""Take columns from any data frame; the only module that imports narwhals, loaded when a frame is read."""

from collections.abc import Mapping
from typing import Any

import narwhals as nw
import polars as pl

from cofactor.data.columns import Column, positions_of
from cofactor.data.memory_limit import UNLIMITED, Limit, needed_for
from cofactor.data.vocabulary import id_series
from cofactor.errors import DataError, first_line

__all__ = ["as_polars", "chosen_columns"]

_CELL = 12  # bytes, between those of a number and of a text


def chosen_columns(
    frame: Any,
    wanted: Mapping[str, Column],
    limit: Limit = UNLIMITED,
    *,
    place: str = "the frame",
    all_text: bool = False,
) -> pl.DataFrame:
    """Return the wanted columns of a frame under the names of their roles.

    A frame of a text file is ``all_text``: its columns do not say which of them are numbers.

    Raises
    ------
    DataError
        If it is not a data frame, a column is missing or unusable, or the table takes more memory than the limit.
    """
    if hasattr(frame, "read_next_batch"):
        frame = _of_batches(frame, limit)
    names, table = _named(frame, place)
    schema = table.collect_schema()
    numeric = [at for at, kind in enumerate(schema.dtypes()) if kind.is_numeric()]
    positions = positions_of(wanted, names, place, None if all_text else numeric)
    taken = list(dict.fromkeys(positions.values()))
    chosen = table.select(nw.nth(*taken))
    if isinstance(table, nw.LazyFrame) and limit.size is not None:
        _check(int(_collected(chosen.select(nw.len()), place).item()), len(taken), limit, place)
    held = _collected(chosen, place)
    _check(len(held), len(taken), limit, place)
    columns = dict(zip(taken, held.columns, strict=True))
    return pl.DataFrame([_column(held[columns[at]], role) for role, at in positions.items()])


def _of_batches(reader: Any, limit: Limit) -> pl.DataFrame:
    """Read the batches of an Arrow reader, such as DuckDB's, within a limit of memory."""
    parts: list[Any] = [pl.from_arrow(reader.schema.empty_table())]
    rows = 0
    try:
        for batch in reader:
            parts.append(pl.from_arrow(batch))
            rows += batch.num_rows
            _check(rows, batch.num_columns, limit, "the frame")
    except DataError:
        raise
    except Exception as error:  # whatever the engine behind the reader raises
        raise DataError(f"the frame cannot be read: {first_line(error)}") from error
    whole: pl.DataFrame = pl.concat(parts)
    return whole


def _check(rows: int, width: int, limit: Limit, place: str) -> None:
    """Refuse too many rows of so many columns."""
    limit.check(
        needed_for(_CELL * width * rows, rows),
        place,
        lambda amount: (
            f"write it as Parquet for open_parquet(), which sorts it on disk, leave out a column with time=None, "
            f"or give memory={amount!r} where there is as much"
        ),
    )


def as_polars(frame: Any) -> pl.DataFrame:
    """Return any data frame as one of polars, or raise DataError where it is none."""
    return frame if isinstance(frame, pl.DataFrame) else _polars(_collected(_named(frame)[1]))


def _named(frame: Any, place: str = "the frame") -> tuple[list[str], Any]:
    """Return the names of a frame's columns, and the frame as narwhals takes it: with names that are all different."""
    try:
        if nw.dependencies.is_pandas_dataframe(frame) or nw.dependencies.is_pyarrow_table(frame):
            pandas = nw.dependencies.is_pandas_dataframe(frame)
            names = [str(name) for name in (frame.columns if pandas else frame.column_names)]
            if len(set(names)) < len(names):
                numbered = [f"column {at}" for at in range(len(names))]
                frame = frame.set_axis(numbered, axis=1) if pandas else frame.rename_columns(numbered)
            return names, nw.from_native(frame)
        table = nw.from_native(frame)
        return [str(name) for name in table.collect_schema().names()], table
    except TypeError as error:
        raise DataError(
            f"{type(frame).__name__} is not a data frame: give one of pandas, polars, pyarrow or duckdb"
        ) from error
    except Exception as error:  # whatever the engine behind a lazy frame raises
        raise DataError(f"{place} cannot be read: {first_line(error)}") from error


def _collected(table: Any, place: str = "the frame") -> Any:
    if not isinstance(table, nw.LazyFrame):
        return table
    try:
        return table.collect("polars")
    except Exception as error:  # whatever the engine behind the lazy frame raises
        raise DataError(f"{place} cannot be computed: {first_line(error)}") from error


def _polars(table: Any) -> pl.DataFrame:
    try:
        frame: pl.DataFrame = table.to_polars()
    except Exception as error:
        raise DataError(f"the frame cannot be converted: {first_line(error)}") from error
    return frame


def _column(column: Any, role: str) -> pl.Series:
    native = nw.to_native(column)
    try:
        if str(getattr(native, "dtype", "")).startswith("Sparse"):  # of pandas; narwhals does not convert it
            return pl.Series(role, native.to_numpy())
        series: pl.Series = column.to_polars()
    except Exception as error:  # pandas objects of mixed types fail in many ways
        if role == "title":
            return pl.Series(role, [None] * len(column), pl.String)
        if role not in ("user", "item"):
            raise DataError(f"the frame's column {column.name!r} mixes types: {first_line(error)}") from error
        series = id_series(column.to_list(), role)
    return series.alias(role)
