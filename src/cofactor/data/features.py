"""What is known of items or users as columns of numbers: categories, lists, numbers and words.

An `Encoder` is made from a table of attributes and turns any table with the same columns into a sparse matrix, whose
last column is 1 in every row. What it did not meet when it was made, or is missing, has no entry, so such a row falls
back to the average.

- text with few different values, and booleans, are categories: a column for each value that two rows have or more;
- lists, and text such as ``Action|Drama``, are several categories at once;
- numbers and dates are cut into bins of about equally many rows, one column each, so that no effect need be linear;
- other text is words, each with a column by its hash (Weinberger et al. 2009, Feature hashing for large scale
  multitask learning), where two rows share it.
"""

import hashlib
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.errors import DataError, SettingError

__all__ = ["EVERYTHING", "Encoder", "encoder_from", "names_of"]

BINS = (5, 14, 40)
"""Into how many bins numbers are cut, each way by itself: few bins for what is rare, many for what is common."""

WORDS = 2048
"""How many columns words are hashed to."""

MOST = 5_000
"""So many columns at most, since their covariances are kept as a table."""

EVERYTHING = "everything"
"""The name of the column that is 1 in every row."""

_FEW = 0.2  # text with more different values than this share of its rows is words
_SEVERAL = "|"


@dataclass(frozen=True)
class Categories:
    """One column for each of some values; a cell may hold several of them."""

    kind: ClassVar[str] = "categories"

    name: str
    values: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """What each column stands for."""
        return [f"{self.name}: {value}" for value in self.values]

    def places(self, column: pl.Series) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and the columns that hold a 1."""
        return _looked_up(_values_of(column), self.values)


@dataclass(frozen=True)
class Bins:
    """One column for each range of a number; ``edges`` are the bounds between them."""

    kind: ClassVar[str] = "bins"

    name: str
    edges: tuple[float, ...]

    @property
    def labels(self) -> list[str]:
        """What each column stands for."""
        low = [f"{self.name} under {self.edges[0]:g}"]
        return low + [f"{self.name} from {edge:g}" for edge in self.edges]

    def places(self, column: pl.Series) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and the columns that hold a 1."""
        numbers = _numbers_of(column)
        rows = np.flatnonzero(np.isfinite(numbers))
        return rows, np.searchsorted(self.edges, numbers[rows], side="right")


@dataclass(frozen=True)
class Words:
    """One column for each of some words, by the hash of the word."""

    kind: ClassVar[str] = "words"

    name: str
    hashes: tuple[int, ...]

    @property
    def labels(self) -> list[str]:
        """What each column stands for."""
        return [f"a word of {self.name}"] * len(self.hashes)

    def places(self, column: pl.Series) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and the columns that hold a 1."""
        return _looked_up(_hashes_of(column), self.hashes)


Column = Categories | Bins | Words


@dataclass(frozen=True)
class Encoder:
    """From a table of attributes to a sparse matrix.

    Parameters
    ----------
    columns : sequence of Categories, Bins or Words

    Examples
    --------
    >>> films = pl.DataFrame({"genres": ["Drama", "Drama|War", "War", None], "year": [1950, 1990, 1995, 1999]})
    >>> encoder = Encoder.of(films, ["genres"], "item")
    >>> encoder.labels
    ['genres: Drama', 'genres: War', 'everything']
    >>> encoder.encode(films).toarray().astype(int).tolist()
    [[1, 0, 1], [1, 1, 1], [0, 1, 1], [0, 0, 1]]
    """

    columns: tuple[Column, ...]

    @classmethod
    def of(cls, table: pl.DataFrame, names: Sequence[str], side: str) -> "Encoder":
        """Choose how each of some columns is encoded.

        Parameters
        ----------
        table : polars.DataFrame
        names : sequence of str
            The columns to encode.
        side : str
            "item" or "user", for errors.

        Raises
        ------
        DataError
            If a column is not there, is missing for everybody, holds one value alone or values that nothing shares, or
            makes more columns than fit.
        """
        made = cls(tuple(column for name in names for column in _columns_of(table, name, side)))
        if made.size > MOST:
            raise DataError(
                f"{side}_features make {made.size:,} columns, and {MOST:,} are the most: leave out a column with so "
                "many different values, or group them"
            )
        return made

    @property
    def size(self) -> int:
        """How many columns the matrix has."""
        return sum(len(column.labels) for column in self.columns) + 1

    @property
    def labels(self) -> list[str]:
        """What each column of the matrix stands for."""
        return [label for column in self.columns for label in column.labels] + [EVERYTHING]

    @property
    def parts(self) -> list[slice]:
        """The columns of the matrix that each attribute has, by what they are named after, in order; not the last."""
        sizes = [len(column.labels) for column in self.columns]
        ends = np.cumsum(sizes)
        return [slice(int(end - size), int(end)) for size, end in zip(sizes, ends, strict=True)]

    def encode(self, table: pl.DataFrame) -> sparse.csr_array:
        """Return a row for each of a table's: float32, shape (rows, size). A column that is missing counts as empty."""
        height, first = table.height, 0
        rows, places = [np.arange(height)], [np.full(height, self.size - 1)]
        for column in self.columns:
            if column.name in table.columns:
                found = column.places(table[column.name])
                rows.append(found[0])
                places.append(found[1] + first)
            first += len(column.labels)
        pairs = np.concatenate(rows), np.concatenate(places)
        matrix = sparse.csr_array((np.ones(len(pairs[0]), np.float32), pairs), shape=(height, self.size))
        matrix.data[:] = 1  # a value that a cell names twice counts once
        return matrix

    def kept(self, used: np.ndarray) -> np.ndarray:
        """Return which columns of the matrix name no value that is unused: a mask, as ``used`` is.

        The ranges of a number, and the column that everybody has, name nobody's value.
        """
        named = [isinstance(column, Categories | Words) for column in self.columns for _ in column.labels]
        found: np.ndarray = used | ~np.array([*named, False])
        return found

    def only(self, kept: np.ndarray) -> "Encoder":
        """Return the encoder of some of the matrix's columns, which must be those of `kept`."""
        columns: list[Column] = []
        first = 0
        for column in self.columns:
            mine = kept[first : first + len(column.labels)]
            first += len(column.labels)
            if isinstance(column, Categories):
                column = Categories(column.name, tuple(itertools.compress(column.values, mine)))
            elif isinstance(column, Words):
                column = Words(column.name, tuple(itertools.compress(column.hashes, mine)))
            columns.append(column)
        return Encoder(tuple(columns))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        held = {"categories": "values", "bins": "edges", "words": "hashes"}
        columns = [{"kind": c.kind, "name": c.name, held[c.kind]: list(getattr(c, held[c.kind]))} for c in self.columns]
        return {"columns": columns}


def encoder_from(stored: Mapping[str, Any]) -> Encoder:
    """Read what `Encoder.to_dict` wrote; raises KeyError, TypeError or ValueError where it does not fit."""
    if not isinstance(stored["columns"], list) or not stored["columns"]:
        raise TypeError("the columns of features are no list")
    readers: dict[str, Callable[[Mapping[str, Any]], Column]] = {
        "categories": lambda one: Categories(_text(one["name"]), _different(map(_text, one["values"]))),
        "bins": lambda one: Bins(_text(one["name"]), _rising(map(_finite, one["edges"]))),
        "words": lambda one: Words(_text(one["name"]), _different(map(_code, one["hashes"]))),
    }
    made = Encoder(tuple(readers[one["kind"]](one) for one in stored["columns"]))
    if made.size > MOST:
        raise ValueError(f"{made.size:,} columns of features")
    return made


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} stands where a text should")
    return value


def _code(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < WORDS:
        raise TypeError(f"{str(value)[:40]!r} stands where the hash of a word should")
    return value


def _different(values: Iterable[Any]) -> tuple[Any, ...]:
    found = tuple(values)
    if not found or len(set(found)) < len(found):
        raise ValueError("a column of features has no values, or one of them twice")
    return found


def _rising(values: Iterable[float]) -> tuple[float, ...]:
    found = tuple(values)
    if not found or any(low >= high for low, high in pairwise(found)):
        raise ValueError("the edges of bins do not rise")
    return found


def _finite(number: Any) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float) or not np.isfinite(number):
        raise TypeError(f"{str(number)[:40]!r} stands where a number should")
    return float(number)


def _columns_of(table: pl.DataFrame, name: str, side: str) -> Sequence[Column]:
    """Choose how a column of the table is encoded."""
    if name not in table.columns:
        known = ", ".join(column for column in table.columns if column != side) or "none"
        raise DataError(
            f"{side}_features names {name!r}, and the {side}s have no such column: they have {known}; "
            f"add some with ratings.with_{side}s(frame)"
        )
    column = table[name]
    kind = column.dtype
    if kind.is_nested() and not isinstance(kind, pl.List | pl.Array):
        raise DataError(f"{side}_features: {name!r} holds {kind}: give text, numbers, dates, booleans or lists of text")
    if column.null_count() == len(column) or (kind.is_float() and not column.is_finite().any()):
        raise DataError(f"{side}_features: {name!r} is missing for every {side}: leave it out")
    if (kind.is_numeric() or kind.is_temporal()) and kind != pl.Duration:
        return [_bins_of(column, name, side, count) for count in BINS]
    values = _values_of(column)
    counts = values["value"].value_counts().filter(pl.col("count") > 1).sort("value")
    several = isinstance(kind, pl.List | pl.Array) or column.dtype == pl.Boolean or _lists(column)
    if several or values["value"].n_unique() <= max(2, _FEW * len(column)):
        shared = tuple(counts["value"].to_list())
        everywhere = counts.height == 1 and counts["count"][0] == len(column)
        return [Categories(name, _telling(shared if not everywhere else (), name, side))]
    hashes = _hashes_of(column)["value"].value_counts().filter(pl.col("count") > 1)["value"].sort()
    return [Words(name, _telling(tuple(hashes.to_list()), name, side))]


def _telling(values: tuple[Any, ...], name: str, side: str) -> tuple[Any, ...]:
    if not values:
        raise DataError(
            f"{side}_features: no two {side}s share a value of {name!r} that others do not have, so nothing can be "
            "learnt from it: leave it out"
        )
    return values


def _bins_of(column: pl.Series, name: str, side: str, count: int) -> Bins:
    numbers = _numbers_of(column)
    numbers = numbers[np.isfinite(numbers)]
    edges = np.unique(np.quantile(numbers, np.arange(1, count) / count, method="higher"))
    edges = edges[edges > numbers.min()]
    if not len(edges):
        raise DataError(f"{side}_features: {name!r} is the same for every {side}: leave it out")
    return Bins(name, tuple(float(edge) for edge in edges))


def _numbers_of(column: pl.Series) -> np.ndarray:
    """Return numbers, or dates in days, as float64; NaN where there is none."""
    if column.dtype.is_temporal():
        column = column.cast(pl.Datetime("us"), strict=False).cast(pl.Int64) / 86_400e6
    elif column.dtype == pl.String:
        column = column.str.strip_chars().cast(pl.Float64, strict=False)
    elif not column.dtype.is_numeric():
        return np.full(len(column), np.nan)
    numbers: np.ndarray = column.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    return numbers


def _lists(column: pl.Series) -> bool:
    return column.dtype == pl.String and bool(column.str.contains(_SEVERAL, literal=True).any())


def _values_of(column: pl.Series) -> pl.DataFrame:
    """Return each row's values as text: columns row and value."""
    frame = pl.DataFrame({"value": column}).with_row_index("row")
    if isinstance(column.dtype, pl.List | pl.Array):
        frame = frame.explode("value")
    frame = frame.with_columns(pl.col("value").cast(pl.String))
    if _SEVERAL:
        frame = frame.with_columns(pl.col("value").str.split(_SEVERAL)).explode("value")
    text = pl.col("value").str.strip_chars()
    return frame.with_columns(text).filter(pl.col("value").is_not_null() & (pl.col("value") != ""))


def _hashes_of(column: pl.Series) -> pl.DataFrame:
    """Return the hash of each word of each row: columns row and value, each pair once."""
    texts = column.cast(pl.String).fill_null("").to_list()
    codes: dict[str, int] = {}
    rows, found = [], []
    for row, text in enumerate(texts):
        for word in set(re.findall(r"\w{2,}", text.lower())):
            if word not in codes:
                codes[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest()) % WORDS
            rows.append(row)
            found.append(codes[word])
    return pl.DataFrame({"row": rows, "value": found}, schema={"row": pl.UInt32, "value": pl.Int64}).unique()


def _looked_up(found: pl.DataFrame, values: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    known = pl.DataFrame({"value": list(values)}, schema={"value": found["value"].dtype}).with_row_index("place")
    joined = found.join(known, on="value", how="inner").unique(["row", "place"])
    return joined["row"].to_numpy().astype(np.int64), joined["place"].to_numpy().astype(np.int64)


def names_of(setting: object, name: str) -> tuple[str, ...]:
    """Return the names of columns that a setting gives: a tuple of text, or one text with commas between names.

    Raises
    ------
    SettingError
        If it is neither, or names a column twice.
    """
    given = tuple(part.strip() for part in setting.split(",") if part.strip()) if isinstance(setting, str) else setting
    if not isinstance(given, tuple | list) or not all(isinstance(one, str) for one in given):
        raise SettingError(f"{name}={setting!r}: give names of columns, such as ('genres', 'year')")
    if len(set(given)) < len(given):
        raise SettingError(f"{name}={setting!r}: name each column once")
    return tuple(given)
