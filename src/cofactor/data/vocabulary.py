"""Vocabularies translate between raw ids (user-facing) and row numbers (internal)."""

import functools
import re
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from cofactor.data.columns import shortened
from cofactor.errors import DataError, UnknownIdError

__all__ = ["Id", "Rows", "Vocabulary", "id_series", "places"]

Id: TypeAlias = str | int
Rows: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int32]]

_FEW = 64  # up to this many ids, dict look-ups are faster than a join
_MANY = 4096  # from this many on, a join is faster even where the dict is there
_NARROW = 1 << 16  # distinct integers are counted in a table if their range is this or twice as large as they are many
_AT_ONCE = 1 << 20
_JOINS = 8  # after so many joins for fewer ids, the dict is made: that takes as long as some of them


class Vocabulary:
    """The distinct raw ids of users or items, in row order.

    Parameters
    ----------
    ids : iterable of str or int, or polars.Series
        Distinct ids; row ``k`` belongs to ``ids[k]``. Integers may be of any size up to 64 bits.
    kind : str
        What the ids name, for error texts: ``"user"`` or ``"item"``.

    Raises
    ------
    DataError
        If an id is missing, repeated, or neither a string nor an integer.

    Examples
    --------
    >>> films = Vocabulary(["50", "172"], kind="item")
    >>> films.rows(["172", "50"])
    array([1, 0], dtype=int32)
    >>> films[1]
    '172'
    """

    __slots__ = ("__dict__", "ids", "kind")

    def __init__(self, ids: Iterable[Id] | pl.Series, *, kind: str) -> None:
        self.kind = kind
        self.ids = id_series(ids, kind)
        distinct = len(set(self.ids.to_list())) if len(self.ids) <= _FEW else self.ids.n_unique()
        if distinct != len(self.ids):
            repeated = self.ids.filter(self.ids.is_duplicated())[0]
            raise DataError(f"the {kind} id {repeated!r} is duplicated in the vocabulary: give every id once")

    @classmethod
    def of(cls, ids: Iterable[Id] | pl.Series, *, kind: str, spelled: bool = False) -> "tuple[Vocabulary, Rows]":
        """Collect the distinct ids of a column, in order, and the row of each entry.

        Integers, and strings that all spell integers, are put in numeric order, so that the ids 1, 2, 3 …
        of a MovieLens file have the rows 0, 1, 2 …; other strings are put in alphabetical order. The order
        of the input does not matter.

        With ``spelled``, a column of integers stands for the strings that spell them.
        """
        column = ids if isinstance(ids, pl.Series) and _is_plain(ids) else id_series(ids, kind)
        if not len(column):
            return cls(column, kind=kind), np.empty(0, np.int32)
        found, rows = (_distinct_integers if column.dtype.is_integer() else _distinct_texts)(column)
        if spelled:
            found = found.cast(pl.String)
        elif found.dtype.is_integer():
            found = id_series(found, kind)
        return cls._checked(found, kind), rows

    @classmethod
    def _checked(cls, ids: pl.Series, kind: str) -> "Vocabulary":
        """Return the vocabulary of ids that are known to be sound and distinct."""
        vocabulary = object.__new__(cls)
        vocabulary.kind, vocabulary.ids = kind, ids
        return vocabulary

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Id]:
        return iter(self.ids)

    def __getitem__(self, row: int) -> Id:
        identifier: Id = self.ids[int(row)]
        return identifier

    def __contains__(self, identifier: object) -> bool:
        return type(identifier) in (str, int) and identifier in self._row_of

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.ids.dtype == other.ids.dtype and self.ids.equals(other.ids)

    def __hash__(self) -> int:
        return hash((len(self), str(self.ids.dtype)))

    def __repr__(self) -> str:
        shown = ", ".join(repr(identifier) for identifier in self.ids.head(3))
        return f"Vocabulary of {len(self):,} {self.kind}s: {shown}{', …' if len(self) > 3 else ''}"

    @functools.cached_property
    def _count(self) -> int:
        return len(self.ids)

    @functools.cached_property
    def _row_of(self) -> Mapping[Id, int]:
        return {identifier: row for row, identifier in enumerate(self.ids.to_list())}

    @property
    def holds_integers(self) -> bool:
        """Whether the ids are integers rather than strings."""
        return self.ids.dtype != pl.String

    def row(self, identifier: Id) -> int:
        """Return the row of one id, or -1 if it is unknown; fast, for services."""
        return self._row_of.get(identifier, -1)

    def known_row(self, identifier: Any) -> int:
        """Return the row of one id.

        Raises
        ------
        UnknownIdError, DataError
            If it is not known, or no id at all.
        """
        if isinstance(identifier, list | tuple | set | np.ndarray | pl.Series):
            kind = type(identifier).__name__
            raise DataError(f"the {self.kind} is {shortened(identifier)}, of type {kind}: give one id")
        row = self._row_of.get(identifier, -1) if type(identifier) in (str, int) else -1
        return row if row >= 0 else int(self.rows([identifier])[0])

    def find(self, ids: Iterable[Id] | pl.Series) -> Rows:
        """Return the row of every id, or -1 for unknown ids."""
        column = id_series(ids, self.kind)
        if self._looks_up(len(column)):
            known = self._row_of
            return np.array([known.get(identifier, -1) for identifier in column.to_list()], dtype=np.int32)
        if (column.dtype == pl.String) == self.holds_integers:
            return np.full(len(column), -1, dtype=np.int32)
        table = pl.DataFrame({"id": self.ids, "row": np.arange(len(self), dtype=np.int32)})
        asked = column.cast(self.ids.dtype, strict=False).alias("id").to_frame()
        rows = asked.join(table, on="id", how="left", maintain_order="left")["row"]
        return rows.fill_null(-1).to_numpy()

    def _looks_up(self, count: int) -> bool:
        """Return whether so many ids are found by dict look-ups, rather than by a join."""
        if count <= _FEW or count >= _MANY or "_row_of" in self.__dict__:
            return count < _MANY
        joins = self.__dict__["_joins"] = self.__dict__.get("_joins", 0) + 1
        return joins > _JOINS

    def rows(self, ids: Iterable[Id] | pl.Series) -> Rows:
        """Return the row of every id.

        Raises
        ------
        UnknownIdError
            If an id is not known; the text names the first such id and what to do.
        """
        column = id_series(ids, self.kind)
        rows = self.find(column)
        unknown = np.flatnonzero(rows < 0)
        if len(unknown):
            raise UnknownIdError(self._unknown(column[int(unknown[0])], len(unknown)))
        return rows

    def take(self, rows: np.ndarray | pl.Series) -> pl.Series:
        """Return the raw ids of the given rows."""
        taken: pl.Series = self.ids[places(rows)]  # for a few rows, much faster than gather()
        return taken

    def parse(self, text: str) -> Id:
        """Return the id that a text from a command line or URL refers to."""
        if self.holds_integers and re.fullmatch(r"-?\d{1,20}", text):
            return int(text)
        return text

    def extended(self, ids: Iterable[Id] | pl.Series) -> "Vocabulary":
        """Return a vocabulary with the unknown ids among ``ids`` appended in order; known rows do not change."""
        column = id_series(ids, self.kind)
        if len(self) and len(column) and (column.dtype == pl.String) == self.holds_integers:
            raise DataError(
                f"the {self.kind} ids here are {self._described()}, the new ones such as {column[0]!r} are not: "
                "convert them to the same type"
            )
        unknown = self.find(column) < 0
        if not unknown.any():
            return self
        fresh = column.filter(pl.Series(unknown)) if len(column) > 1 else column
        fresh = _in_order(fresh.unique()) if len(fresh) > 1 else fresh
        dtype = _wider(self.ids.dtype, fresh.dtype)
        both = [self.ids.cast(dtype), fresh.cast(dtype).alias(self.ids.name)]
        longer = self._checked(pl.concat(both, rechunk=False), self.kind)
        if "_row_of" in self.__dict__ and len(fresh) <= _FEW:
            news = {identifier: len(self) + k for k, identifier in enumerate(fresh.to_list())}
            known = self._row_of.maps if isinstance(self._row_of, ChainMap) else [self._row_of]
            if len(known) < _FEW:  # else the dict is rebuilt when needed
                longer.__dict__["_row_of"] = ChainMap(news, *known)
        return longer

    def _described(self) -> str:
        return f"{'integers' if self.holds_integers else 'strings'}, such as {self.ids[0]!r}"

    def _unknown(self, identifier: Id, count: int) -> str:
        more = f" (and {count - 1:,} more)" if count > 1 else ""
        text = f"unknown {self.kind} {shortened(identifier)}{more}"
        if len(self) and isinstance(identifier, str) == self.holds_integers:
            return f"{text}: the {self.kind} ids here are {self._described()}"
        if self.kind == "item":
            return f"{text}: leave it out, or place it with fold_in_items() first"
        return f"{text}: fold_in() places new users, and on_unknown='skip' leaves them out"


def places(rows: np.ndarray | pl.Series) -> pl.Series:
    """Return row numbers in the form that takes entries of a series fastest."""
    return rows if isinstance(rows, pl.Series) else pl.Series(np.asarray(rows).astype(np.uint32, copy=False))


def id_series(ids: Iterable[Id] | pl.Series, kind: str) -> pl.Series:
    """Return ids as a column of 64-bit integers or strings; raises DataError if that is impossible."""
    if isinstance(ids, str | int | np.integer):
        raise DataError(f"the {kind} ids are one id, {shortened(ids)}: give a list, [{shortened(ids)}]")
    series = ids if isinstance(ids, pl.Series) else _series_from(ids, kind)
    if series.dtype.is_integer() and series.dtype not in (pl.Int64, pl.UInt64):
        series = series.cast(pl.Int64)
    elif isinstance(series.dtype, pl.Categorical | pl.Enum) or (series.dtype == pl.Null and len(series) == 0):
        series = series.cast(pl.String)
    if series.null_count():
        row = int(series.is_null().arg_true()[0])
        raise DataError(f"the {kind} id at row {row:,} is missing: remove that row or give it an id")
    if series.dtype not in (pl.Int64, pl.UInt64, pl.String):
        raise DataError(f"{kind} ids of type {series.dtype} cannot be used: convert them to strings or integers")
    if series.dtype == pl.UInt64 and (not len(series) or int(series.max()) < 2**63):  # type: ignore[arg-type]
        series = series.cast(pl.Int64)
    return series


def _series_from(ids: Iterable[Id], kind: str) -> pl.Series:
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu":
        return pl.Series(np.ascontiguousarray(ids))
    if not isinstance(ids, Iterable) or isinstance(ids, bytes | Mapping | type) or getattr(ids, "ndim", 1) != 1:
        raise DataError(f"the {kind} ids are {shortened(ids)}, of type {type(ids).__name__}: give a list of ids")
    values = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    kinds = set(map(type, values))
    if not kinds <= {str, int}:
        values = [_plain(identifier) for identifier in values]
        kinds = set(map(type, values))
    if kinds <= {str}:
        return pl.Series(values, dtype=pl.String)
    if kinds == {int}:
        try:
            return pl.Series(values, dtype=pl.Int64 if max(values) < 2**63 else pl.UInt64)  # type: ignore[operator]
        except (OverflowError, TypeError) as error:
            raise DataError(f"a {kind} id has more than 64 bits: give such ids as strings") from error
    if type(None) in kinds:
        raise DataError(f"the {kind} id at row {values.index(None):,} is missing: remove that row or give it an id")
    names = " and ".join(sorted(kind_.__name__ for kind_ in kinds))
    raise DataError(f"{kind} ids of type {names} cannot be used: give all as strings or all as integers")


def _plain(identifier: object) -> object:
    return identifier.item() if isinstance(identifier, np.generic) else identifier


def _is_plain(ids: pl.Series) -> bool:
    """Whether ids can be numbered as they are."""
    return (ids.dtype == pl.Int32 or isinstance(ids.dtype, pl.Categorical | pl.Enum)) and not ids.null_count()


def _in_order(ids: pl.Series) -> pl.Series:
    return ids.gather(_order(ids))


def _order(ids: pl.Series) -> pl.Series:
    """Return the positions of ids in their order."""
    if ids.dtype == pl.String and len(ids) and ids.str.contains(r"^(0|[1-9]\d{0,17})$").all():
        return ids.cast(pl.Int64).arg_sort()
    return ids.arg_sort()


def _distinct_integers(column: pl.Series) -> tuple[pl.Series, Rows]:
    """Return the distinct integers of a column in their order, and the place of each entry among them."""
    numbers = column.to_numpy()
    low, high = numbers.min(), numbers.max()
    span = int(high) - int(low) + 1
    if span > 2 * len(numbers) + _NARROW:
        distinct = column.unique().sort()
        places = pl.DataFrame({"id": distinct, "row": np.arange(len(distinct), dtype=np.int32)})
        found = column.alias("id").to_frame().join(places, on="id", how="left", maintain_order="left")
        return distinct, found["row"].to_numpy()
    is_there = np.zeros(span, bool)
    parts = [slice(first, first + _AT_ONCE) for first in range(0, len(numbers), _AT_ONCE)]
    for part in parts:
        is_there[numbers[part] - low] = True
    place = np.cumsum(is_there, dtype=np.int32) - np.int32(1)
    rows = np.empty(len(numbers), np.int32)
    for part in parts:
        rows[part] = place[numbers[part] - low]
    return pl.Series(column.name, np.flatnonzero(is_there).astype(numbers.dtype) + low), rows


def _distinct_texts(column: pl.Series) -> tuple[pl.Series, Rows]:
    """Return the distinct texts or categories of a column in their order, and the place of each entry among them."""
    coded = column.cast(pl.Categorical(pl.Categories.random())) if column.dtype == pl.String else column
    codes = coded.to_physical().to_numpy()
    where: np.ndarray = np.full(int(codes.max()) + 1, -1, np.int32 if len(codes) < 2**31 else np.int64)
    where[codes] = np.arange(len(codes), dtype=where.dtype)
    used = np.flatnonzero(where >= 0)
    distinct = column.gather(where[used]).cast(pl.String)
    order = _order(distinct)
    place = np.empty(len(where), np.int32)
    place[used[order.to_numpy()]] = np.arange(len(used), dtype=np.int32)
    return distinct.gather(order), place[codes]


def _wider(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    return pl.UInt64() if pl.UInt64 in (one, other) else other
