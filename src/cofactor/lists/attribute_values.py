"""The values that attributes of items have, where they are few, each with the condition that finds its items."""

import datetime
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import polars as pl

from cofactor.lists.attributes import SEPARATOR
from cofactor.lists.where_text import WORDS

__all__ = ["Attribute", "AttributeValue", "attributes_in"]

MOST_VALUES = 50
"""A column of more values is told without them."""

Scalar: TypeAlias = str | bool | int | float
Kind: TypeAlias = Literal["text", "number", "boolean", "date", "time", "list", "other"]


@dataclass(frozen=True)
class AttributeValue:
    """One value, how many items have it, and the condition for `cofactor.lists.where` that finds them."""

    value: Scalar
    count: int
    where: str


@dataclass(frozen=True)
class Attribute:
    """A column of what is known of items.

    Parameters
    ----------
    name : str
    type : str
        What a value is; "list" also for texts with ``|`` between several.
    known : int
        Of how many items it is known.
    values : tuple of AttributeValue, or None
        In order; None where there are more than `MOST_VALUES`, or conditions cannot name them.
    low, high : number or str, optional
        The range of numbers and dates.
    """

    name: str
    type: Kind
    known: int
    values: tuple[AttributeValue, ...] | None
    low: Scalar | None = None
    high: Scalar | None = None


def attributes_in(table: pl.DataFrame) -> list[Attribute]:
    """Return the columns of a table of items, but the one of the ids.

    Examples
    --------
    >>> goods = pl.DataFrame({"item": [1, 2, 3], "tags": ["hot|green", "hot", None], "unit price": [4.5, 4.5, 2.0]})
    >>> [(value.value, value.count, value.where) for value in attributes_in(goods)[0].values]
    [('green', 1, "'green' in tags"), ('hot', 2, "'hot' in tags")]
    >>> [value.where for value in attributes_in(goods)[1].values]
    ['`unit price` = 2.0', '`unit price` = 4.5']
    """
    return [_attribute(column) for column in table.iter_columns() if column.name != "item"]


def _attribute(column: pl.Series) -> Attribute:
    name, column = column.name, column.alias("column")
    several = isinstance(column.dtype, pl.List) or _is_several(column)
    low = high = None
    if column.dtype.is_numeric() or column.dtype == pl.Date:
        low, high = _scalar(column.min()), _scalar(column.max())
    known = len(column) - column.null_count()
    return Attribute(name, _kind(column, several), known, _values(name, column, several), low, high)


def _is_several(column: pl.Series) -> bool:
    return column.dtype == pl.String and bool(column.str.contains(SEPARATOR, literal=True).any())


def _kind(column: pl.Series, several: bool) -> Kind:
    kind = column.dtype
    if several:
        return "list"
    if kind.is_numeric():
        return "number"
    names: dict[object, Kind] = {
        pl.String: "text", pl.Boolean: "boolean", pl.Date: "date", pl.Datetime: "time", pl.Time: "time",
    }  # fmt: skip
    return next((word for one, word in names.items() if kind == one), "other")


def _values(name: str, column: pl.Series, several: bool) -> tuple[AttributeValue, ...] | None:
    counted = _counted(column, several)
    if counted is None or counted.height > MOST_VALUES:
        return None
    found = list(_told(name, counted, several))
    return tuple(found) if len(found) == counted.height else None


def _counted(column: pl.Series, several: bool) -> pl.DataFrame | None:
    """Return each value with the number of rows that have it, sorted; None where conditions name no such values."""
    parts = column.str.split(SEPARATOR) if several and column.dtype == pl.String else column
    frame = pl.DataFrame({"row": range(len(parts)), "value": parts}, schema_overrides={"row": pl.UInt32})
    if several:
        frame = frame.explode("value").unique()
    kind = frame.schema["value"]
    if not (kind in (pl.String, pl.Boolean, pl.Date) or kind.is_numeric()):
        return None
    frame = frame.drop_nulls()
    if kind == pl.String:
        frame = frame.filter(pl.col("value") != "")
    return frame.group_by("value").len("count").sort("value")


def _told(name: str, counted: pl.DataFrame, several: bool) -> Iterator[AttributeValue]:
    """Yield values with their conditions; those that no text can name are left out."""
    for value, count in counted.iter_rows():
        scalar = _scalar(value)
        if isinstance(scalar, float) and not math.isfinite(scalar):
            continue
        yield AttributeValue(scalar, count, _condition(name, scalar, several))


def _scalar(value: object) -> Scalar:
    return value.isoformat() if isinstance(value, datetime.date) else value  # type: ignore[return-value]


def _condition(name: str, value: Scalar, several: bool) -> str:
    plain = re.fullmatch(r"[^\W\d]\w*", name) and name.lower() not in WORDS
    column = name if plain else "`" + name.replace("`", "``") + "`"
    if isinstance(value, bool) and not several:
        return column if value else f"not {column}"
    written = "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value).lower()
    return f"{written} in {column}" if several else f"{column} = {written}"
