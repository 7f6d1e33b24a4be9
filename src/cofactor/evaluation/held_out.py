"""The held-out part as a model sees it: ids matched to its rows, what it does not know counted, overlap refused."""

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from scipy import sparse

from cofactor.data.array_store import MEMORY, ArrayStore
from cofactor.data.interactions import Interactions
from cofactor.data.passes import as_csr, at_least, counts_of, kept_where
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError
from cofactor.evaluation.large import kernels_for
from cofactor.model.checks import check_interactions
from cofactor.model.factors import Factors

__all__ = [
    "HeldOut",
    "among",
    "chosen_rows",
    "held_out_of",
    "matched",
    "relevant_among",
    "rows_between",
    "stored_where",
    "table_in_rows_of",
    "without_training_rows",
]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out ratings in a model's rows.

    Parameters
    ----------
    users : numpy.ndarray of int, shape (users,)
        The model's rows of the users who have any.
    matrix : scipy.sparse.csr_array, shape (users, items)
        Their ratings, a row for each of ``users``, sorted.
    n_unknown : int
        How many ratings were left out because the model knows the user or the item not.
    counts : numpy.ndarray of int64, shape (items,)
        How many users had each item in training.
    array_store : ArrayStore
        How much of it may be in memory at once.
    """

    users: np.ndarray
    matrix: sparse.csr_array
    n_unknown: int
    counts: np.ndarray
    array_store: ArrayStore = MEMORY

    def relevant(self, relevant_from: float | None) -> sparse.csr_array:
        """Return those that count as relevant; see `relevant_among`."""
        return relevant_among(self.matrix, relevant_from, self.array_store)


def relevant_among(
    table: sparse.csr_array, relevant_from: float | None, store: ArrayStore = MEMORY
) -> sparse.csr_array:
    """Return the ratings of at least a value; all of them where that is None."""
    return table if relevant_from is None else stored_where(table, at_least(table.data, relevant_from, store), store)


def matched(model: Factors, test: Interactions) -> HeldOut:
    """Match held-out ratings with a model by their ids.

    Raises
    ------
    DataError
        If they are no Interactions, one was in the training data, or none can be measured.
    """
    check_interactions(test)
    table = table_in_rows_of(model.users, model.items, test)
    lengths = np.diff(table.indptr)
    if not len(table.indices):
        _refuse_strangers(model, test)
    overlap, counts = _trained_on(model.seen, table)
    if overlap:
        raise DataError(
            f"{overlap:,} of the {table.nnz:,} test ratings were in the training data, so the result would be "
            "flattering: evaluate on held-out ratings, or leave those out with "
            "cofactor.evaluation.without_training_rows(model, test)"
        )
    users = np.flatnonzero(lengths)
    return HeldOut(users, chosen_rows(table, users), len(test) - table.nnz, counts, test.array_store)


def _refuse_strangers(model: Factors, test: Interactions) -> NoReturn:
    """Say why none of the ratings is of a user and an item of the model: ids of another type, or other ids."""
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


def rows_between(table: sparse.csr_array, first: int, last: int) -> sparse.csr_array:
    """Return the rows ``first`` to ``last`` of a table as a view of it."""
    if first == 0 and last == table.shape[0]:
        return table
    start, stop = table.indptr[first], table.indptr[last]
    arrays = table.data[start:stop], table.indices[start:stop], table.indptr[first : last + 1] - start
    return as_csr(*arrays, (last - first, table.shape[1]))


def _rows_of(table: sparse.csr_array, rows: np.ndarray) -> sparse.csr_array:
    """Return some rows of a table: a view of it where they follow each other, as those of the same users do."""
    if len(rows) and np.all(np.diff(rows) == 1):
        return rows_between(table, int(rows[0]), int(rows[-1]) + 1)
    return table[rows]


def _lengths_of(table: sparse.csr_array, rows: np.ndarray) -> np.ndarray:
    """Return how much each of some rows of a table holds; a row of -1 holds nothing."""
    lengths, known = np.zeros(len(rows), np.int64), rows >= 0
    lengths[known] = np.diff(table.indptr)[rows[known]]
    return lengths


def without_training_rows(model: Factors, ratings: Interactions) -> Interactions:
    """Leave out the ratings that a model was trained on, so that it may be measured on the others.

    Parameters
    ----------
    model : Factors
    ratings : Interactions
        Ids are matched. What the model does not know is kept.

    Returns
    -------
    Interactions
        The others, in the order of the ratings.

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
    user_of, item_of = _rows_in(ratings.users, model.users), _rows_in(ratings.items, model.items)
    kept = ratings.array_store.zeros(len(ratings), bool)
    lengths = np.diff(ratings.matrix.indptr) + _lengths_of(model.seen, user_of)
    for part in ratings.array_store.row_parts(lengths):
        some, known_users = rows_between(ratings.matrix, part.start, part.stop), user_of[part] >= 0
        user_rows = np.repeat(np.arange(some.shape[0]), np.diff(some.indptr))
        item_rows = item_of[some.indices]
        known = known_users[user_rows] & (item_rows >= 0)
        seen, place = _rows_of(model.seen, user_of[part][known_users]), np.cumsum(known_users) - 1
        trained = np.zeros(len(known), bool)
        trained[known] = among(seen, place[user_rows[known]], item_rows[known])
        kept[ratings.matrix.indptr[part.start] : ratings.matrix.indptr[part.stop]] = ~trained
    return ratings.where(kept)


def held_out_of(model: Factors, ratings: Interactions) -> Interactions:
    """Return those of the ratings that the model was not trained on, to measure it by.

    Raises
    ------
    DataError
        If it was trained on all of them.
    """
    held_out = without_training_rows(model, ratings)
    if not len(held_out):
        raise DataError("the model was trained on every one of these ratings: evaluate on held-out ones")
    return held_out


def among(table: sparse.csr_array, user_rows: np.ndarray, item_rows: np.ndarray) -> np.ndarray:
    """Return whether each pair is one that a table stores."""
    width = max(table.shape[1], 1)
    stored = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr)) * width + table.indices
    asked = user_rows.astype(np.int64) * width + item_rows
    place = np.searchsorted(stored, asked)
    found = np.zeros(len(asked), dtype=bool)
    inside = place < len(stored)
    found[inside] = stored[place[inside]] == asked[inside]
    return found


def _rows_in(theirs: Vocabulary, ours: Vocabulary) -> np.ndarray:
    return np.arange(len(ours)) if theirs == ours else ours.find(theirs.ids).astype(np.int64)


def table_in_rows_of(users: Vocabulary, items: Vocabulary, ratings: Interactions) -> sparse.csr_array:
    """Return those ratings whose user and item stand in two vocabularies, in the rows of these."""
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


def _trained_on(seen: sparse.csr_array, table: sparse.csr_array) -> tuple[int, np.ndarray]:
    """Return how many ratings were seen, and how many users had each item."""
    if kernels := kernels_for(seen.nnz + table.nnz):
        return kernels.trained_on(seen, table)
    user_rows = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
    overlap = among(seen, user_rows, table.indices).sum()
    return int(overlap), counts_of(seen.indices, seen.shape[1])


def stored_where(table: sparse.csr_array, kept: np.ndarray, store: ArrayStore = MEMORY) -> sparse.csr_array:
    """Return a table of some of the stored values; ``kept`` is a mask over them."""
    return kept_where(table, None, None, kept, store)[0]
