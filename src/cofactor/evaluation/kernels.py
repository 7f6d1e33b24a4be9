"""Compiled twins of what is slow in NumPy for millions of ratings: the same figures, a few users to a thread.

Each works on rows ``first`` to ``last`` of compressed rows, in a fixed order, and writes to entries that no other
thread writes to. The functions that NumPy code calls are at the end. Symbols: ``indptr`` and ``indices`` are those of a
table of users × items with sorted rows.

Relies on compressed rows that are sound (`cofactor.data.sound_rows`), and on lists of item rows that are there.
"""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy import sparse

from cofactor.evaluation.metrics import SUMS, ItemPopularity, position_discounts
from cofactor.kernels.compiling import kernel, readable
from cofactor.kernels.threads import share_out, task_bounds
from cofactor.lists.rerank import Ranked

__all__ = ["areas", "list_sums", "listed_counts", "score_table", "trained_on"]

Array = npt.NDArray[Any]

TOGETHER = 4
"""Scores summed side by side: an addition to one sum must wait for the one before."""

ITEMS_AT_ONCE = 512
"""How many sums fit into the first cache while every column is added to them."""

FOUND, GAINED, PRECISIONS, RECIPROCAL = (SUMS.index(name) for name in ("found", "gained", "precisions", "reciprocal"))
SURPRISE, POPULAR, LISTED = (SUMS.index(name) for name in ("surprise", "popular", "listed"))


@kernel
def count_trained(
    first: int,
    last: int,
    edges: Array,  # (parts + 1,), the user rows of each part
    seen_indptr: Array,
    seen_indices: Array,
    indptr: Array,
    indices: Array,
    overlaps: Array,  # (parts,)
    counts: Array,  # (parts, items), int32
    tested: Array,  # (parts, items), uint8
) -> None:
    """Count how many users of some parts have seen each item and how many ratings are among the seen ones."""
    for part in range(first, last):
        held_out = np.zeros(counts.shape[1], np.uint8)
        had = counts[part]
        overlap = 0
        for user in range(edges[part], edges[part + 1]):
            set_marks(held_out, indices, indptr[user], indptr[user + 1], 1)
            set_marks(tested[part], indices, indptr[user], indptr[user + 1], 1)
            for k in range(seen_indptr[user], seen_indptr[user + 1]):
                item = np.uint32(seen_indices[k])  # unsigned: no check for negative indices
                had[item] += 1
                overlap += held_out[item]
            set_marks(held_out, indices, indptr[user], indptr[user + 1], 0)
        overlaps[part] = overlap


@kernel
def set_marks(marks: Array, indices: Array, start: int, stop: int, mark: int) -> None:
    """Mark some of the items."""
    for k in range(start, stop):
        marks[np.uint32(indices[k])] = mark


@kernel
def sum_lists(
    first: int,
    last: int,
    starts: Array,  # (users + 1,), of the lists
    items: Array,
    indptr: Array,
    indices: Array,
    cut_offs: Array,  # rising
    discounts: Array,
    surprise: Array,
    popular: Array,
    sums: Array,  # (cut-offs, sums, users)
) -> None:
    """Sum what the metrics need over the first positions of each user's list, at every cut-off in one walk along it."""
    relevant = np.zeros(len(surprise), np.uint8)
    for user in range(first, last):
        set_marks(relevant, indices, indptr[user], indptr[user + 1], 1)
        found, gained, precisions, reciprocal, bits, known = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        listed = starts[user + 1] - starts[user]
        position = 0
        for column in range(len(cut_offs)):
            length = min(cut_offs[column], listed)
            while position < length:
                item = np.uint32(items[starts[user] + position])
                if relevant[item]:
                    found += 1.0
                    gained += discounts[position]
                    precisions += found / (position + 1)
                    if found == 1.0:
                        reciprocal = 1.0 / (position + 1)
                bits += surprise[item]
                known += popular[item]
                position += 1
            sums[column, FOUND, user] = found
            sums[column, GAINED, user] = gained
            sums[column, PRECISIONS, user] = precisions
            sums[column, RECIPROCAL, user] = reciprocal
            sums[column, SURPRISE, user] = bits
            sums[column, POPULAR, user] = known
            sums[column, LISTED, user] = length
        set_marks(relevant, indices, indptr[user], indptr[user + 1], 0)


@kernel
def count_listed(starts: Array, items: Array, cut_offs: Array, counts: Array) -> None:
    """Count how often each item is among the first places of a list; ``counts`` is (cut-offs, items)."""
    for user in range(len(starts) - 1):
        for column in range(len(cut_offs)):
            for k in range(starts[user], min(starts[user + 1], starts[user] + cut_offs[column])):
                counts[column, items[k]] += 1


@kernel
def score_rows(
    first: int,
    last: int,
    users: Array,  # (users, columns)
    items: Array,  # (items, columns)
    offsets: Array,
    indptr: Array,
    indices: Array,
    scores: Array,  # (ratings,)
) -> None:
    """Score stored pairs by the definition of `cofactor.lists.exact`."""
    for user in range(first, last):
        stop = indptr[user + 1]
        for k in range(indptr[user], stop, TOGETHER):
            a, b, c, d = k, min(k + 1, stop - 1), min(k + 2, stop - 1), min(k + 3, stop - 1)
            item_a, item_b, item_c, item_d = indices[a], indices[b], indices[c], indices[d]
            sum_a, sum_b, sum_c, sum_d = 0.0, 0.0, 0.0, 0.0
            for column in range(users.shape[1]):
                number = np.float64(users[user, column])
                sum_a += number * np.float64(items[item_a, column])
                sum_b += number * np.float64(items[item_b, column])
                sum_c += number * np.float64(items[item_c, column])
                sum_d += number * np.float64(items[item_d, column])
            scores[a], scores[b] = np.float32(sum_a + offsets[user]), np.float32(sum_b + offsets[user])
            scores[c], scores[d] = np.float32(sum_c + offsets[user]), np.float32(sum_d + offsets[user])


@kernel
def score_all(query: Array, offset: float, columns: Array, sums: Array, scores: Array) -> None:
    """Score every item for one user by the definition; ``columns`` is (columns, items)."""
    for start in range(0, len(scores), len(sums)):
        width = min(len(sums), len(scores) - start)
        sums[:] = 0.0
        for column in range(len(query)):
            number = np.float64(query[column])
            for k in range(width):
                sums[k] += number * np.float64(columns[column, start + k])
        for k in range(width):
            scores[start + k] = np.float32(sums[k] + offset)


@kernel
def not_above(good: Array, score: float) -> int:
    """Count twice those of the sorted good scores that are below a score, and once those that equal it."""
    low, high = 0, len(good)
    while low < high:
        middle = (low + high) // 2
        if good[middle] < score:
            low = middle + 1
        else:
            high = middle
    below = low
    while low < len(good) and good[low] == score:
        low += 1
    return below + low


@kernel
def measure_areas(
    first: int,
    last: int,
    users: Array,
    columns: Array,
    offsets: Array,
    seen_starts: Array,  # (users,)
    seen_stops: Array,
    seen_indices: Array,
    indptr: Array,
    indices: Array,
    measured: Array,  # (users,)
) -> None:
    """Score all items of each user and return how often a relevant one is above one that is not."""
    count = columns.shape[1]
    scores, sums = np.empty(count, np.float32), np.empty(ITEMS_AT_ONCE)
    other = np.ones(count, np.bool_)
    for user in range(first, last):
        wanted, seen = indices[indptr[user] : indptr[user + 1]], seen_indices[seen_starts[user] : seen_stops[user]]
        rest = count - len(wanted) - len(seen)
        measured[user] = np.nan
        if len(wanted) == 0 or rest == 0:
            continue
        score_all(users[user], offsets[user], columns, sums, scores)
        good = np.sort(scores[wanted])
        other[wanted] = False
        other[seen] = False
        total = 0
        for item in range(count):
            if other[item]:
                total += not_above(good, scores[item])
        other[wanted] = True
        other[seen] = True
        measured[user] = 1 - total / (2 * rest * len(good))


def trained_on(seen: sparse.csr_array, table: sparse.csr_array) -> tuple[int, Array, Array]:
    """Return how many ratings of a table were seen, how many users had each item, and whether the table has it."""
    parts = 4 * numba.get_num_threads()
    work = seen.indptr + table.indptr + np.arange(len(seen.indptr))
    edges = np.searchsorted(work, np.arange(parts + 1) * (work[-1] / parts))
    edges[-1] = seen.shape[0]
    overlaps, counts = np.empty(parts, np.int64), np.zeros((parts, seen.shape[1]), np.int32)
    tested = np.zeros(counts.shape, np.uint8)
    share_out(count_trained, np.arange(parts + 1), edges, *_rows(seen), *_rows(table), overlaps, counts, tested)
    return int(overlaps.sum()), counts.sum(axis=0, dtype=np.int64), np.asarray(tested.any(axis=0))


def list_sums(ranked: Ranked, relevant: sparse.csr_array, cut_offs: Array, popularity: ItemPopularity) -> Array:
    """Sum what the metrics of lists are computed from; see `cofactor.evaluation.metrics.list_sums`."""
    k = int(cut_offs[-1])
    sums = np.empty((len(cut_offs), len(SUMS), relevant.shape[0]))
    lists = _starts(ranked, relevant.shape[0], k), readable(ranked.items), *_rows(relevant)
    tables = (position_discounts(k), popularity.surprise, popularity.popular)
    share_out(
        sum_lists, task_bounds(relevant.indptr), *lists, readable(cut_offs), *(readable(table) for table in tables),
        sums,
    )  # fmt: skip
    return sums


def listed_counts(ranked: Ranked, n_users: int, n_items: int, cut_offs: Array) -> Array:
    """Count how often each item is listed; see `cofactor.evaluation.metrics.listed_counts`."""
    counts = np.zeros((len(cut_offs), n_items), np.int64)
    count_listed(_starts(ranked, n_users, int(cut_offs[-1])), readable(ranked.items), readable(cut_offs), counts)
    return counts


def score_table(users: Array, items: Array, offsets: Array, table: sparse.csr_array) -> Array:
    """Score the pairs that a table stores, its rows being those of ``users``: shape (pairs,), float32."""
    scores = np.empty(table.nnz, np.float32)
    share_out(
        score_rows, task_bounds(table.indptr), readable(users), readable(items), readable(offsets), *_rows(table),
        scores,
    )  # fmt: skip
    return scores


def areas(
    users: Array, items: Array, offsets: Array, seen: sparse.csr_array, user_rows: Array, relevant: sparse.csr_array
) -> Array:
    """Return the area under each user's ROC curve; ``user_rows`` are their rows in ``seen``."""
    measured = np.empty(len(users))
    indptr, indices = _rows(seen)
    bounds = np.linspace(0, len(users), min(len(users), 256) + 1).astype(np.int64)
    share_out(
        measure_areas, bounds, readable(users), readable(items.T), readable(offsets), readable(indptr[user_rows]),
        readable(indptr[user_rows + 1]), indices, *_rows(relevant), measured,
    )  # fmt: skip
    return measured


def _starts(ranked: Ranked, n_users: int, longest: int) -> Array:
    """Return where each user's list starts."""
    if len(ranked.users) == n_users * longest:  # no list is shorter
        return np.arange(n_users + 1) * longest
    return np.concatenate([[0], np.cumsum(np.bincount(ranked.users, minlength=n_users))])


def _rows(table: sparse.csr_array) -> tuple[Array, Array]:
    return readable(table.indptr.astype(np.int64, copy=False)), readable(table.indices.astype(np.int32, copy=False))
