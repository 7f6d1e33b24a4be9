"""Turn columns as they come (texts, decimals, dates, categories) into ids, finite numbers and seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from cofactor.errors import DataError, SettingError

__all__ = ["LARGEST", "IdType", "OnBadRows", "Typed", "check_choice", "shortened", "typed"]

IdType = Literal["str", "int"]
OnBadRows = Literal["error", "skip"]

_ROLES = {"user": "user id", "item": "item id", "value": "value", "time": "time"}
_MOMENTS = (
    ("%Y-%m-%d", None),
    ("%Y-%m-%d %H:%M:%S%.f", None),
    ("%Y-%m-%dT%H:%M:%S%.f", None),
    ("%Y-%m-%d %H:%M", None),
    ("%Y-%m-%dT%H:%M", None),
    ("%+", "UTC"),
)
_LONG = 50  # characters of a value shown whole
LARGEST = float(np.finfo(np.float32).max)
"""Of the numbers that a value may be."""


@dataclass(frozen=True)
class Typed:
    """Columns in their final types: the good rows, and the positions of the bad ones among those that came."""

    frame: pl.DataFrame
    bad_rows: list[int]
    raw: pl.DataFrame
    converted: pl.DataFrame
    ids: IdType | None

    def why(self, row: int) -> str:
        """Say what is wrong with a bad row."""
        name = next(column.name for column in self.converted if column[row] is None)
        return f"the {_ROLES[name]} {_wrong(name, self.raw[name][row], self.ids)}"


def typed(raw: pl.DataFrame, ids: IdType | None) -> Typed:
    """Convert the columns user, item and, where present, value and time.

    Parameters
    ----------
    raw : polars.DataFrame
        The columns as they came.
    ids : {"str", "int"}, optional
        Read text ids as strings or as integers; None keeps the type that the ids have.

    Raises
    ------
    DataError
        If a whole column is of a type that cannot be used.

    Examples
    --------
    >>> raw = pl.DataFrame({"user": ["u1", "u2"], "item": ["a", "b"], "value": ["4.5", "four"]})
    >>> found = typed(raw, "str")
    >>> found.frame.rows(), found.bad_rows, found.why(1)
    ([('u1', 'a', 4.5)], [1], "the value 'four' is not a finite 32-bit number")
    """
    columns = [_CONVERT[column.name](column, ids).alias(column.name) for column in raw]
    converted = pl.DataFrame(columns)
    if not any(column.null_count() for column in columns):
        return Typed(converted, [], raw, converted, ids)
    missing = converted.select(pl.any_horizontal(pl.all().is_null())).to_series()
    return Typed(converted.filter(~missing), missing.arg_true().to_list(), raw, converted, ids)


def _wrong(name: str, cell: object, ids: IdType | None) -> str:
    if cell is None or cell == "":
        return "is missing"
    if name in ("user", "item"):
        way_out = "ids='str' takes any" if ids == "int" else "strings may be any"
        return f"{shortened(cell)} is not an integer of 64 bits ({way_out})"
    if name == "time":
        return f"{shortened(cell)} is neither whole seconds nor a date such as 2024-05-31 or 2024-05-31T12:30:00"
    comma = isinstance(cell, str) and cell.count(",") == 1 and "." not in cell
    hint = " (write decimals with a point)" if comma else ""
    return f"{shortened(cell)} is not a finite 32-bit number{hint}"


def _ids(column: pl.Series, ids: IdType | None) -> pl.Series:
    if column.dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        return _integers(column) if ids == "int" else column.set(column == "", None)
    if column.dtype == pl.Null:
        return column.cast(pl.String)
    if not column.dtype.is_integer():
        raise DataError(
            f"the {_ROLES[column.name]}s are of type {column.dtype}, such as {shortened(_first(column))}: "
            "convert them to strings or integers"
        )
    return column.cast(pl.UInt64 if column.dtype in (pl.UInt64, pl.UInt128) else pl.Int64, strict=False)


def _integers(column: pl.Series) -> pl.Series:
    stripped = column.str.strip_chars()
    signed = stripped.cast(pl.Int64, strict=False)
    if signed.null_count() == 0:
        return signed
    unsigned = stripped.cast(pl.UInt64, strict=False)
    return unsigned if unsigned.null_count() < signed.null_count() else signed


def _numbers(column: pl.Series, _: IdType | None) -> pl.Series:
    if column.dtype == pl.String:
        numbers = column.cast(pl.Float64, strict=False)
        if numbers.null_count():
            numbers = column.str.strip_chars().cast(pl.Float64, strict=False)
    elif column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null):
        numbers = column.cast(pl.Float64)
    else:
        raise DataError(f"the values are of type {column.dtype}: they must be numbers")
    usable = numbers.is_finite() & (numbers.abs() <= LARGEST)
    return (numbers if usable.all() else numbers.set(~usable, None)).cast(pl.Float32)


def _seconds(column: pl.Series, _: IdType | None) -> pl.Series:
    if column.dtype == pl.String:
        return _seconds_of_text(column)
    if column.dtype == pl.Null:
        return column.cast(pl.Int64)
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return column.dt.epoch("s").cast(pl.Int64)
    if column.dtype.is_numeric():
        whole = column.floor() if column.dtype.is_float() else column
        return whole.cast(pl.Int64, strict=False)
    raise DataError(f"the times are of type {column.dtype}: they must be whole seconds, dates or datetimes")


def _seconds_of_text(column: pl.Series) -> pl.Series:
    text = column.str.strip_chars()
    seconds = text.cast(pl.Int64, strict=False)
    if seconds.null_count() == text.null_count():
        return seconds
    frame = text.alias("text").to_frame().with_columns(seconds.alias("seconds"))
    moments = [
        pl.col("text").str.to_datetime(form, time_unit="us", time_zone=zone, strict=False).dt.epoch("s")
        for form, zone in _MOMENTS
    ]
    decimal = pl.col("text").cast(pl.Float64, strict=False).floor().cast(pl.Int64, strict=False)
    return frame.select(pl.coalesce("seconds", *moments, decimal)).to_series()


_CONVERT = {"user": _ids, "item": _ids, "value": _numbers, "time": _seconds}


def _first(column: pl.Series) -> object:
    return column.drop_nulls()[0] if column.null_count() < len(column) else None


def shortened(cell: object) -> str:
    """Return a value for an error text: on one line, and cut where it is long.

    >>> shortened("x" * 1000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… (1,000 characters)"
    """
    if isinstance(cell, (str, bytes)):
        text, length = repr(cell[:100]), len(cell)
    else:
        text = " ".join(str(cell).split())
        length = len(text)
    return text if length <= _LONG else f"{text[: _LONG - 10]}… ({length:,} characters)"


def check_choice(name: str, given: object, choices: Sequence[str]) -> None:
    """Raise where a setting is none of its choices."""
    if given not in choices:
        raise SettingError(f"{name} is {given!r}: it must be {' or '.join(map(repr, choices))}")
