"""Held-out ratings as a model sees them: ids matched, who can be measured and who cannot, overlap refused."""

import dataclasses
import functools
import sys
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, TypeAlias, get_args

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.array_store import MEMORY, ArrayStore
from cofactor.data.interactions import Interactions
from cofactor.data.passes import as_csr, at_least, counts_of, entries_of, has_zeros, rows_between, stored_where, stores
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError, SettingError
from cofactor.model.checks import check_interactions
from cofactor.model.factors import Factors, has_history, learnt_counts, popularity_of

__all__ = [
    "Group",
    "HeldOut",
    "OnNewItems",
    "OnUnknown",
    "check_on_unknown",
    "chosen_rows",
    "common_part",
    "held_out_of",
    "is_later",
    "kernels_for",
    "known_part",
    "matched",
    "popular_group",
    "relevant_among",
    "table_in_rows_of",
    "training_part",
    "without_training_rows",
]

OnUnknown: TypeAlias = Literal["skip", "popular"]
"""What to do with users without history: leave them out, or measure them by the popular items they would be shown."""

OnNewItems: TypeAlias = Literal["miss", "skip"]
"""What to do with held-out items that nobody had in training: no list has them, or they are left out."""

COMPILED_FROM = {"nothing": 8_000_000, "numba": 2_000_000, "loaded": 200_000}
"""From how many numbers on compiled loops are worth loading, by what this process has loaded already."""


def kernels_for(numbers: int) -> Any:
    """Return the module `cofactor.evaluation.kernels` if so many numbers are to be read that it pays, else None."""
    loaded = "cofactor.evaluation.kernels" in sys.modules
    state = "loaded" if loaded else "numba" if "numba" in sys.modules else "nothing"
    if numbers < COMPILED_FROM[state]:
        return None
    from cofactor.evaluation import kernels

    return kernels


@dataclass(frozen=True, eq=False)
class Group:
    """Users who are measured by the same model.

    Parameters
    ----------
    model : Factors
        The model itself, or for users without history the popular items.
    users : numpy.ndarray of int, shape (users,)
        Their rows in that model.
    matrix : scipy.sparse.csr_array, shape (users, items)
        Their held-out ratings, a row for each of ``users``, sorted.
    array_store : ArrayStore
        How much of it may be in memory at once.
    """

    model: Factors
    users: np.ndarray
    matrix: sparse.csr_array
    array_store: ArrayStore = MEMORY

    @functools.cached_property
    def n_test(self) -> np.ndarray:
        """How many held-out ratings each user has: int64, (users,)."""
        return np.diff(self.matrix.indptr).astype(np.int64)

    def relevant(self, relevant_from: float | None) -> sparse.csr_array:
        """Return the ratings that count as relevant; see `relevant_among`."""
        return relevant_among(self.matrix, relevant_from, self.array_store)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out ratings matched with a model.

    Parameters
    ----------
    known : Group
        The users of whom the model learnt something.
    newcomers : Group, or None
        The others, if they are measured: by the popular items.
    n_unknown : int
        How many ratings were left out, because nothing was learnt of the user, the model does not know the item, or
        nobody had it in training and such items are left out.
    n_without_history : int
        How many users with held-out ratings have no history.
    n_items_without_history : int
        How many of the held-out items nobody had in training.
    counts : numpy.ndarray of int64, shape (items,)
        How many users had each item in training.
    on_new_items : {"miss", "skip"}
        Whether these items are missed by every list, or were left out.
    seconds_ahead : float
        How far the training data reach into the period of the held-out ratings; 0 if they end before it, or times are
        not known.
    """

    known: Group
    newcomers: Group | None
    n_unknown: int
    n_without_history: int
    n_items_without_history: int
    counts: np.ndarray
    on_new_items: OnNewItems = "miss"
    seconds_ahead: float = 0.0

    @property
    def groups(self) -> list[Group]:
        """The users to measure, those with history first."""
        return [self.known] if self.newcomers is None else [self.known, self.newcomers]

    @property
    def users(self) -> pl.Series:
        """The ids of all users who are measured."""
        return pl.concat([group.model.users.take(group.users) for group in self.groups])

    @property
    def matrix(self) -> sparse.csr_array:
        """The held-out ratings of all users who are measured."""
        if self.newcomers is None:
            return self.known.matrix
        return _stacked(self.known.matrix, self.newcomers.matrix)


def check_on_unknown(on_unknown: Any) -> None:
    """Refuse what is none of the ways to treat users without history."""
    if on_unknown not in get_args(OnUnknown):
        raise SettingError(f"on_unknown is {on_unknown!r}: choose 'skip' or 'popular'")


def is_later(model: Factors, test: Interactions) -> bool:
    """Return whether all held-out ratings are later than the training data, as in a split by time."""
    return model.origin.period is not None and test.period is not None and test.period[0] > model.origin.period[1]


def _seconds_ahead(model: Factors, test: Interactions) -> float:
    """Return how far the training data reach into the period of the held-out ratings."""
    trained, tested = model.origin.period, test.period
    return 0.0 if trained is None or tested is None else max(0.0, min(trained[1], tested[1]) - tested[0])


def relevant_among(
    table: sparse.csr_array, relevant_from: float | None, store: ArrayStore = MEMORY
) -> sparse.csr_array:
    """Return the ratings of at least a value; if that is None, all but those of 0, which say nothing of a choice."""
    if relevant_from is not None:
        return stored_where(table, at_least(table.data, relevant_from, store), store)
    if not has_zeros(table.data):
        return table
    chosen = store.zeros(table.nnz, bool)
    for part in store.parts(table.nnz):
        chosen[part] = table.data[part] != 0
    return stored_where(table, chosen, store)


def matched(
    model: Factors, test: Interactions, on_unknown: OnUnknown = "skip", on_new_items: OnNewItems | None = None
) -> HeldOut:
    """Match held-out ratings with a model by their ids, and tell users with history from those without.

    Items that nobody had in training are left out if ``on_new_items`` says so, or if it is None and all held-out
    ratings are later than the training data.

    Raises
    ------
    DataError
        If they are no Interactions, one was in the training data, or none can be measured.
    """
    check_interactions(test)
    check_on_unknown(on_unknown)
    if on_new_items is not None and on_new_items not in get_args(OnNewItems):
        raise SettingError(f"on_new_items is {on_new_items!r}: choose 'miss' or 'skip'")
    table = table_in_rows_of(model.users, model.items, test)
    strangers = _strangers(model, test)
    if not table.nnz and not (on_unknown == "popular" and strangers.matrix.nnz and _same_kind(model, test)):
        _refuse_strangers(model, test)
    overlap, counts, tested = _trained_on(model.seen, table)
    if overlap:
        raise DataError(
            f"{overlap:,} of the {table.nnz:,} test ratings were in the training data, so the result would be "
            "flattering: evaluate on held-out ratings, or leave those out with "
            "cofactor.evaluation.without_training_rows(model, test)"
        )
    had, store = learnt_counts(model).by_item, test.array_store
    n_items = int(np.count_nonzero(tested & (had == 0))) if model.seen.nnz else 0
    if on_new_items is None:
        on_new_items = "skip" if is_later(model, test) else "miss"
    if on_new_items == "skip" and n_items:
        table, strangers = _of_items(table, had > 0, store), strangers.of_items(had > 0, store)
        if on_unknown == "skip":
            _check_knowable(model, table)
    tested_rows = np.flatnonzero(np.diff(table.indptr))
    history = has_history(model, tested_rows)
    rows, without = tested_rows[history], tested_rows[~history]
    known = Group(model, rows, _kept_rows(table, rows, store) if len(without) else chosen_rows(table, rows), store)
    n_without = len(without) + int(np.count_nonzero(np.diff(strangers.matrix.indptr)))
    newcomers = None
    if on_unknown == "popular" and n_without:
        newcomers = _newcomers(model, table, without, strangers)
    elif not len(rows):
        raise DataError(
            "none of the users of the test ratings had anything in training, so nothing was learnt of them: evaluate "
            'with on_unknown="popular" to measure the popular items that they would be shown, or on a split in which '
            "users keep a part of their ratings, such as split_per_user()"
        )
    n_test = known.matrix.nnz + (0 if newcomers is None else newcomers.matrix.nnz)
    ahead = _seconds_ahead(model, test)
    return HeldOut(known, newcomers, len(test) - n_test, n_without, n_items, counts, on_new_items, ahead)


def _check_knowable(model: Factors, table: sparse.csr_array) -> None:
    """Refuse held-out ratings of which none is left, once those of items that nobody had are left out."""
    if not has_history(model, np.flatnonzero(np.diff(table.indptr))).any():
        raise DataError(
            "none of the test ratings has both a user and an item that had anything in training, so no model can "
            'know them: hold out less, or take on_new_items="miss", by which every list misses such items'
        )


def _same_kind(model: Factors, test: Interactions) -> bool:
    """Return whether the user ids of both are integers, or those of both are strings."""
    return bool(model.n_users) and model.users.holds_integers == test.users.holds_integers


@dataclass(frozen=True, eq=False)
class _Strangers:
    """The users of some ratings whom a model does not have, and their ratings of the items that it has."""

    users: Vocabulary
    matrix: sparse.csr_array

    def of_items(self, kept: np.ndarray, store: ArrayStore) -> "_Strangers":
        """Return them with their ratings of some items; ``kept`` is a mask over all."""
        return _Strangers(self.users, _of_items(self.matrix, kept, store))


def _of_items(table: sparse.csr_array, kept: np.ndarray, store: ArrayStore) -> sparse.csr_array:
    """Return a table's values of some items; ``kept`` is a mask over all."""
    return stored_where(table, _masked_by(table.indices, kept, store), store)


def _masked_by(columns: np.ndarray, kept: np.ndarray, store: ArrayStore) -> np.ndarray:
    mask: np.ndarray = store.zeros(len(columns), bool)
    for part in store.parts(len(columns)):
        mask[part] = kept[columns[part]]
    return mask


def _strangers(model: Factors, ratings: Interactions) -> _Strangers:
    rows = np.flatnonzero(_rows_in(ratings.users, model.users) < 0)
    users = Vocabulary(ratings.users.take(rows), kind="user")
    if not len(rows):
        return _Strangers(users, sparse.csr_array((0, model.n_items), dtype=np.float32))
    return _Strangers(users, table_in_rows_of(users, model.items, ratings))


def _newcomers(model: Factors, table: sparse.csr_array, without: np.ndarray, strangers: _Strangers) -> Group:
    """Return the users without history, those in the model's vocabulary first, with the popular items as their model.

    What the former are known to have had, as values that say nothing, is not shown to them again.
    """
    there = np.flatnonzero(np.diff(strangers.matrix.indptr))
    seen = _stacked(model.seen[without], sparse.csr_array((len(there), model.n_items), dtype=np.float32))
    ids = pl.concat([model.users.take(without), strangers.users.take(there).cast(model.users.ids.dtype)])
    return popular_group(model, ids, _stacked(table[without], strangers.matrix[there]), seen)


def popular_group(model: Factors, ids: pl.Series, matrix: sparse.csr_array, seen: sparse.csr_array) -> Group:
    """Return users who are shown what most users of a model had, less what they have seen."""
    counts = popularity_of(model).astype(np.float32)
    popular = Factors(
        np.zeros((len(ids), 0), np.float32),
        np.zeros((model.n_items, 0), np.float32),
        Vocabulary(ids, kind="user"),
        model.items,
        item_bias=counts,
        seen=seen,
    )
    return Group(popular, np.arange(len(ids)), matrix)


def _stacked(one: sparse.csr_array, other: sparse.csr_array) -> sparse.csr_array:
    """Put the rows of two tables below each other."""
    if not other.shape[0]:
        return one
    values, indices = (np.concatenate([getattr(t, name) for t in (one, other)]) for name in ("data", "indices"))
    indptr = np.concatenate([one.indptr, one.indptr[-1] + other.indptr[1:].astype(np.int64)])
    return as_csr(values, indices, indptr, (one.shape[0] + other.shape[0], one.shape[1]))


def _refuse_strangers(model: Factors, test: Interactions) -> NoReturn:
    """Say why no rating is of a user and an item that the model knows: ids of another type, or other ids."""
    if not model.n_users or not model.n_items:
        raise DataError("none of the test ratings has both its user and its item in the model: nothing can be measured")
    for known, given in ((model.users, test.users), (model.items, test.items)):
        if known.holds_integers != given.holds_integers:
            here, there = ("numbers", "texts") if known.holds_integers else ("texts", "numbers")
            kind = "int" if known.holds_integers else "str"
            raise DataError(
                f"the {known.kind} ids are {here} in the model, such as {known[0]!r}, and {there} in the test ratings: "
                f"make them alike, by ids={kind!r} or --ids {kind} where they are read from text"
            )
    raise DataError(
        "none of the test ratings has both its user and its item in the model: give ratings with the model's ids, such "
        f"as user {model.users[0]!r} and item {model.items[0]!r}"
    )


def chosen_rows(table: sparse.csr_array, rows: np.ndarray) -> sparse.csr_array:
    """Return a table without its other rows, which must be empty: nothing is copied but where rows start."""
    if len(rows) == table.shape[0]:
        return table
    indptr = np.append(table.indptr[rows], table.indptr[-1:])
    return as_csr(table.data, table.indices, indptr, (len(rows), table.shape[1]))


def _kept_rows(table: sparse.csr_array, rows: np.ndarray, store: ArrayStore) -> sparse.csr_array:
    """Return some rows of a table without the others."""
    wanted = np.zeros(table.shape[0], bool)
    wanted[rows] = True
    return chosen_rows(stored_where(table, entries_of(table, wanted, store), store), rows)


def _rows_of(table: sparse.csr_array, rows: np.ndarray) -> sparse.csr_array:
    """Return some rows of a table; a view of it if they are consecutive."""
    if len(rows) and np.all(np.diff(rows) == 1):
        return rows_between(table, int(rows[0]), int(rows[-1]) + 1)
    return table[rows]


def _lengths_of(table: sparse.csr_array, rows: np.ndarray) -> np.ndarray:
    """Return how many values each of some rows of a table has; a row of -1 has none."""
    lengths, known = np.zeros(len(rows), np.int64), rows >= 0
    lengths[known] = np.diff(table.indptr)[rows[known]]
    return lengths


def without_training_rows(model: Factors, ratings: Interactions) -> Interactions:
    """Leave out the ratings that a model was trained on, so that it can be measured on the rest.

    Parameters
    ----------
    model : Factors
    ratings : Interactions
        Ids are matched. Ratings whose user or item the model does not know are kept.

    Returns
    -------
    Interactions
        The rest, in the same order.

    Examples
    --------
    >>> import cofactor as cf
    >>> from cofactor.evaluation import without_training_rows
    >>> from cofactor.solvers import ImplicitALS
    >>> ratings = cf.load_dataset("synthetic:60x40x600")
    >>> train, test = ratings.split_random(test_fraction=0.2, seed=0)
    >>> len(without_training_rows(ImplicitALS(rank=2, epochs=1).fit(train), ratings)) == len(test)
    True
    """
    kept = _trained_mask(model, ratings)
    return ratings.where(np.logical_not(kept, out=kept))


def training_part(model: Factors, ratings: Interactions) -> Interactions | None:
    """Return what a model was trained on, with the times that ratings have; None unless they have all of it."""
    if ratings.timestamps is None or not model.seen.nnz:
        return None
    part = ratings.where(_trained_mask(model, ratings))
    if len(part) != model.seen.nnz:
        return None
    if ratings.users != model.users or ratings.items != model.items:
        frame = part.to_frame()
        rows = model.users.rows(frame["user"]), model.items.rows(frame["item"])
        part = Interactions.from_rows(model.users, model.items, *rows, timestamps=frame["timestamp"].to_numpy())
    return dataclasses.replace(part, matrix=model.seen, metadata=model.metadata, name=model.origin.data)


def _trained_mask(model: Factors, ratings: Interactions) -> np.ndarray:
    """Return which of some ratings a model was trained on, as a mask over the stored ones."""
    user_of, item_of = _rows_in(ratings.users, model.users), _rows_in(ratings.items, model.items)
    mask: np.ndarray = ratings.array_store.zeros(len(ratings), bool)
    lengths = np.diff(ratings.matrix.indptr) + _lengths_of(model.seen, user_of)
    for part in ratings.array_store.row_parts(lengths):
        some, known_users = rows_between(ratings.matrix, part.start, part.stop), user_of[part] >= 0
        user_rows = np.repeat(np.arange(some.shape[0]), np.diff(some.indptr))
        item_rows = item_of[some.indices]
        known = known_users[user_rows] & (item_rows >= 0)
        seen, place = _rows_of(model.seen, user_of[part][known_users]), np.cumsum(known_users) - 1
        trained = np.zeros(len(known), bool)
        trained[known] = stores(seen, place[user_rows[known]], item_rows[known])
        mask[ratings.matrix.indptr[part.start] : ratings.matrix.indptr[part.stop]] = trained
    return mask


def known_part(train: Interactions, test: Interactions) -> Interactions:
    """Return the held-out ratings of users and items that have something in training; both are parts of one table.

    What comes after a cut in time cannot be known to any model that was trained before it.
    """
    store = test.array_store
    users, items = np.diff(train.matrix.indptr) > 0, counts_of(train.matrix.indices, train.n_items) > 0
    kept, of_items = entries_of(test.matrix, users, store), _masked_by(test.matrix.indices, items, store)
    return test.where(np.logical_and(kept, of_items, out=kept))


def common_part(held_out: Interactions, *models: Factors, on_new_items: OnNewItems = "miss") -> Interactions:
    """Return the held-out ratings that all models can be measured on, so that they can be compared.

    These are of users of whom all learnt something, and of items that all know; where new items are left out, of items
    that somebody had in the training data of each.

    Raises
    ------
    DataError
        If there are none.
    """
    users, items = np.ones(held_out.n_users, bool), np.ones(held_out.n_items, bool)
    for model in models:
        user_rows, item_rows = _rows_in(held_out.users, model.users), _rows_in(held_out.items, model.items)
        users &= user_rows >= 0
        users[users] = has_history(model, user_rows[users])
        items &= item_rows >= 0
        if on_new_items == "skip":
            items[items] = learnt_counts(model).by_item[item_rows[items]] > 0
    store = held_out.array_store
    kept = entries_of(held_out.matrix, users, store)
    kept &= _masked_by(held_out.matrix.indices, items, store)
    if not kept.any():
        raise DataError(
            "none of the held-out ratings has both its user and its item in all of the models: compare models that "
            "were trained on the same users and items, or on most of them"
        )
    return held_out.where(kept)


def held_out_of(model: Factors, ratings: Interactions) -> Interactions:
    """Return the ratings that a model was not trained on.

    Raises
    ------
    DataError
        If it was trained on all of them.
    """
    held_out = without_training_rows(model, ratings)
    if not len(held_out):
        raise DataError("the model was trained on every one of these ratings: evaluate on held-out ones")
    return held_out


def _rows_in(theirs: Vocabulary, ours: Vocabulary) -> np.ndarray:
    return np.arange(len(ours)) if theirs is ours or theirs == ours else ours.find(theirs.ids).astype(np.int64)


def table_in_rows_of(users: Vocabulary, items: Vocabulary, ratings: Interactions) -> sparse.csr_array:
    """Return the ratings whose user and item are in two vocabularies, in the rows of these."""
    if ratings.users == users and ratings.items == items:
        return ratings.matrix
    user_of, item_of = _rows_in(ratings.users, users), _rows_in(ratings.items, items)
    theirs = np.full(len(users), -1)
    theirs[user_of[user_of >= 0]] = np.flatnonzero(user_of >= 0)
    store, done = ratings.array_store, 0
    values, indices = store.zeros(len(ratings), np.float32), store.zeros(len(ratings), np.int32)
    counts = np.zeros(len(users), np.int64)
    for part in store.row_parts(_lengths_of(ratings.matrix, theirs)):
        present = np.flatnonzero(theirs[part] >= 0)
        some = ratings.matrix[theirs[part][present]]
        user_rows, item_rows = np.repeat(present, np.diff(some.indptr)), item_of[some.indices]
        known = item_rows >= 0
        user_rows, item_rows = user_rows[known], item_rows[known]
        order = np.argsort(user_rows * np.int64(max(len(items), 1)) + item_rows, kind="stable")
        target = slice(done, done + len(order))
        values[target], indices[target] = some.data[known][order], item_rows[order]
        counts[part] = np.bincount(user_rows, minlength=part.stop - part.start)
        done = target.stop
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return as_csr(values[:done], indices[:done], indptr, (len(users), len(items)))


def _trained_on(seen: sparse.csr_array, table: sparse.csr_array) -> tuple[int, np.ndarray, np.ndarray]:
    """Return how many ratings of a table were seen, how many users had each item, and whether the table has it."""
    if kernels := kernels_for(seen.nnz + table.nnz):
        return kernels.trained_on(seen, table)
    user_rows = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    tested = np.zeros(table.shape[1], bool)
    tested[table.indices] = True
    return int(stores(seen, user_rows, table.indices).sum()), counts_of(seen.indices, seen.shape[1]), tested
