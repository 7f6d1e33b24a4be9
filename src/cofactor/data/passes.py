"""Operations on tables part by part: one part if they are in memory, many if they are larger.

Every function gives bit-identical results for any number of parts.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy import sparse

from cofactor.data.array_store import MEMORY, ArrayStore, Disk
from cofactor.data.buckets import Transposing
from cofactor.errors import SettingError

__all__ = [
    "as_csr",
    "at_least",
    "counts_of",
    "entries_of",
    "has_zeros",
    "kept_where",
    "places_of",
    "row_runs",
    "rows_between",
    "scattered",
    "stored_where",
    "stores",
    "sums_of",
    "transposed",
    "valued",
]


_ROWS_AT_ONCE = 2**22
_COUNTED_AT_ONCE = 2**18


def counts_of(rows: np.ndarray, n: int) -> np.ndarray:
    """Count how often each of ``n`` row numbers occurs in a column: (n,), int64."""
    counts, step = np.zeros(n, np.int64), max(_COUNTED_AT_ONCE, n)
    for first in range(0, len(rows), step):  # bincount makes 64-bit integers of its input, and lets no thread in
        counts += np.bincount(rows[first : first + step], minlength=n)
    return counts


def has_zeros(values: np.ndarray) -> bool:
    """Return whether a value is 0, the common answer first: the least of many is found faster than a 0 among them."""
    return bool(len(values)) and not values.min() > 0 and not values.all()


def sums_of(rows: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Sum the values by row number: (n,), float64."""
    sums = np.zeros(n)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        sums += np.bincount(rows[part], weights=values[part], minlength=n)
    return sums


def places_of(mask: np.ndarray, store: ArrayStore) -> np.ndarray:
    """Return the positions where a mask is true: int64."""
    places, done = store.zeros(int(np.count_nonzero(mask)), np.int64), 0
    for part in store.parts(len(mask)):
        found = np.flatnonzero(mask[part])
        places[done : done + len(found)] = found + part.start
        done += len(found)
    return places


def at_least(values: np.ndarray, least: float, store: ArrayStore) -> np.ndarray:
    """Return which values are ``least`` or more, as a mask."""
    if not isinstance(least, int | float | np.number) or isinstance(least, bool) or np.isnan(float(least)):
        raise SettingError(f"at_least({least!r}): give a number, the least value to keep")
    mask: np.ndarray = store.zeros(len(values), bool)
    for part in store.parts(len(values)):
        mask[part] = values[part] >= least
    return mask


def row_runs(matrix: sparse.csr_array, store: ArrayStore) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield ranges of stored entries that hold whole rows, each with the row number of every entry."""
    lengths = np.diff(matrix.indptr)
    for part in store.row_parts(lengths):
        span = slice(int(matrix.indptr[part.start]), int(matrix.indptr[part.stop]))
        yield span, np.repeat(np.arange(part.start, part.stop), lengths[part])


def entries_of(matrix: sparse.csr_array, rows: np.ndarray, store: ArrayStore) -> np.ndarray:
    """Turn a mask over the rows of a matrix into a mask over its stored entries."""
    mask: np.ndarray = store.zeros(matrix.nnz, bool)
    for span, row_of in row_runs(matrix, store):
        mask[span] = rows[row_of]
    return mask


_BLANK = vars(sparse.csr_array((0, 0)))


def as_csr(values: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    """Assemble sorted and distinct entries; SciPy neither checks nor copies them.

    Its constructor copies what is a view of an array more than twice as large, as a part of a mapped file is, and takes
    longer than to fold a visitor in.
    """
    index = np.int32 if len(values) < 2**31 else np.int64
    matrix = object.__new__(sparse.csr_array)
    matrix.__dict__.update(_BLANK)
    matrix._shape = shape
    matrix.data, matrix.indices = values, indices.astype(index, copy=False)
    matrix.indptr = indptr.astype(index, copy=False)
    matrix.has_canonical_format = True
    return matrix


def rows_between(table: sparse.csr_array, first: int, last: int) -> sparse.csr_array:
    """Return the rows ``first`` to ``last`` of a table as a view of it."""
    if first == 0 and last == table.shape[0]:
        return table
    start, stop = table.indptr[first], table.indptr[last]
    arrays = table.data[start:stop], table.indices[start:stop], table.indptr[first : last + 1] - start
    return as_csr(*arrays, (last - first, table.shape[1]))


def stores(table: sparse.csr_array, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return for each pair of a row and a column whether a table stores it, whatever its value."""
    width = max(table.shape[1], 1)
    stored = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr)) * width + table.indices
    stored.sort(kind="stable")  # which costs next to nothing where they are in order
    asked = rows.astype(np.int64) * width + columns
    place = np.searchsorted(stored, asked)
    found = np.zeros(len(asked), dtype=bool)
    inside = place < len(stored)
    found[inside] = stored[place[inside]] == asked[inside]
    return found


def stored_where(table: sparse.csr_array, kept: np.ndarray, store: ArrayStore = MEMORY) -> sparse.csr_array:
    """Return a table of some of the stored values; ``kept`` is a mask over them."""
    return kept_where(table, None, None, kept, store)[0]


def valued(matrix: sparse.csr_array, change: Callable[[np.ndarray], np.ndarray], store: ArrayStore) -> sparse.csr_array:
    """Apply a function to every stored value; the result is float32."""
    values = store.zeros(matrix.nnz, np.float32)
    for part in store.parts(matrix.nnz):
        values[part] = change(matrix.data[part])
    return as_csr(values, matrix.indices, matrix.indptr, matrix.shape)


def scattered(mask: np.ndarray, order: np.ndarray | None, store: ArrayStore) -> np.ndarray:
    """Turn a mask in reading order into one in stored order."""
    if order is None:
        return mask
    stored: np.ndarray = store.zeros(len(mask), bool)
    for part in store.parts(len(mask)):
        stored[order[part]] = mask[part]
    return stored


def kept_where(
    matrix: sparse.csr_array,
    timestamps: np.ndarray | None,
    order: np.ndarray | None,
    kept: np.ndarray,
    store: ArrayStore,
) -> tuple[sparse.csr_array, np.ndarray | None, np.ndarray | None]:
    """Keep some of the stored entries; ``kept`` is a mask over them.

    Returns
    -------
    the matrix, the timestamps, and the reading order of what is kept
    """
    n = int(np.count_nonzero(kept))
    values, indices = store.zeros(n, np.float32), store.zeros(n, matrix.indices.dtype)
    times = None if timestamps is None else store.zeros(n, timestamps.dtype)
    indptr = np.zeros(len(matrix.indptr), np.int64)
    done = 0
    for part in store.parts(len(kept)):
        chosen = kept[part]
        rows = slice(*np.searchsorted(matrix.indptr, (part.start, part.stop), side="left"))
        before = np.concatenate([[0], np.cumsum(chosen)])
        indptr[rows] = done + before[matrix.indptr[rows] - part.start]  # the rows that begin in this part
        target = slice(done, done + int(before[-1]))
        values[target], indices[target] = matrix.data[part][chosen], matrix.indices[part][chosen]
        if times is not None and timestamps is not None:
            times[target] = timestamps[part][chosen]
        done = target.stop
    indptr[matrix.indptr == len(kept)] = done
    new = as_csr(values, indices, indptr, matrix.shape)
    return new, times, None if order is None else _order_of_kept(order, kept, n, store)


def _order_of_kept(order: np.ndarray, kept: np.ndarray, n: int, store: ArrayStore) -> np.ndarray:
    """Return where what is kept is stored now, in reading order."""
    index = np.int32 if len(kept) < 2**31 else np.int64
    place, done = store.zeros(len(kept), index), 0
    for part in store.parts(len(kept)):
        place[part] = done + np.cumsum(kept[part]) - 1
        done += int(np.count_nonzero(kept[part]))
    new, done = store.zeros(n, np.int32 if n < 2**31 else np.int64), 0
    for part in store.parts(len(order)):
        chosen = order[part][kept[order[part]]]
        new[done : done + len(chosen)] = place[chosen]
        done += len(chosen)
    return new


def transposed(matrix: sparse.csr_array, store: ArrayStore) -> sparse.csr_array:
    """Return the transpose in row order."""
    if not isinstance(store, Disk):
        return matrix.T.tocsr()
    with store.writing():
        return _sorted_by_item(matrix, store)


def _sorted_by_item(matrix: sparse.csr_array, store: Disk) -> sparse.csr_array:
    n_users, n_items = matrix.shape
    counts = counts_of(matrix.indices, n_items)
    sorting = Transposing(store.folder, counts, store.entries_at_once)
    for part in store.parts(matrix.nnz):
        users = np.searchsorted(matrix.indptr, np.arange(part.start, part.stop), side="right") - 1
        sorting.add(users, matrix.indices[part], matrix.data[part])
    values, indices = store.zeros(matrix.nnz, np.float32), store.zeros(matrix.nnz, matrix.indices.dtype)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    done = 0
    for user_rows, of_them in sorting.parts():
        target = slice(done, done + len(user_rows))
        indices[target], values[target] = user_rows, of_them
        done = target.stop
    return as_csr(values, indices, indptr, (n_items, n_users))
