"""Item vectors laid out for a scan by falling norm, and the search through them.

An index is made once for a model and takes as much memory as the item vectors once more. Importing this module brings
numba, so those who can do without wait to import it until they cannot.
"""

import numpy as np
from scipy import sparse

from cofactor.kernels.compiling import readable
from cofactor.kernels.rounding import rounding_reach
from cofactor.kernels.scan import Asked, Found, Index, scan_users
from cofactor.kernels.scores import CHUNK
from cofactor.kernels.threads import share_out

__all__ = ["Index", "build", "search"]

LINE = 64  # bytes in a line of the cache; registers that straddle two lines take longer to load


def build(vectors: np.ndarray) -> Index:
    """Sort item vectors by norm, equal norms by row, and lay them out."""
    count, columns = vectors.shape
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    order = np.argsort(-norms, kind="stable")
    chunks = -(-count // CHUNK)
    rows = np.full(chunks * CHUNK, -1)
    rows[:count] = order
    places = np.empty(count, np.int32)
    places[order] = np.arange(count)
    tiles = _aligned(chunks * columns * CHUNK)
    columns_of = tiles.reshape(chunks, columns, CHUNK)
    for chunk in range(chunks):
        inside = order[chunk * CHUNK : (chunk + 1) * CHUNK]
        columns_of[chunk, :, : len(inside)] = vectors[inside].T
    longest = np.nextafter(norms[order][::CHUNK].astype(np.float32), np.float32(np.inf))
    reach = rounding_reach(vectors) if count else 0.0
    return Index(
        vectors=readable(vectors),
        tiles=readable(tiles),
        longest=readable(longest),
        rows=readable(rows),
        places=readable(places),
        closed=readable(_bits(rows < 0)),
        reach=reach,
    )


def search(
    index: Index,
    users: np.ndarray,
    n: int,
    offsets: np.ndarray,
    excluded: sparse.csr_array | None,
    excluded_rows: np.ndarray | None,
    candidates: np.ndarray | None,
) -> Found:
    """Find each user's best ``n`` items; the parameters are those of `cofactor.lists.exact.top_n`.

    Users whom the scan gives up have a count below zero.
    """
    if candidates is not None:
        closed = np.ones(len(index.rows), bool)
        closed[index.places[candidates]] = False
        index = index._replace(closed=readable(_bits(closed)))
    count = len(users)
    starts, stops, indices = _ranges(excluded, excluded_rows, count)
    asked = Asked(
        readable(users),
        readable(offsets, np.float64),
        starts,
        stops,
        indices,
    )
    found = Found(np.empty((count, n), np.int64), np.empty((count, n), np.float32), np.empty(count, np.int64))
    step = min(max(count // 64, 64), 1024)
    if count <= step:
        scan_users(0, count, asked, index, found)
    else:
        share_out(scan_users, np.append(np.arange(0, count, step), count), asked, index, found)
    return found


def _ranges(excluded: sparse.csr_array | None, rows: np.ndarray | None, count: int) -> tuple[np.ndarray, ...]:
    """Return where each user's exclusions start and stop, and the excluded item rows."""
    if excluded is None:
        nowhere = np.zeros(count, np.int64)
        return readable(nowhere), readable(nowhere), readable(np.empty(0, np.int32))
    rows = np.arange(count) if rows is None else rows
    edges, indices = excluded.indptr, excluded.indices
    if indices.dtype != np.int32:
        indices = indices.astype(np.int32)
    return readable(edges[rows].astype(np.int64)), readable(edges[rows + 1].astype(np.int64)), readable(indices)


def _aligned(size: int) -> np.ndarray:
    """Return float32 zeros that begin where a line of the cache does."""
    spare = np.zeros(size + LINE // 4, np.float32)
    first = -spare.ctypes.data % LINE // 4
    return spare[first : first + size]


def _bits(closed: np.ndarray) -> np.ndarray:
    """Pack one boolean for each place into one number for each chunk."""
    packed = np.zeros((len(closed) // CHUNK, 8), np.uint8)
    packed[:, : CHUNK // 8] = np.packbits(closed, bitorder="little").reshape(-1, CHUNK // 8)
    return packed.view(np.int64).ravel()
