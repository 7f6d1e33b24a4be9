"""Stored ratings in memory: arrays sorted by user, of twelve bytes a rating, and what came since in a dictionary."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import polars as pl

__all__ = ["Rating", "RatingColumns", "RatingsTable"]

Rating = tuple[str, str, float | None]
"""A user, an item, and the value; None for a deleted rating."""

_RECENT = 50_000
_PENDING = 1_000_000
_SHARE = 4  # of the sorted ratings: merging more seldom would take more memory, and more often more time

_SCHEMA = {"user": pl.String, "item": pl.String, "value": pl.Float64}
_NOTHING: Mapping[str, float | None] = MappingProxyType({})


class RatingColumns(NamedTuple):
    """Ratings as arrays: rows in the lists of names, and values, NaN for a deleted rating."""

    users: np.ndarray
    items: np.ndarray
    values: np.ndarray


class _Sorted(NamedTuple):
    """Ratings by user: those of user ``u`` are at ``starts[u] : starts[u + 1]``."""

    starts: np.ndarray
    items: np.ndarray
    values: np.ndarray


class RatingsTable:
    """The last rating of each user for each item.

    One thread may read while another one adds or merges.
    """

    def __init__(self) -> None:
        self._users: dict[str, int] = {}
        self._items: dict[str, int] = {}
        self._item_names: list[str] = []
        self._sorted = _Sorted(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0))
        self._pending: list[pl.DataFrame] = []
        self._recent: dict[str, dict[str, float | None]] = {}
        self._merging: dict[str, dict[str, float | None]] = {}
        self._n_pending = self._n_recent = 0
        self._turn = threading.Lock()

    def __len__(self) -> int:
        return len(self._sorted.items) + self._n_pending + self._n_recent

    @property
    def users(self) -> list[str]:
        """The users' names, by row."""
        return list(self._users)

    def known_users(self) -> set[str]:
        """Return the names of all users, with those whose ratings are not sorted in yet."""
        pending = [part["user"].to_list() for part in self._pending]
        return set(self._users).union(list(self._recent), list(self._merging), *pending)

    @property
    def items(self) -> list[str]:
        """The items' names, by row."""
        return self._item_names

    def of(self, user: str) -> Mapping[str, float | None]:
        """Return a user's ratings, None for a deleted one."""
        layers = [
            layer[user] for layer in (self._merging, self._recent) if user in layer
        ]  # before what they merge into
        starts, items, values = self._sorted
        row = self._users.get(user, -1)
        if not 0 <= row < len(starts) - 1:
            return layers[0] if len(layers) == 1 else {key: one[key] for one in layers for key in one} or _NOTHING
        span = slice(starts[row], starts[row + 1])
        numbers = values[span].astype(object)
        numbers[np.isnan(values[span])] = None
        found = dict(zip(map(self._item_names.__getitem__, items[span].tolist()), numbers.tolist(), strict=True))
        for layer in layers:
            found.update(layer)
        return found

    def put(self, ratings: Sequence[Rating]) -> None:
        """Add a few ratings, the latest last, that count at once."""
        for user, item, value in ratings:
            self._recent.setdefault(user, {})[item] = value
        self._n_recent += len(ratings)

    def add(self, ratings: Sequence[Rating]) -> None:
        """Add many ratings, the latest last, that count after the next `merge`; now and then this merges by itself."""
        if not ratings:
            return
        while self._merging or self._recent:  # which are older
            self.freeze()
            self.merge()
        with self._turn:
            self._pend(ratings)
        if self._n_pending > max(_PENDING, len(self._sorted.items)):
            self.merge()

    def forget(self, users: Iterable[str]) -> None:
        """Drop all ratings of some users, and their names."""
        with self._turn:  # no merge runs now, so none brings them back
            gone = set(users)
            for layer in (self._recent, self._merging):
                for user in gone & layer.keys():
                    del layer[user]
            self._pending = [part.filter(~pl.col("user").is_in(gone)) for part in self._pending]
            self._n_pending = sum(map(len, self._pending))
            rows = [self._users[user] for user in gone if user in self._users]
            if not rows:
                return
            names = list(self._users)
            for row in rows:
                names[row] = f"\x1f{row}"  # which is no id
            rated = np.isin(self._rows_of_sorted(), rows, invert=True)
            old = self._sorted
            counts = np.bincount(self._rows_of_sorted()[rated], minlength=len(old.starts) - 1)
            starts = np.concatenate([[0], np.cumsum(counts)])
            self._sorted = _Sorted(starts, old.items[rated], old.values[rated])
            self._users = {name: row for row, name in enumerate(names)}

    @property
    def needs_merge(self) -> bool:
        """Whether so many ratings are in the dictionary that it takes much memory."""
        return not self._merging and self._n_recent > max(_RECENT, len(self._sorted.items) // _SHARE)

    def freeze(self) -> None:
        """Set apart what the next `merge` takes from the dictionary; no other thread may add meanwhile."""
        if not self._merging:
            self._merging, self._recent, self._n_recent = self._recent, {}, 0

    def merge(self) -> None:
        """Sort the ratings that were added into the others."""
        with self._turn:
            frozen = [(user, item, value) for user, layer in self._merging.items() for item, value in layer.items()]
            if frozen:
                self._pend(frozen)
            if self._pending:
                old = RatingColumns(self._rows_of_sorted(), self._sorted.items, self._sorted.values)
                joined = RatingColumns(*map(np.concatenate, zip(old, self._rows_of_pending(), strict=True)))
                self._pending = []
                del old
                self._sorted = _sorted(joined, len(self._users))
                self._n_pending = 0
            self._merging = {}  # only now: who reads in between finds the same twice

    def columns(self) -> RatingColumns:
        """Return all ratings, sorted by user and item."""
        while self._merging or self._recent or self._pending:
            self.freeze()
            self.merge()
        return RatingColumns(self._rows_of_sorted(), self._sorted.items, self._sorted.values)

    def _rows_of_sorted(self) -> np.ndarray:
        return np.repeat(np.arange(len(self._sorted.starts) - 1, dtype=np.int32), np.diff(self._sorted.starts))

    def _pend(self, ratings: Sequence[Rating]) -> None:
        columns = dict(zip(_SCHEMA, zip(*ratings, strict=True), strict=True))
        self._pending.append(pl.DataFrame(columns, schema=_SCHEMA))
        self._n_pending += len(ratings)

    def _rows_of_pending(self) -> RatingColumns:
        added = pl.concat(self._pending)
        users = _rows(self._users, added["user"])
        items = _rows(self._items, added["item"])
        self._item_names = list(self._items)  # before the rows are to be seen, since readers look up their names
        return RatingColumns(users, items, added["value"].fill_null(np.nan).to_numpy())


def _rows(index: dict[str, int], names: pl.Series) -> np.ndarray:
    """Return the row of each name; new names get the next ones."""
    for name in names.unique().to_list():
        index.setdefault(name, len(index))
    known = pl.DataFrame({"name": list(index), "row": range(len(index))}, schema={"name": pl.String, "row": pl.Int32})
    return names.to_frame("name").join(known, on="name", how="left", maintain_order="left")["row"].to_numpy()


def _sorted(ratings: RatingColumns, n_users: int) -> _Sorted:
    """Sort ratings by user and item; of several for the same two, the last one counts."""
    keys = (ratings.users.astype(np.int64) << 32) | ratings.items
    order = np.argsort(keys)  # not the stable sort, which takes several times as long
    keys = keys[order]
    firsts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1]))
    if len(firsts) < len(order):
        keys, order = keys[firsts], np.maximum.reduceat(order, firsts)
    starts = np.searchsorted(keys, np.arange(n_users + 1) << 32)
    return _Sorted(starts, ratings.items[order], ratings.values[order])
