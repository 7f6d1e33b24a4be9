"""A model's lists and scores, measured against what was held out, a block of users at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from cofactor.data.passes import as_csr, rows_between
from cofactor.errors import SettingError
from cofactor.evaluation import metrics
from cofactor.evaluation.beyond import BeyondHits
from cofactor.evaluation.held_out import chosen_rows, kernels_for
from cofactor.lists.exact import SCORES_AT_ONCE
from cofactor.lists.rerank import Ranked
from cofactor.model.factors import (
    Factors,
    exact_of,
    needs_every_draw,
    ranked_rows,
    retriever_of,
    score_rows,
    scoring_of,
    users_of,
)

__all__ = [
    "MeasuredLists",
    "areas_under",
    "cut_offs_of",
    "lengths_for_pictures",
    "measured_given",
    "measured_lists",
    "scores_of",
]

NUMBERS_AT_ONCE = 8_000_000
"""The most positions of lists, or numbers in the vectors of their users, in a block."""

LENGTHS = (1, 5, 10, 20, 50, 100)
"""Lengths of lists that a curve shows."""


@dataclass(frozen=True, eq=False)
class MeasuredLists:
    """What was measured of some users' lists.

    Parameters
    ----------
    values : numpy.ndarray of float64, shape (cut-offs, metrics, users)
        In the order of `cofactor.evaluation.metrics.LIST_METRICS`; NaN for users without a relevant item.
    counts : numpy.ndarray of int64, shape (cut-offs, items)
        How often each item is listed.
    beyond : dict of str to numpy.ndarray, shape (users,)
        What was asked for beyond the hits, by name with the length.
    """

    values: np.ndarray
    counts: np.ndarray
    beyond: dict[str, np.ndarray] = field(default_factory=dict)


def cut_offs_of(k: int | Sequence[int]) -> np.ndarray:
    """Return the lengths of lists that were asked for, sorted, without repetition.

    Raises
    ------
    SettingError
        If one is below 1, or there is none.
    """
    asked = list(k) if isinstance(k, Iterable) else [k]
    for length in asked:
        if isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 1:
            raise SettingError(f"k is {length!r}: the length of a list is a whole number of 1 or more")
    if not asked:
        raise SettingError("k is empty: give the lengths of lists to measure, such as 10")
    return np.unique(np.asarray(asked, dtype=np.int64))


def lengths_for_pictures(k: Sequence[int] | None, n_items: int) -> list[int]:
    """Return the lengths of lists to measure if a curve over them is drawn: those asked for, and some more."""
    return sorted({*(k or ()), *(length for length in LENGTHS if length < n_items)})


def measured_lists(
    model: Factors,
    users: np.ndarray,
    relevant: sparse.csr_array,
    cut_offs: np.ndarray,
    popularity: metrics.ItemPopularity,
    candidates: np.ndarray | None = None,
    beyond: BeyondHits | None = None,
) -> MeasuredLists:
    """Rank everything that was not seen for every user with a relevant item, and measure the lists.

    Parameters
    ----------
    model : Factors
    users : numpy.ndarray of int, shape (users,)
        Rows of the model.
    relevant : scipy.sparse.csr_array, shape (users, items)
        A row for each of ``users``.
    cut_offs : numpy.ndarray of int, rising
    popularity : ItemPopularity
    candidates : numpy.ndarray of int, optional
        Sorted item rows; only these are ranked.
    beyond : BeyondHits, optional
        What else to measure.
    """
    asked = np.flatnonzero(np.diff(relevant.indptr))
    wanted, rows, n = chosen_rows(relevant, asked), users[asked], int(cut_offs[-1])
    retriever_of(model).prepare(len(rows))  # for all blocks; one alone might be too small for it
    blocks: list[MeasuredLists] = []
    block = max(1, NUMBERS_AT_ONCE // max(n, model.item_vectors.shape[1]))
    for first, last in _blocks(len(rows), block):
        ranked = ranked_rows(model, rows[first:last], n, candidates=candidates)
        part = rows_between(wanted, first, last)
        history = model.seen[rows[first:last]] if beyond is not None else None
        blocks.append(_measured(ranked, part, cut_offs, popularity, beyond, history))
    return _of_all_users(blocks, asked, len(users), cut_offs, model.n_items)


def measured_given(
    ranked: Ranked,
    relevant: sparse.csr_array,
    cut_offs: np.ndarray,
    popularity: metrics.ItemPopularity,
    beyond: BeyondHits | None,
    history: sparse.csr_array,
) -> MeasuredLists:
    """Measure lists that are there already, as long as the largest cut-off or shorter.

    Parameters
    ----------
    ranked : Ranked
        Users as rows of ``relevant``. Items that it has no column for are misses.
    relevant : scipy.sparse.csr_array, shape (users, items)
    cut_offs : numpy.ndarray of int, rising
    popularity : ItemPopularity
        Of as many items as are listed, which may be more than there are columns.
    beyond : BeyondHits, optional
    history : scipy.sparse.csr_array, shape (users, items)
    """
    asked = np.flatnonzero(np.diff(relevant.indptr))
    place = np.full(relevant.shape[0], -1)
    place[asked] = np.arange(len(asked))
    kept = place[ranked.users] >= 0
    theirs = Ranked(place[ranked.users[kept]], ranked.items[kept], ranked.scores[kept])
    wanted = chosen_rows(relevant, asked)
    wider = as_csr(wanted.data, wanted.indices, wanted.indptr, (len(asked), len(popularity.surprise)))
    measured = _measured(theirs, wider, cut_offs, popularity, None, None)
    if beyond is not None:
        measured.beyond.update(beyond.measure(theirs, wanted, history[asked], cut_offs))
    return _of_all_users([measured], asked, relevant.shape[0], cut_offs, relevant.shape[1])


def _measured(
    ranked: Ranked,
    relevant: sparse.csr_array,
    cut_offs: np.ndarray,
    popularity: metrics.ItemPopularity,
    beyond: BeyondHits | None,
    history: sparse.csr_array | None,
) -> MeasuredLists:
    """Measure the lists of users who all have something relevant."""
    n_users, n_items = relevant.shape
    compiled = kernels_for(len(ranked.items) + relevant.nnz) or metrics
    sums = compiled.list_sums(ranked, relevant, cut_offs, popularity)
    values = metrics.list_metrics(sums, np.diff(relevant.indptr), cut_offs)
    counts = compiled.listed_counts(ranked, n_users, n_items, cut_offs)
    more = {} if beyond is None or history is None else beyond.measure(ranked, relevant, history, cut_offs)
    return MeasuredLists(values, counts, more)


def _of_all_users(
    blocks: list[MeasuredLists], asked: np.ndarray, n_users: int, cut_offs: np.ndarray, n_items: int
) -> MeasuredLists:
    """Join what was measured of the asked users and leave NaN for the others."""
    counts = np.zeros((len(cut_offs), n_items), np.int64)
    for block in blocks:
        counts += block.counts[:, :n_items]
    if len(blocks) == 1 and len(asked) == n_users:
        return MeasuredLists(blocks[0].values, counts, blocks[0].beyond)
    values = np.full((len(cut_offs), len(metrics.LIST_METRICS), n_users), np.nan)
    more = {name: np.full(n_users, np.nan) for name in (blocks[0].beyond if blocks else ())}
    if blocks:
        values[:, :, asked] = np.concatenate([block.values for block in blocks], axis=-1)
    for name, column in more.items():
        column[asked] = np.concatenate([block.beyond[name] for block in blocks])
    return MeasuredLists(values, counts, more)


def scores_of(model: Factors, users: np.ndarray, table: sparse.csr_array) -> np.ndarray:
    """Score the pairs that a table stores, its rows being some users of a model: shape (pairs,), float32."""
    columns = model.item_vectors.shape[1] + 1
    compiled = None if needs_every_draw(model) else kernels_for(table.nnz * columns // 8)
    scores = np.empty(table.nnz, np.float32)
    for first, last in _blocks(len(users), max(1, NUMBERS_AT_ONCE // columns)):
        part, rows = rows_between(table, first, last), users[first:last]
        inside = slice(table.indptr[first], table.indptr[last])
        if compiled is None:
            scores[inside] = score_rows(model, np.repeat(rows, np.diff(part.indptr)), part.indices)
        else:
            scores[inside] = compiled.score_table(*_arrays(model, rows), part)
    return scores


def areas_under(model: Factors, users: np.ndarray, relevant: sparse.csr_array) -> np.ndarray:
    """Return each user's area under the ROC curve, from the scores of all items: shape (users,); NaN if there is none.

    It takes the time of all products of users and items, and the memory of one block of them.
    """
    measured, seen = np.full(len(users), np.nan), model.seen
    numbers = len(users) * model.n_items * (model.item_vectors.shape[1] + 1)
    compiled = None if needs_every_draw(model) else kernels_for(numbers // 8)
    block = SCORES_AT_ONCE // max(model.n_items, 1) if compiled is None else NUMBERS_AT_ONCE // model.n_items
    score: Callable[[np.ndarray], np.ndarray] = scoring_of(model)
    for first, last in _blocks(len(users), max(1, block)):
        part, rows = rows_between(relevant, first, last), users[first:last]
        if compiled is None:
            measured[first:last] = metrics.areas(score(rows), seen[rows], part)
        else:
            measured[first:last] = compiled.areas(*_arrays(model, rows), seen, rows, part)
    return measured


def _arrays(model: Factors, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return both sides of the product for some users, and what is added to their scores."""
    exact, users = exact_of(model), users_of(model)
    return exact.queries(users.vectors[rows]), exact.items, users.offsets(rows)


def _blocks(count: int, size: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + size, count)) for first in range(0, count, size))
