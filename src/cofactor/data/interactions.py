"""Interactions: who rated (or played, or bought) what, as one sparse matrix with a vocabulary on each side."""

import dataclasses
import functools
import operator
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data import building, notebook, ondisk, passes, splits
from cofactor.data.arguments import check_count
from cofactor.data.array_store import MEMORY, ArrayStore, Disk, bytes_of, scratch_folder
from cofactor.data.building import Duplicates
from cofactor.data.metadata import Metadata
from cofactor.data.times import Duration, Moment, as_seconds
from cofactor.data.vocabulary import Id, Vocabulary
from cofactor.errors import DataError, SettingError, first_line

__all__ = ["Duplicates", "Interactions", "Triplets", "open_folder"]

_AT_RANDOM = "split them at random, which needs no columns"


@dataclass(frozen=True)
class Triplets:
    """Interactions as columns, in the order in which they were read; times where they are known."""

    user_rows: np.ndarray
    item_rows: np.ndarray
    values: np.ndarray
    timestamps: np.ndarray | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Interactions:
    """A table of who rated what.

    Parameters
    ----------
    users, items : Vocabulary
        The raw ids of both sides.
    matrix : scipy.sparse.csr_array, float32, shape (users, items)
        The values; column indices are sorted within each row, and no pair is stored twice.
    timestamps : numpy.ndarray of int64 or float64, or None
        Seconds since 1970 of each stored value of ``matrix``: int64 where all are whole, else float64, exact to a
        microsecond.
    order : numpy.ndarray of int, or None
        ``order[k]`` is the position in ``matrix.data`` of the k-th interaction as it was read; None where
        that is ``k`` itself.
    metadata : Metadata
        What is known of the items and the users; see `with_items` and `with_users`.
    name : str
        The data set's name, as shown in reports.
    array_store : ArrayStore
        Where arrays derived from the table are kept: in memory, or in files if it was opened with a memory limit.

    Examples
    --------
    >>> import cofactor as cf
    >>> table = {"user": ["ann", "ann", "bob"], "item": ["tea", "rye", "tea"], "value": [5.0, 2.0, 4.0]}
    >>> ratings = cf.from_frame(pl.DataFrame(table), user="user", item="item", value="value")
    >>> ratings
    2 users × 2 items, 3 ratings from 2 to 5, 75 %
    >>> ratings.at_least(4).binary()
    2 users × 2 items, 2 interactions, 50 %
    """

    users: Vocabulary
    items: Vocabulary
    matrix: sparse.csr_array
    timestamps: np.ndarray | None = None
    order: np.ndarray | None = None
    metadata: Metadata = Metadata()
    name: str = ""
    array_store: ArrayStore = MEMORY

    @classmethod
    def from_columns(
        cls,
        users: Iterable[Id] | pl.Series,
        items: Iterable[Id] | pl.Series,
        values: np.ndarray | None = None,
        timestamps: np.ndarray | None = None,
        *,
        duplicates: Duplicates = "last",
        name: str = "",
    ) -> "Interactions":
        """Build the table from columns of raw ids.

        Parameters
        ----------
        users, items : iterable of str or int
            The raw ids of each interaction.
        values : numpy.ndarray, optional
            Ratings or counts; without them every interaction counts 1.
        timestamps : array or sequence, optional
            Seconds since 1970, dates or datetimes. Numbers too large for seconds are read as milliseconds,
            microseconds or nanoseconds, with a warning in the log.
        duplicates : {"last", "first", "sum", "mean", "error"}
            What to do with several rows for the same user and item: keep the latest (or earliest) value in time (in
            reading order without timestamps), the sum or the mean, or raise an error.

        Raises
        ------
        DataError
            If the columns differ in length, an id is missing, a value is not finite, or a pair is
            repeated and ``duplicates="error"``.
        """
        user_vocabulary, user_rows = Vocabulary.of(users, kind="user")
        item_vocabulary, item_rows = Vocabulary.of(items, kind="item")
        return cls.from_rows(
            user_vocabulary, item_vocabulary, user_rows, item_rows, values, timestamps, duplicates=duplicates, name=name
        )

    @classmethod
    def from_rows(
        cls,
        users: Vocabulary,
        items: Vocabulary,
        user_rows: np.ndarray,
        item_rows: np.ndarray,
        values: np.ndarray | None = None,
        timestamps: np.ndarray | None = None,
        *,
        duplicates: Duplicates = "last",
        name: str = "",
    ) -> "Interactions":
        """Build the table from row numbers into two vocabularies that are already known; see `from_columns`."""
        user_rows, item_rows = (
            building.checked_rows(user_rows, users, "user"),
            building.checked_rows(item_rows, items, "item"),
        )
        values = np.ones(len(user_rows), np.float32) if values is None else building.finite(values)
        timestamps = None if timestamps is None else as_seconds(timestamps)
        building.check_lengths(user_rows, item_rows, values, timestamps)
        entries = building.Entries(user_rows, item_rows, values, timestamps)
        entries = building.distinct(entries, duplicates, users, items)
        counts = np.bincount(entries.user_rows, minlength=len(users))
        owned = entries.values if entries.rows is not None else entries.values.copy()  # those given are not ours
        matrix = building.csr(owned, entries.item_rows, counts, (len(users), len(items)))
        return cls(users, items, matrix, entries.timestamps, entries.reading_order, name=name)

    @classmethod
    def from_sparse(
        cls,
        matrix: Any,
        users: Iterable[Id] | pl.Series | None = None,
        items: Iterable[Id] | pl.Series | None = None,
        *,
        name: str = "",
    ) -> "Interactions":
        """Build the table from a sparse matrix, as other libraries take it; ``matrix`` gives it back.

        Parameters
        ----------
        matrix : SciPy sparse matrix or array, shape (users, items)
            A stored zero is a value of 0; of a pair that is stored several times the values are added.
        users, items : iterable of str or int, optional
            The raw ids in row order; row numbers if not given.
        name : str

        Raises
        ------
        DataError
            If the matrix is not sparse, there are not as many ids as rows or columns, an id is missing or repeated, or
            a value is not finite.

        Examples
        --------
        >>> Interactions.from_sparse(sparse.csr_array([[5, 0], [2, 4]]), users=["ann", "bob"])
        2 users × 2 items, 3 ratings from 2 to 5, 75 %
        """
        if not sparse.issparse(matrix) or len(matrix.shape) != 2:
            raise DataError(
                f"the matrix is a {type(matrix).__name__}: give a two-dimensional one of scipy.sparse, such as "
                "scipy.sparse.csr_array"
            )
        entries = sparse.coo_array(matrix)
        rows, columns = (numbers.astype(np.int32, copy=False) for numbers in entries.coords)
        names = _names(users, matrix.shape[0], "user"), _names(items, matrix.shape[1], "item")
        return cls.from_rows(names[0], names[1], rows, columns, entries.data, duplicates="sum", name=name)

    def __eq__(self, other: object) -> bool:
        """Return whether the ids, values and times, their order, and what is known of users and items are the same."""
        if not isinstance(other, Interactions):
            return NotImplemented
        if self is other:
            return True
        mine, theirs = self.matrix, other.matrix
        return (
            (self.users, self.items) == (other.users, other.items)
            and all(np.array_equal(getattr(mine, k), getattr(theirs, k)) for k in ("indptr", "indices", "data"))
            and all(_same(getattr(self, name), getattr(other, name)) for name in ("timestamps", "order"))
            and self.item_table.equals(other.item_table)
            and self.user_table.equals(other.user_table)
        )

    def __hash__(self) -> int:
        return hash((self.n_users, self.n_items, len(self)))

    @property
    def n_users(self) -> int:
        """The number of users, those without interactions included."""
        return len(self.users)

    @property
    def n_items(self) -> int:
        """The number of items, those without interactions included."""
        return len(self.items)

    def __len__(self) -> int:
        return int(self.matrix.nnz)

    @functools.cached_property
    def value_range(self) -> tuple[float, float]:
        """The smallest and the largest value."""
        return (float(self.matrix.data.min()), float(self.matrix.data.max())) if len(self) else (0.0, 0.0)

    @property
    def period(self) -> tuple[float, float] | None:
        """The first and the last time, in seconds since 1970; None without times."""
        if self.timestamps is None or not len(self):
            return None
        return (self.timestamps.min().item(), self.timestamps.max().item())

    @property
    def is_binary(self) -> bool:
        """Whether every value is 1, as for feedback without ratings."""
        return self.value_range == (1.0, 1.0) or not len(self)

    @property
    def density(self) -> float:
        """The share of all user-item pairs that are present."""
        return len(self) / max(self.n_users * self.n_items, 1)

    @functools.cached_property
    def by_item(self) -> sparse.csr_array:
        """The transpose of ``matrix`` in row order: shape (items, users)."""
        return passes.transposed(self.matrix, self.array_store)

    def __repr__(self) -> str:
        low, high = self.value_range
        what = f"{len(self):,} interactions" if self.is_binary else f"{len(self):,} ratings from {low:g} to {high:g}"
        return f"{self.n_users:,} users × {self.n_items:,} items, {what}, {_percent(self.density)} %"

    def _repr_html_(self) -> str:
        return _card(self)

    def triplets(self) -> Triplets:
        """Return user rows (int32), item rows (int32), values (float32) and, where known, times in reading order."""
        self._need_columns()
        user_rows = np.repeat(np.arange(self.n_users, dtype=np.int32), np.diff(self.matrix.indptr))
        item_rows = self.matrix.indices.astype(np.int32, copy=False)
        rows, columns, values = (self._as_read(column) for column in (user_rows, item_rows, self.matrix.data))
        return Triplets(rows, columns, values, None if self.timestamps is None else self._as_read(self.timestamps))

    def to_frame(self) -> pl.DataFrame:
        """Return the interactions in reading order: user, item, value, timestamp and title where known."""
        columns = self.triplets()
        frame: dict[str, pl.Series] = {
            "user": self.users.take(columns.user_rows),
            "item": self.items.take(columns.item_rows),
            "value": pl.Series(columns.values),
        }
        if self.timestamps is not None:
            frame["timestamp"] = pl.Series(self._as_read(self.timestamps))
        if (titles := self.metadata.titles) is not None:
            frame["title"] = titles.gather(columns.item_rows)
        return pl.DataFrame(frame)

    def user_history(self, user: Id) -> pl.DataFrame:
        """Return what one user rated, best first: item, title, value.

        Raises
        ------
        UnknownIdError
            If the user is not known.
        """
        row = int(self.users.rows([user])[0])
        span = slice(*self.matrix.indptr[row : row + 2])
        items = self.matrix.indices[span]
        known = self.metadata.titles
        titles = pl.Series([None] * len(items), dtype=pl.String) if known is None else known.gather(items)
        frame = pl.DataFrame({"item": self.items.take(items), "title": titles, "value": self.matrix.data[span]})
        return frame.sort("value", descending=True, maintain_order=True)

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write the table to a new folder of arrays, whole or not at all; `open` maps them into memory.

        Raises
        ------
        DataError
            If the folder is there already.
        """
        fields = (self.users, self.items, self.matrix, self.timestamps, self.order, self.metadata, self.name)
        return ondisk.write_folder(ondisk.Stored(*fields), folder)

    @staticmethod
    def open(folder: str | os.PathLike[str], *, memory: str | int | None = None) -> "Interactions":
        """Open a folder that `write` wrote, without reading its arrays into memory.

        With ``memory``, such as ``"4GB"``, no more than that is held of it at once; see `open_parquet`.

        Raises
        ------
        DataError
            If it is not such a folder, or a newer version of cofactor wrote it.
        """
        return open_folder(folder, MEMORY if memory is None else Disk(scratch_folder(), bytes_of(memory)))

    def filter(self, *conditions: pl.Expr) -> "Interactions":
        """Keep the interactions for which every condition on the columns of `to_frame` holds.

        Users and items keep their rows. For example ``ratings.filter(pl.col("timestamp") >= 874724710)``.
        """
        self._need_columns("keep some by their value with at_least(), which needs no columns")
        if not all(isinstance(condition, pl.Expr) for condition in conditions):
            raise SettingError(
                'filter() takes polars expressions on the columns of to_frame(), such as pl.col("value") > 3'
            )
        rows = self.to_frame().with_row_index("__row")
        try:
            kept = rows.filter(*conditions)["__row"].to_numpy()
        except pl.exceptions.PolarsError as error:
            raise SettingError(f"the conditions do not fit the table ({first_line(error)}): see to_frame()") from error
        return self.split_rows(kept)[1]

    def forget(self, users: Iterable[Id]) -> "Interactions":
        """Drop some users with all that is known of them; the items stay.

        Raises
        ------
        UnknownIdError
            If a user is not in the data.
        """
        rows = self.users.rows(users)
        if not len(rows):
            return self
        gone = np.zeros(self.n_users, dtype=bool)
        gone[rows] = True
        kept = self.where(passes.entries_of(self.matrix, ~gone, self.array_store))
        return kept._without_rows(gone, np.zeros(self.n_items, dtype=bool))

    def min_counts(self, *, per_user: int = 1, per_item: int = 1) -> "Interactions":
        """Keep only users and items with at least this many interactions.

        Removing a user may leave an item with too few, and so on, so this repeats until all remaining users and items
        have enough (the "k-core"). The vocabularies keep the remaining ids, in the same order.
        """
        check_count("per_user", per_user, 0)
        check_count("per_item", per_item, 0)
        kept, users, items = building.core(self.matrix, per_user, per_item, self.array_store)
        return self.where(kept)._without_rows(~users, ~items)

    def describe(self) -> pl.DataFrame:
        """Return statistics (count, mean, std, min, … max) of the values and of the interactions per user and item."""
        self.array_store.require(18 * len(self), "the values of all ratings")
        return _described(self)

    def at_least(self, value: float) -> "Interactions":
        """Keep the interactions whose value is ``value`` or more; users and items keep their rows."""
        return self.where(passes.at_least(self.matrix.data, value, self.array_store))

    def binary(self) -> "Interactions":
        """Set every value to 1."""
        return self.valued(np.ones_like)

    def valued(self, change: Callable[[np.ndarray], np.ndarray]) -> "Interactions":
        """Return the table with a function of each value in its place.

        A transpose that is known already stays known.
        """
        new = dataclasses.replace(self, matrix=passes.valued(self.matrix, change, self.array_store))
        if "by_item" in self.__dict__:
            new.__dict__["by_item"] = passes.valued(self.by_item, change, self.array_store)
        return new

    def with_items(self, table: Any) -> "Interactions":
        """Add what is known of the items: any columns, such as title, genres, year, price.

        The table goes with the ratings into the model and its file; see ``item_table``.

        Parameters
        ----------
        table : data frame
            Of pandas, polars, pyarrow or any other library. Its column ``item`` has the ids, each once; items may be
            missing. Text, numbers, booleans, dates, times and lists are kept as they are, categories as text, decimals
            as floats. NaN counts as missing. A column that is known already is replaced, others stay.

        Raises
        ------
        DataError
            If it is not a data frame; if its ids are missing, repeated or of another type; if a column cannot be kept.

        Examples
        --------
        >>> import cofactor as cf
        >>> sales = cf.from_frame(pl.DataFrame({"user": ["ann", "bob"], "item": ["tea", "rye"]}))
        >>> goods = pl.DataFrame({"item": ["tea", "rye"], "price": [4.5, 3.0], "organic": [True, None]})
        >>> sales.with_items(goods).item_table.rows()
        [('rye', 3.0, None), ('tea', 4.5, True)]
        """
        return self._with_table(table, self.items)

    def with_users(self, table: Any) -> "Interactions":
        """Add what is known of the users, such as age or country, from a frame with a column ``user``.

        As `with_items` does for items.
        """
        return self._with_table(table, self.users)

    @property
    def item_table(self) -> pl.DataFrame:
        """What is known of the items, in row order: the column item, and all that `with_items` added."""
        return self.metadata.table(self.items)

    @property
    def user_table(self) -> pl.DataFrame:
        """What is known of the users, in row order: the column user, and all that `with_users` added."""
        return self.metadata.table(self.users)

    def _with_table(self, table: Any, ids: Vocabulary) -> "Interactions":
        if not isinstance(table, pl.DataFrame):
            from cofactor.data.frames import as_polars  # imports narwhals, which is slow

            table = as_polars(table)
        new = dataclasses.replace(self, metadata=self.metadata.with_table(table, ids))
        new.__dict__.update({"by_item": self.by_item} if "by_item" in self.__dict__ else {})
        return new

    def split_rows(self, test_rows: Iterable[int] | np.ndarray) -> "tuple[Interactions, Interactions]":
        """Hold out given rows of the table, counted from 0 in reading order: (train, test).

        For example, ``ratings.split_rows(range(20_000))`` is the official split u1 of ml-100k.
        """
        mask: np.ndarray = self.array_store.zeros(len(self), bool)
        self.array_store.require(16 * operator.length_hint(test_rows), "the row numbers", _AT_RANDOM)
        rows = _row_numbers(test_rows)
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise SettingError(f"test_rows reach from {rows.min()} to {rows.max()}: the table has {len(self):,} rows")
        mask[rows] = True
        return self._split(mask)

    def split_random(self, *, test_fraction: float = 0.2, seed: int = 0) -> "tuple[Interactions, Interactions]":
        """Hold out a random share of all interactions: (train, test). Both keep the same users and items."""
        return self._split(splits.random_mask(len(self), test_fraction, seed, self.array_store))

    def split_per_user(self, *, test_fraction: float = 0.25, seed: int = 0) -> "tuple[Interactions, Interactions]":
        """Hold out a random share of each user's interactions: (train, test). A user's only interaction is held out."""
        self._need_columns(_AT_RANDOM)
        return self._split(splits.per_user_mask(self.triplets().user_rows, test_fraction, seed))

    def split_last(self, n: int = 1) -> "tuple[Interactions, Interactions]":
        """Hold out the last ``n`` interactions in time of each user who has more than ``n``: (train, test)."""
        self._need_columns(_AT_RANDOM)
        return self._split(splits.last_mask(self.triplets().user_rows, self._times("split_last"), n))

    def split_by_time(
        self, *, test_fraction: float | None = None, at: Moment | None = None
    ) -> "tuple[Interactions, Interactions]":
        """Hold out everything from a point in time on: (train, test).

        Parameters
        ----------
        test_fraction : float, optional
            The share of interactions after that point. Those of the very moment of the cut are all held out, so the
            test part can be larger than that; the log says so if it is by more than a tenth.
        at : datetime, date, str or float, optional
            The point in time: a text such as ``"2024-05-31"`` or ``"2024-05-31T12:30"``, UTC where no zone is named,
            or seconds since 1970.

        Raises
        ------
        DataError
            If the table has no times.
        SettingError
            If the fraction is not between 0 and 1, ``at`` is not a time, or both or neither are given.
        """
        return self._split(splits.time_mask(self._times("split_by_time"), test_fraction, at))

    def split_rolling(self, n: int = 3, *, horizon: Duration = "14d") -> "Iterator[tuple[Interactions, Interactions]]":
        """Hold out several stretches of time, one after the other: pairs (train, test), the earliest first.

        Each test part is one horizon long, the last ends with the latest interaction, and its training part is
        everything before it, as if a model had been trained on that day. Since a table has every pair of user and item
        once, no test part has a pair that is in its training part.

        Parameters
        ----------
        n : int
            How many pairs.
        horizon : str, float or datetime.timedelta
            How long a test part lasts: a text such as ``"14d"``, ``"12h"`` or ``"2w"``, a timedelta, or seconds.

        Raises
        ------
        DataError
            If the table has no times, there is nothing before the first stretch, or nothing in one of them.
        SettingError
            If ``n`` is below 1, or the horizon is no length of time.

        Examples
        --------
        >>> import cofactor as cf
        >>> ratings = cf.load_dataset("synthetic:60x40x600")
        >>> parts = ratings.split_rolling(2, horizon="90d")
        >>> all(train.timestamps.max() < test.timestamps.min() for train, test in parts)
        True
        """
        times, store = self._stored_times("split_rolling"), self.array_store
        masks = splits.rolling_masks(times, n, horizon, store)
        return ((self.where(before), self.where(within)) for before, within in masks)

    def split_users(
        self, *, n_users: int | None = None, test_fraction: float | None = None, seed: int = 0
    ) -> "tuple[Interactions, Interactions]":
        """Hold out a number or a share of users with all their interactions: (train, their interactions).

        Each part has its own users and all items. Split the second part again, into what the model may see of these
        users and what it is tested on; see `cofactor.evaluation.evaluate_by_fold_in`.
        """
        held_out = splits.user_mask(self.n_users, n_users, test_fraction, seed)
        theirs, others = (passes.entries_of(self.matrix, users, self.array_store) for users in (held_out, ~held_out))
        no_item = np.zeros(self.n_items, dtype=bool)
        train = self.where(others)._without_rows(held_out, no_item)
        return train, self.where(theirs)._without_rows(~held_out, no_item)

    def split_items(
        self, *, n_items: int | None = None, test_fraction: float | None = None, seed: int = 0
    ) -> "tuple[Interactions, Interactions]":
        """Hold out a number or a share of items with all their interactions: (train, their interactions).

        Each part has its own items and all users. Items that nobody has rated yet can be tested so: place those of the
        second part with `Factors.fold_in_items`, and rank them among themselves with ``evaluate(…, candidates=…)``.

        Examples
        --------
        >>> import cofactor as cf
        >>> train, new = cf.load_dataset("synthetic:60x40x600").split_items(n_items=10, seed=0)
        >>> train.n_items, new.n_items, train.n_users == new.n_users
        (30, 10, True)
        """
        held_out = splits.item_mask(self.n_items, n_items, test_fraction, seed)
        theirs: np.ndarray = self.array_store.zeros(len(self), bool)
        for part in self.array_store.parts(len(self)):
            theirs[part] = held_out[self.matrix.indices[part]]
        no_user = np.zeros(self.n_users, dtype=bool)
        train = self.where(~theirs)._without_rows(no_user, held_out)
        return train, self.where(theirs)._without_rows(no_user, ~held_out)

    def folds(self, n: int = 5, *, seed: int = 0) -> "Iterator[tuple[Interactions, Interactions]]":
        """Yield ``n`` pairs (train, test); every interaction is in exactly one test part."""
        for mask in splits.fold_masks(len(self), n, seed, self.array_store):
            yield self._split(mask)

    def contiguous_folds(self, n: int = 5) -> "Iterator[tuple[Interactions, Interactions]]":
        """Yield ``n`` pairs (train, test) whose test parts are consecutive rows in reading order.

        For ml-100k these are its official splits u1 to u5.
        """
        for mask in splits.contiguous_masks(len(self), n, self.array_store):
            yield self._split(mask)

    def _stored_times(self, caller: str) -> np.ndarray:
        if self.timestamps is None:
            raise DataError(f"{caller} needs timestamps: name their column when reading (time=…)")
        return self.timestamps

    def _times(self, caller: str) -> np.ndarray:
        times = self._stored_times(caller)
        self.array_store.require(17 * len(self), "the times of all ratings", _AT_RANDOM)
        return self._as_read(times)

    def _need_columns(self, otherwise: str = "") -> None:
        self.array_store.require(64 * len(self), "the ratings as columns", otherwise)

    def _as_read(self, column: np.ndarray) -> np.ndarray:
        return column if self.order is None else column[self.order]

    def _split(self, held_out: np.ndarray) -> "tuple[Interactions, Interactions]":
        held_out = passes.scattered(held_out, self.order, self.array_store)
        rest = np.logical_not(held_out, out=self.array_store.zeros(len(self), bool))
        return self.where(rest), self.where(held_out)

    def _without_rows(self, users: np.ndarray, items: np.ndarray) -> "Interactions":
        """Drop users and items without interactions; both arguments are masks of those to drop."""
        kept_users, kept_items = np.flatnonzero(~users), np.flatnonzero(~items)
        return dataclasses.replace(
            self,
            users=Vocabulary(self.users.take(kept_users), kind="user"),
            items=Vocabulary(self.items.take(kept_items), kind="item"),
            matrix=building.without_empty(self.matrix, kept_users, kept_items, self.array_store),
            metadata=self.metadata.take(items=kept_items, users=kept_users),
        )

    def where(self, kept: np.ndarray) -> "Interactions":
        """Keep some of the stored values; ``kept`` is a mask over ``matrix.data``."""
        if not isinstance(kept, np.ndarray) or kept.dtype != bool or kept.shape != (len(self),):
            raise SettingError(f"where() takes an array of {len(self):,} booleans, one for each stored value")
        matrix, timestamps, order = passes.kept_where(self.matrix, self.timestamps, self.order, kept, self.array_store)
        return dataclasses.replace(self, matrix=matrix, timestamps=timestamps, order=order)


def open_folder(folder: str | os.PathLike[str], store: ArrayStore = MEMORY, *, name: str | None = None) -> Interactions:
    """Open a folder of interactions; arrays derived from it go to ``store``, and ``name`` replaces the stored name."""
    found = ondisk.read_folder(folder)
    table = Interactions(
        found.users,
        found.items,
        found.matrix,
        found.timestamps,
        found.order,
        found.metadata,
        found.name if name is None else name,
        store,
    )
    if found.by_item is not None:
        table.__dict__["by_item"] = found.by_item
    return table


def _names(given: Iterable[Id] | pl.Series | None, length: int, kind: str) -> Vocabulary:
    names = Vocabulary(range(length) if given is None else given, kind=kind)
    if len(names) != length:
        raise DataError(f"there are {len(names):,} {kind} ids for {length:,} {kind}s: give one for each")
    return names


def _same(one: np.ndarray | None, other: np.ndarray | None) -> bool:
    return one is other if one is None or other is None else np.array_equal(one, other)


def _row_numbers(given: Iterable[int] | np.ndarray) -> np.ndarray:
    """Return row numbers as an array; a mask is refused, whether a list or an array, and so is what is not whole."""
    try:
        if isinstance(given, np.ndarray) and given.ndim == 1 and (not len(given) or given.dtype.kind in "iu"):
            return given.astype(np.int64)
        return np.fromiter(map(_row_number, given), dtype=np.int64)
    except TypeError as error:
        raise SettingError(f"test_rows cannot be read ({error}): give whole row numbers") from error


def _row_number(given: object) -> int:
    if isinstance(given, bool | np.bool_):
        raise SettingError("test_rows is a mask: give row numbers, such as np.flatnonzero(mask)")
    return operator.index(given)  # type: ignore[arg-type]


def _described(ratings: Interactions) -> pl.DataFrame:
    """Return statistics (count, mean, std, min, … max) of the values and of the interactions per user and item."""
    columns = {
        "value": ratings.matrix.data,
        "per user": np.diff(ratings.matrix.indptr),
        "per item": passes.counts_of(ratings.matrix.indices, ratings.n_items),
    }
    parts = {name: pl.Series(column).cast(pl.Float64).describe() for name, column in columns.items()}
    statistics = parts["value"]["statistic"]
    frame = pl.DataFrame({"statistic": statistics, **{name: part["value"] for name, part in parts.items()}})
    return frame.filter(pl.col("statistic") != "null_count")


def _card(ratings: Interactions) -> str:
    """Return the HTML summary of a table that notebooks show."""
    (low, high), counts = ratings.value_range, np.diff(ratings.matrix.indptr)
    each = "" if not len(counts) else f"{np.median(counts):g} (median), at most {counts.max():,}"
    times = [] if ratings.timestamps is None else ["times"]
    known = [*times, *ratings.metadata.items.columns, *ratings.metadata.users.columns]
    return notebook.facts(
        ratings.name or "interactions",
        {
            "users": ratings.n_users,
            "items": ratings.n_items,
            "interactions" if ratings.is_binary else "ratings": len(ratings),
            "values": "" if ratings.is_binary else f"{low:g} to {high:g}",
            "density": f"{_percent(ratings.density)} %",
            "per user": each,
            "also known": ", ".join(known),
        },
    )


def _percent(share: float) -> str:
    """Return a share in percent, with two significant digits."""
    return f"{100 * share:.0f}" if share >= 0.1 else f"{100 * share:.2g}"
