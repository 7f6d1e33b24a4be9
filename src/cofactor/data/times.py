"""Times as seconds since 1970: from text, dates, datetimes and numbers, exact to a microsecond."""

import datetime
import logging
import math
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from cofactor.errors import DataError, SettingError

__all__ = [
    "Duration",
    "Moment",
    "TimeUnit",
    "as_seconds",
    "duration",
    "length_setting",
    "moment",
    "seconds_column",
    "shown_length",
]

logger = logging.getLogger(__name__)

Moment = float | str | datetime.date | np.datetime64
"""Seconds since 1970, a text such as "2024-05-31", a date, a datetime."""

Duration = str | float | datetime.timedelta
"""A length of time: a text such as "30d", a number of seconds, a timedelta."""

_FORMATS = (
    ("%Y-%m-%d", None),
    ("%Y-%m-%d %H:%M:%S%.f", None),
    ("%Y-%m-%dT%H:%M:%S%.f", None),
    ("%Y-%m-%d %H:%M", None),
    ("%Y-%m-%dT%H:%M", None),
    ("%+", "UTC"),
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""How many seconds the unit of a length of time has, by its letter."""

_NAMES = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
_UNITS = ("seconds", "milliseconds", "microseconds", "nanoseconds")
_FIRST_OF_UNIT = 10.0 ** np.array([11, 14, 17])
"""From here on a number is of the next smaller unit: 10^11 seconds are the year 5138, 10^11 milliseconds 1973."""


def seconds_column(column: pl.Series) -> pl.Series:
    """Return times as numbers: Int64 where all are whole, else Float64, rounded to microseconds; null for no time.

    Dates and datetimes become seconds since 1970 (UTC where no zone is named). Numbers stay as they are; `TimeUnit`
    finds whether they count seconds.

    Raises
    ------
    DataError
        If the column is of a type that holds no times.
    """
    if column.dtype == pl.String:
        return _of_text(column)
    if column.dtype == pl.Null:
        return column.cast(pl.Int64)
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        microseconds = column.dt.epoch("us")
        return microseconds // 10**6 if (microseconds % 10**6 == 0).all() else _in_seconds(microseconds)
    if column.dtype.is_integer():
        return column.cast(pl.Int64, strict=False)
    if column.dtype.is_numeric():
        return _whole_or_rounded(column.cast(pl.Float64))
    raise DataError(f"the times are of type {column.dtype}: they must be seconds, dates or datetimes")


def _of_text(column: pl.Series) -> pl.Series:
    text = column.str.strip_chars()
    whole = text.cast(pl.Int64, strict=False)
    if whole.null_count() == text.null_count():
        return whole
    moments = [
        pl.col("text").str.to_datetime(form, time_unit="us", time_zone=zone, strict=False).dt.epoch("us")
        for form, zone in _FORMATS
    ]
    microseconds = text.alias("text").to_frame().select(pl.coalesce(moments)).to_series()
    numbers = text.cast(pl.Float64, strict=False)
    return _whole_or_rounded(numbers.zip_with(numbers.is_not_null(), _in_seconds(microseconds)))


def _whole_or_rounded(seconds: pl.Series) -> pl.Series:
    seconds = seconds.set(~seconds.is_between(-(2.0**63), 2.0**63, closed="none"), None)
    whole = seconds.cast(pl.Int64, strict=False)
    if whole.null_count() == seconds.null_count() and (whole == seconds).all():
        return whole
    return _in_seconds((seconds * 1e6).round())


def _in_seconds(microseconds: pl.Series) -> pl.Series:
    """Divide by NumPy, which rounds to the nearest float, as polars does not."""
    return pl.Series(microseconds.cast(pl.Float64).to_numpy() / 1e6).fill_nan(None)


@dataclass(frozen=True)
class TimeUnit:
    """The unit that a column of numbers counts in, from 1970 on, found by their size; add up those of its parts.

    Examples
    --------
    >>> times = np.array([1_700_000_000_250, 1_700_000_001_000])
    >>> TimeUnit.of(times).name, TimeUnit.of(times).seconds(times).tolist()
    ('milliseconds', [1700000000.25, 1700000001.0])
    """

    counts: tuple[int, ...]
    whole: bool

    @classmethod
    def of(cls, times: np.ndarray) -> "TimeUnit":
        """Count how many times are of the size of each unit."""
        whole = times.dtype.kind in "iu"
        if not len(times) or -_FIRST_OF_UNIT[0] < times.min() <= times.max() < _FIRST_OF_UNIT[0]:
            return cls((int(np.count_nonzero(times)), 0, 0, 0), whole)
        sizes = np.searchsorted(_FIRST_OF_UNIT, np.abs(times[times != 0]), side="right")
        return cls(tuple(np.bincount(sizes, minlength=4).tolist()), whole)

    def __add__(self, other: "TimeUnit") -> "TimeUnit":
        return TimeUnit(
            tuple(map(sum, zip(self.counts, other.counts, strict=True))),
            self.whole and other.whole,
        )

    @property
    def name(self) -> str:
        """What most of the times are of the size of: seconds, milliseconds, microseconds or nanoseconds."""
        return _UNITS[int(np.argmax(self.counts))]

    def seconds(self, times: np.ndarray) -> np.ndarray:
        """Return times as seconds: int64 where all are whole seconds, else float64."""
        unit = int(np.argmax(self.counts))
        if not unit:
            return times.astype(np.int64 if self.whole else np.float64, copy=False)
        return np.rint(times / 10.0 ** (3 * unit - 6)) / 1e6

    def log_unless_seconds(self, place: str) -> None:
        """Say in the log that numbers are not taken as seconds."""
        if self.name != "seconds":
            logger.warning("%s: the times are taken as %s since 1970, by their size", place, self.name)


def as_seconds(times: Iterable[object] | np.ndarray | pl.Series) -> np.ndarray:
    """Return a column of times as seconds since 1970, int64 or float64.

    Raises
    ------
    DataError
        If one is missing or no time.
    """
    column = _series(times)
    seconds = seconds_column(column)
    if seconds.null_count():
        row = int(seconds.is_null().arg_true()[0])
        raise DataError(f"the time at row {row:,} is {column[row]!r}: give seconds since 1970, dates or datetimes")
    numbers: np.ndarray = seconds.to_numpy()
    unit = TimeUnit.of(numbers)
    unit.log_unless_seconds("the table")
    return unit.seconds(numbers)


def _series(times: Iterable[object] | np.ndarray | pl.Series) -> pl.Series:
    try:
        column = times if isinstance(times, pl.Series) else pl.Series(_plain(times), strict=False)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"the times cannot be read ({error}): give seconds since 1970, dates or datetimes") from error
    return column


def _plain(times: Iterable[object] | np.ndarray) -> list[object] | np.ndarray:
    if not isinstance(times, np.ndarray):
        return list(times)
    return times.astype("M8[us]") if times.dtype.kind == "M" else np.ascontiguousarray(times)


def moment(at: object) -> float:
    """Return a moment as seconds since 1970: from a number, a date, a datetime, or such a text (UTC by default).

    Raises
    ------
    SettingError
        If it is none, or a number in milliseconds.

    Examples
    --------
    >>> moment("2024-01-01T00:00:00.5"), moment(datetime.date(2024, 1, 1))
    (1704067200.5, 1704067200)
    """
    advice = "give seconds since 1970, a datetime, or a text such as '2024-05-31'"
    if isinstance(at, str | datetime.date | np.datetime64 | int | float | np.number) and not isinstance(at, bool):
        found = seconds_column(_series(np.array([at]) if isinstance(at, np.generic) else [at]))[0]
        if found is not None and abs(found) >= _FIRST_OF_UNIT[0]:
            raise SettingError(f"at is {at!r}, which is not in seconds by its size: {advice}")
        if found is not None:
            return found
    raise SettingError(f"at is {at!r}: {advice}")


def duration(length: object, name: str = "duration") -> float:
    """Return a length of time in seconds: from a text such as "30d", a timedelta, or a number of seconds.

    Parameters
    ----------
    length : str, datetime.timedelta or float
        A text is a number and a unit: w, d, h, m (minutes) or s.
    name : str
        What an error calls it.

    Raises
    ------
    SettingError
        If it is none of these, or not above 0.

    Examples
    --------
    >>> duration("2w"), duration("1.5h"), duration(datetime.timedelta(minutes=1)), duration(45)
    (1209600.0, 5400.0, 60.0, 45.0)
    """
    seconds = _seconds_of(length)
    if 0 < seconds < math.inf:
        return seconds
    raise SettingError(
        f"{name} is {length!r}: it must be a length of time above 0, such as '30d', '12h', '2w', '90m' or '45s', "
        "a timedelta, or a number of seconds"
    )


def length_setting(length: object, name: str) -> str | float:
    """Return a length of time as a setting that a model's file can hold: a timedelta becomes its seconds.

    Raises
    ------
    SettingError
        See `duration`.
    """
    seconds = duration(length, name)
    return length if isinstance(length, str) else seconds


def _seconds_of(length: object) -> float:
    """Return a length of time in seconds, and NaN where it is none."""
    if isinstance(length, np.timedelta64 | bool):
        return math.nan
    if isinstance(length, np.integer | np.floating):
        return _seconds_of(length.item())
    if isinstance(length, int | float):
        return float(length) if length < sys.float_info.max else math.inf
    if isinstance(length, datetime.timedelta):
        return length.total_seconds()
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([smhdw])\s*", str(length), re.ASCII)
    return float(found[1]) * _SECONDS[found[2]] if found and isinstance(length, str) else math.nan


def shown_length(seconds: float) -> str:
    """Return a length of time in words.

    >>> shown_length(1_209_600), shown_length(86_400), shown_length(5400), shown_length(0.25)
    ('14 days', '1 day', '1.5 hours', '0.25 seconds')
    """
    name, unit = next(((name, unit) for name, unit in _NAMES if seconds >= unit), _NAMES[-1])
    number = f"{seconds / unit:,.0f}" if seconds >= 10 * unit else f"{seconds / unit:.2g}"
    return f"{number} {name}{'' if number == '1' else 's'}"
