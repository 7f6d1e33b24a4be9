"""Attributes of items as JSON: how what is known is told, and which values a column can take."""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

__all__ = ["UnfitAttribute", "fitting", "frame_of", "told"]

MAX_TEXT, MAX_PARTS = 10_000, 1_000

_TIMES: Mapping[Any, tuple[Callable[[str], Any], str]] = {
    pl.Date: (datetime.date.fromisoformat, "a date as a text, such as 2024-05-31"),
    pl.Datetime: (datetime.datetime.fromisoformat, "a time as a text, such as 2024-05-31T12:30"),
    pl.Time: (datetime.time.fromisoformat, "a time of day as a text, such as 12:30"),
}


class UnfitAttribute(ValueError):
    """A value that a column cannot take.

    Parameters
    ----------
    name : str
        Of the column.
    problem : str
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(problem)
        self.name = name


def told(table: pl.DataFrame, row: int) -> dict[str, Any]:
    """Return what is known of an item as JSON can hold it: values by column, null where nothing is known."""
    return {name: _as_json(value) for name, value in table.row(row, named=True).items() if name != "item"}


def _as_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_json(one) for one in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, datetime.timedelta) else value


def fitting(attributes: Mapping[str, Any], columns: pl.DataFrame) -> dict[str, Any]:
    """Return attributes in the types of a table's columns, those that are null left out.

    Parameters
    ----------
    attributes : mapping
        Values as JSON has them, by column.
    columns : polars.DataFrame
        Whose columns say what there is; its rows do not matter.

    Raises
    ------
    UnfitAttribute
    """
    found = {}
    for name, value in attributes.items():
        if name not in columns.columns:
            known = ", ".join(columns.columns[:20]) or "nothing"
            raise UnfitAttribute(
                name, f"the model knows no such attribute: of items it knows {known}; train it with more columns"
            )
        if value is not None:
            found[name] = _fitted(name, value, columns.schema[name])
    return found


def _fitted(name: str, value: Any, kind: pl.DataType) -> Any:
    if isinstance(kind, pl.List):
        if not isinstance(value, list) or len(value) > MAX_PARTS:
            raise UnfitAttribute(name, f"it must be a list of at most {MAX_PARTS:,} values")
        return [_fitted(name, one, kind.inner) for one in value if one is not None]  # type: ignore[arg-type]
    if kind == pl.Boolean:
        return _if(isinstance(value, bool), value, name, "true or false")
    if kind == pl.String:
        return _if(isinstance(value, str) and len(value) <= MAX_TEXT, value, name, f"a text of up to {MAX_TEXT:,}")
    if kind.is_numeric():
        return _number(name, value, kind)
    parse, words = next((one for time, one in _TIMES.items() if kind == time), (None, ""))
    if parse is None:
        raise UnfitAttribute(name, f"values of type {kind} cannot be put: leave it out")
    try:
        return pl.Series([parse(value)]).cast(kind)[0] if isinstance(value, str) else _if(False, value, name, words)
    except (ValueError, OverflowError, pl.exceptions.PolarsError):
        raise UnfitAttribute(name, f"it must be {words}") from None


def _number(name: str, value: Any, kind: pl.DataType) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    whole = kind.is_integer()
    _if(number and (not whole or float(value).is_integer()), value, name, "a whole number" if whole else "a number")
    try:
        return pl.Series([int(value) if whole else float(value)], dtype=kind)[0]
    except (OverflowError, TypeError, pl.exceptions.PolarsError):
        raise UnfitAttribute(name, "the number is too large for this attribute") from None


def _if(fits: bool, value: Any, name: str, words: str) -> Any:
    if not fits:
        raise UnfitAttribute(name, f"it must be {words}")
    return value


def frame_of(ids: pl.Series, rows: Sequence[Mapping[str, Any]], columns: pl.DataFrame) -> pl.DataFrame:
    """Return items with fitting attributes as a table with all of some columns, null where nothing is said."""
    return pl.DataFrame(
        {
            "item": ids,
            **{name: pl.Series([row.get(name) for row in rows], dtype=kind) for name, kind in columns.schema.items()},
        }
    )
