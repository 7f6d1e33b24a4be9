"""What is done to tables part by part: in one part where they are in memory, in many where they are larger.

Every function gives the same bits however many parts there are.
"""

from collections.abc import Callable, Iterator

import numpy as np
from scipy import sparse

from cofactor.data.buckets import Transposing
from cofactor.data.rooms import Disk, Room
from cofactor.errors import SettingError

__all__ = [
    "as_csr",
    "at_least",
    "counts_of",
    "entries_of",
    "kept_where",
    "places_of",
    "row_runs",
    "scattered",
    "sums_of",
    "transposed",
    "valued",
]


_ROWS_AT_ONCE = 2**22


def counts_of(rows: np.ndarray, n: int) -> np.ndarray:
    """Count how often each of ``n`` rows stands in a column: (n,), int64."""
    counts = np.zeros(n, np.int64)
    for first in range(0, len(rows), _ROWS_AT_ONCE):  # bincount makes 64-bit integers of its input
        counts += np.bincount(rows[first : first + _ROWS_AT_ONCE], minlength=n)
    return counts


def sums_of(rows: np.ndarray, values: np.ndarray, n: int) -> np.ndarray:
    """Add up the values that stand beside each of ``n`` rows of a column: (n,), float64."""
    sums = np.zeros(n)
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        sums += np.bincount(rows[part], weights=values[part], minlength=n)
    return sums


def places_of(mask: np.ndarray, room: Room) -> np.ndarray:
    """Return where a mask is true: int64."""
    places, done = room.zeros(int(np.count_nonzero(mask)), np.int64), 0
    for part in room.parts(len(mask)):
        found = np.flatnonzero(mask[part])
        places[done : done + len(found)] = found + part.start
        done += len(found)
    return places


def at_least(values: np.ndarray, least: float, room: Room) -> np.ndarray:
    """Return which values are ``least`` or more, as a mask."""
    if not isinstance(least, int | float | np.number) or np.isnan(least):
        raise SettingError(f"at_least({least!r}): give a number, the least value to keep")
    mask: np.ndarray = room.zeros(len(values), bool)
    for part in room.parts(len(values)):
        mask[part] = values[part] >= least
    return mask


def row_runs(matrix: sparse.csr_array, room: Room) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield runs of stored entries, none of which cuts a row, each with the rows of its entries."""
    lengths = np.diff(matrix.indptr)
    for part in room.row_parts(lengths):
        span = slice(int(matrix.indptr[part.start]), int(matrix.indptr[part.stop]))
        yield span, np.repeat(np.arange(part.start, part.stop), lengths[part])


def entries_of(matrix: sparse.csr_array, rows: np.ndarray, room: Room) -> np.ndarray:
    """Bring a mask over the rows of a matrix to the entries that it stores."""
    mask: np.ndarray = room.zeros(matrix.nnz, bool)
    for span, row_of in row_runs(matrix, room):
        mask[span] = rows[row_of]
    return mask


def as_csr(values: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    """Assemble sorted and distinct entries; scipy neither checks them nor copies them.

    Its constructor copies what is a view of an array more than twice as large, as a part of a mapped file is.
    """
    index = np.int32 if len(values) < 2**31 else np.int64
    matrix = sparse.csr_array(shape, dtype=values.dtype)
    matrix.data, matrix.indices = values, indices.astype(index, copy=False)
    matrix.indptr = indptr.astype(index, copy=False)
    matrix.has_canonical_format = True
    return matrix


def valued(matrix: sparse.csr_array, change: Callable[[np.ndarray], np.ndarray], room: Room) -> sparse.csr_array:
    """Return a matrix with a function of each value in its place, as float32."""
    values = room.zeros(matrix.nnz, np.float32)
    for part in room.parts(matrix.nnz):
        values[part] = change(matrix.data[part])
    return as_csr(values, matrix.indices, matrix.indptr, matrix.shape)


def scattered(mask: np.ndarray, order: np.ndarray | None, room: Room) -> np.ndarray:
    """Bring a mask over the rows as they were read into the order in which they are stored."""
    if order is None:
        return mask
    stored: np.ndarray = room.zeros(len(mask), bool)
    for part in room.parts(len(mask)):
        stored[order[part]] = mask[part]
    return stored


def kept_where(
    matrix: sparse.csr_array, timestamps: np.ndarray | None, order: np.ndarray | None, kept: np.ndarray, room: Room
) -> tuple[sparse.csr_array, np.ndarray | None, np.ndarray | None]:
    """Keep some of the stored entries; ``kept`` is a mask over them.

    Returns
    -------
    the matrix, the timestamps, and the reading order of what is kept
    """
    n = int(np.count_nonzero(kept))
    values, indices = room.zeros(n, np.float32), room.zeros(n, matrix.indices.dtype)
    times = None if timestamps is None else room.zeros(n, timestamps.dtype)
    indptr = np.zeros(len(matrix.indptr), np.int64)
    done = 0
    for part in room.parts(len(kept)):
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
    return new, times, None if order is None else _order_of_kept(order, kept, n, room)


def _order_of_kept(order: np.ndarray, kept: np.ndarray, n: int, room: Room) -> np.ndarray:
    """Return where what is kept is stored now, in reading order."""
    index = np.int32 if len(kept) < 2**31 else np.int64
    place, done = room.zeros(len(kept), index), 0
    for part in room.parts(len(kept)):
        place[part] = done + np.cumsum(kept[part]) - 1
        done += int(np.count_nonzero(kept[part]))
    new, done = room.zeros(n, np.int32 if n < 2**31 else np.int64), 0
    for part in room.parts(len(order)):
        chosen = order[part][kept[order[part]]]
        new[done : done + len(chosen)] = place[chosen]
        done += len(chosen)
    return new


def transposed(matrix: sparse.csr_array, room: Room) -> sparse.csr_array:
    """Return the transpose in row order."""
    if not isinstance(room, Disk):
        return matrix.T.tocsr()
    with room.writing():
        return _sorted_by_item(matrix, room)


def _sorted_by_item(matrix: sparse.csr_array, room: Disk) -> sparse.csr_array:
    n_users, n_items = matrix.shape
    counts = counts_of(matrix.indices, n_items)
    sorting = Transposing(room.folder, counts, room.entries_at_once)
    for part in room.parts(matrix.nnz):
        users = np.searchsorted(matrix.indptr, np.arange(part.start, part.stop), side="right") - 1
        sorting.add(users, matrix.indices[part], matrix.data[part])
    values, indices = room.zeros(matrix.nnz, np.float32), room.zeros(matrix.nnz, matrix.indices.dtype)
    indptr = np.concatenate([[0], np.cumsum(counts)])
    for items, _, user_rows, of_them in sorting.parts():
        target = slice(indptr[items.start], indptr[items.stop])
        indices[target], values[target] = user_rows, of_them
    return as_csr(values, indices, indptr, (n_items, n_users))
