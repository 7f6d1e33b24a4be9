"""Vectors rounded to a byte a number, and the search of one query through them; importing it brings numba."""

import numpy as np

from cofactor.kernels.compiling import readable
from cofactor.kernels.one_query import FULL, Coded, best_of_one

__all__ = ["Coded", "coded", "search_one"]

_WIDTH = 32  # numbers that one instruction reads
_ROWS_AT_ONCE = 2**16


def coded(vectors: np.ndarray) -> Coded:
    """Round vectors, those of largest norm first, equal norms by row."""
    count, columns = vectors.shape
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    order = np.argsort(-norms, kind="stable")
    codes = np.zeros((count, -(-columns // _WIDTH) * _WIDTH), np.int8)
    scales, lost = np.empty(count), np.empty(count)
    for first in range(0, count, _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        numbers = vectors[order[part]].astype(np.float64)
        scales[part] = np.abs(numbers).max(axis=1, initial=0) / 127
        shares = np.divide(numbers, scales[part, None], out=np.zeros_like(numbers), where=scales[part, None] > 0)
        whole = np.rint(shares)
        codes[part, :columns] = whole
        lost[part] = np.linalg.norm(numbers - scales[part, None] * whole, axis=1)
    return Coded(
        readable(vectors), readable(codes), readable(scales), readable(lost), readable(norms[order]), readable(order)
    )


def search_one(
    rows: Coded, query: np.ndarray, offset: float, n: int, closed: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the best rows of one query and their scores; None where only multiplication can tell.

    Parameters
    ----------
    rows : Coded
    query : numpy.ndarray of float32, shape (columns,)
    offset : float
        Added to every score.
    n : int
    closed : numpy.ndarray of bool, shape (rows,)
        Which rows are not to be listed.
    """
    items, scores = np.empty(n, np.int64), np.empty(n, np.float32)
    room, count = 4 * n + 192, FULL
    while count == FULL:
        count = best_of_one(query, offset, rows, closed.view(np.uint8), room, items, scores)
        room *= 16
    return None if count < 0 else (items[:count], scores[:count])
