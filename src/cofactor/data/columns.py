"""Find the columns of a table, and turn them (texts, decimals, dates, categories) into ids, numbers and seconds."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from cofactor.data.times import seconds_column
from cofactor.errors import DataError, SettingError

__all__ = [
    "DEFAULTS",
    "LARGEST",
    "Column",
    "IdType",
    "OnBadRows",
    "Typed",
    "Weights",
    "checked_weights",
    "position_of",
    "positions_of",
    "shortened",
    "typed",
    "wanted_columns",
]

IdType = Literal["str", "int"]
OnBadRows = Literal["error", "skip"]
Column = str | tuple[str, ...]
"""A column's name, or names of which the first is taken that a table has."""

Weights = Mapping[str, float]
"""What each text in the column of values counts, such as how much a purchase says beside a view."""

DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "user": ("user", "userId"),
    "item": ("item", "movieId"),
    "value": ("value", "rating"),
    "time": ("time", "timestamp"),
}
"""The default columns of every reader: those of `Interactions.to_frame` and of MovieLens."""

_ROLES = {"user": "user id", "item": "item id", "value": "value", "time": "time"}
_NOT_VALUES = (*DEFAULTS["time"], "title", "genres")
_LONG = 50  # longest value shown in full
LARGEST = float(np.finfo(np.float32).max)
"""The largest number that a value may be."""


@dataclass(frozen=True)
class Typed:
    """Columns in their final types: the valid rows, and the positions of the bad ones in the input."""

    frame: pl.DataFrame
    bad_rows: list[int]
    raw: pl.DataFrame
    converted: pl.DataFrame
    ids: IdType | None
    weighted: bool = False

    def why(self, row: int) -> str:
        """Describe what is wrong with a bad row."""
        name = next(column.name for column in self.converted if column[row] is None)
        return f"the {_ROLES[name]} {_wrong(name, self.raw[name][row], self.ids, weighted=self.weighted)}"


def typed(raw: pl.DataFrame, ids: IdType | None, weights: Weights | None = None) -> Typed:
    """Convert the columns user, item and, where present, value and time.

    Parameters
    ----------
    raw : polars.DataFrame
        The input columns.
    ids : {"str", "int"}, optional
        Read text ids as strings or as integers; None keeps their type.
    weights : mapping of str to float, optional
        What each text in the column value counts.

    Raises
    ------
    DataError
        If a whole column has an unusable type.

    Examples
    --------
    >>> raw = pl.DataFrame({"user": ["u1", "u2"], "item": ["a", "b"], "value": ["4.5", "n/a"]})
    >>> found = typed(raw, "str")
    >>> found.frame.rows(), found.bad_rows, found.why(1)
    ([('u1', 'a', 4.5)], [1], "the value 'n/a' is not a finite 32-bit number")
    """
    columns = [
        (_weighed(column, weights) if weights and column.name == "value" else _CONVERT[column.name](column, ids)).alias(
            column.name
        )
        for column in raw
    ]
    converted = pl.DataFrame(columns)
    if not any(column.null_count() for column in columns):
        return Typed(converted, [], raw, converted, ids, bool(weights))
    missing = converted.select(pl.any_horizontal(pl.all().is_null())).to_series()
    return Typed(converted.filter(~missing), missing.arg_true().to_list(), raw, converted, ids, bool(weights))


def _wrong(name: str, cell: object, ids: IdType | None, *, weighted: bool) -> str:
    if cell is None or cell == "":
        return "is missing"
    if name in ("user", "item"):
        way_out = "ids='str' takes any text" if ids == "int" else "convert the column to strings"
        return f"{shortened(cell)} is not an integer of 64 bits ({way_out})"
    if name == "time":
        return (
            f"{shortened(cell)} is neither seconds since 1970 nor a date such as 2024-05-31 or 2024-05-31T12:30:00 "
            "(time=None leaves times out)"
        )
    if weighted:
        return f"{shortened(cell)} has no weight (weights={{…}} gives it one, on_bad_rows='skip' leaves such rows out)"
    return f"{shortened(cell)} is not a finite 32-bit number{_comma_advice(cell) or _weight_advice(cell)}"


def _weight_advice(cell: object) -> str:
    """Say how words become values, such as those of events."""
    is_word = isinstance(cell, str) and re.fullmatch(r"[^\W\d][\w .-]{0,30}", cell.strip()) is not None
    return " (weights={…} says what each such text counts)" if is_word else ""


def _comma_advice(cell: object) -> str:
    """Say how to write a number with a comma: one before three digits may group thousands or begin decimals."""
    if not isinstance(cell, str) or not re.fullmatch(r"[+-]?\d+(,\d+)+", cell.strip()):
        return ""
    grouped, decimal = cell.strip().replace(",", ""), cell.strip().replace(",", ".")
    if not re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+", cell.strip()):
        return " (write decimals with a point)" if cell.count(",") == 1 else ""
    if cell.count(",") > 1:
        return f" (write it without the commas: {grouped})"
    return f" (write {grouped} if the comma groups thousands, {decimal} if it begins the decimals)"


def _ids(column: pl.Series, ids: IdType | None) -> pl.Series:
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
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


def _weighed(column: pl.Series, weights: Weights) -> pl.Series:
    """Return what each text counts; null where it has no weight."""
    texts = column.cast(pl.String).str.strip_chars()
    return texts.replace_strict(
        list(weights), list(map(float, weights.values())), default=None, return_dtype=pl.Float32
    )


def checked_weights(weights: Weights | None, value: Column | None) -> Weights | None:
    """Return weights if they are of use.

    Raises
    ------
    SettingError
        If they are no numbers by text, or there is no column that they could be of.
    """
    if weights is None:
        return None
    if value is None:
        raise SettingError(
            "weights says what each value counts, and value=None leaves the values out: give one of them"
        )
    sound = isinstance(weights, Mapping) and weights and all(isinstance(text, str) for text in weights)
    if not sound or not all(_is_weight(weight) for weight in weights.values()):
        raise SettingError(f"weights is {weights!r}: give a number for each text, such as {{'view': 1, 'purchase': 5}}")
    return weights


def _is_weight(given: object) -> bool:
    is_number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    return is_number and abs(given) <= LARGEST  # type: ignore[arg-type]


def _times(column: pl.Series, _: IdType | None) -> pl.Series:
    return seconds_column(column)


def wanted_columns(user: Column, item: Column, value: Column | None, time: Column | None) -> dict[str, Column]:
    """Return the columns to read by their roles, without those that are None.

    Raises
    ------
    SettingError
        If one is not the name of a column.
    """
    roles = {"user": user, "item": item, "value": value, "time": time}
    for role, name in roles.items():
        names = name if isinstance(name, tuple) and name else (name,)
        if (name is None and role in ("user", "item")) or not all(isinstance(one, str) or one is None for one in names):
            raise SettingError(
                f"{role}={name!r} is not the name of a column: give a text, and columns=[…] for a file without a header"
            )
    return {role: name for role, name in roles.items() if name is not None}


def positions_of(
    wanted: Mapping[str, Column], names: Sequence[str], place: object, numeric: Collection[int] | None = None
) -> dict[str, int]:
    """Return the positions of the wanted columns by role.

    Of several names the first is taken that is there. Without any of them, values and times are left out; but where
    other columns could be meant as the values, one must be named, or None. In a table with types these are the
    ``numeric`` ones, in a text file all.

    Raises
    ------
    DataError
        If a column is missing, or its name is there twice; the text names the columns that there are.
    """
    positions = {}
    for role, choice in wanted.items():
        if role == "title" and names.count(choice[0]) != 1:
            continue
        known = [choice] if isinstance(choice, str) else [name for name in choice if name in names]
        if known or role in ("user", "item"):
            positions[role] = position_of(known[0] if known else choice[0], names, place, role)
        elif role == "value":
            others = range(len(names)) if numeric is None else numeric
            if any(at not in positions.values() and names[at] not in _NOT_VALUES for at in others):
                position_of(choice[0], names, place, role)
    return positions


def position_of(name: str, names: Sequence[str], place: object, role: str) -> int:
    """Return the position of a column, or raise an error that says which columns there are and which is nearest."""
    if names.count(name) > 1:
        raise DataError(f"{place} has {names.count(name)} columns named {name!r}: rename all but one")
    if name in names:
        return names.index(name)
    import difflib

    lowered = {known.lower(): known for known in reversed(names)}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    nearest = f", the nearest is {lowered[close[0]]!r}" if close else ""
    headless = any(known.replace(".", "", 1).isdigit() for known in names)
    if headless:
        remedy = "if that is a first row and not a header, say has_header=False"
    else:
        remedy = f"name it with {role}=…"
        remedy += f" ({role}=None where there is none)" if role in ("value", "time") else ""
    shown = ", ".join(shortened(known) for known in names[:20]) + (", …" if len(names) > 20 else "")
    raise DataError(f"{place} has no column {name!r}: its columns are {shown}{nearest}; {remedy}")


_CONVERT = {"user": _ids, "item": _ids, "value": _numbers, "time": _times}


def _first(column: pl.Series) -> object:
    return column.drop_nulls()[0] if column.null_count() < len(column) else None


def shortened(cell: object) -> str:
    """Return a value for an error text: on one line, shortened if it is long.

    >>> shortened("x" * 1000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… (1,000 characters)"
    """
    if isinstance(cell, (str, bytes)):
        text, length = repr(cell[:100]), len(cell)
    else:
        text = " ".join(str(cell).split())
        length = len(text)
    return text if length <= _LONG else f"{text[: _LONG - 10]}… ({length:,} characters)"
