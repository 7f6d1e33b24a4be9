"""Top n of one query by vectors of one byte a number: a quarter of what is read otherwise, and no other answer.

Model: the score of a row is its product with the query. Each row is kept as whole numbers from -127 to 127 times a
scale of its own, so the product of these is off by at most the norm of the query times the norm of what the rounding
lost; likewise for the query, whose numbers have 16 bits.

Algorithm: rows are read by falling norm. Of each, the bounds that its score lies between are found; those whose upper
bound reaches the n-th best lower bound are kept, and scored at the end by the definition of `cofactor.lists.exact`.
Once the norms that follow cannot reach that bound, no row that is left matters. Bounds decide only what is scored, so
the lists are those of the scan and of multiplication.

Relies on codes, scales and norms of as many rows, in the order that `cofactor.lists.coded` makes of finite vectors,
and on a mask of closed rows of that length.
"""

from typing import NamedTuple

import numpy as np

from cofactor.kernels.compiling import Array, kernel
from cofactor.kernels.rounding import LOST_BELOW
from cofactor.kernels.scan import put_in_order, raise_best, rescore

AT_ONCE = 64
"""Rows between two looks at whether any that follows can matter."""

GIVEN_UP, FULL = -1, -2
"""No counts: the query has no direction or scores are too large for single precision; or there is too little room."""

LARGEST = 1e37


class Coded(NamedTuple):
    """Rows by falling norm.

    Parameters
    ----------
    vectors : numpy.ndarray of float32, shape (rows, columns)
        As they are, in their own order, for the final scores.
    codes : numpy.ndarray of int8, shape (rows, at least columns)
        Whole numbers in place of the numbers, and zeros behind them.
    scales : numpy.ndarray of float64, shape (rows,)
        What one of them is worth.
    lost : numpy.ndarray of float64, shape (rows,)
        The norm of what the rounding lost.
    lengths : numpy.ndarray of float64, shape (rows,)
        The norms, which do not rise.
    rows : numpy.ndarray of int64, shape (rows,)
        The row of each.
    """

    vectors: Array
    codes: Array
    scales: Array
    lost: Array
    lengths: Array
    rows: Array


@kernel
def products(query: Array, codes: Array, first: int, last: int, sums: Array) -> None:
    """The products of a query and the rows ``first`` to ``last``, in whole numbers."""
    for place in range(last - first):
        total = np.int32(0)
        for column in range(codes.shape[1]):
            total += np.int32(query[column]) * np.int32(codes[first + place, column])
        sums[place] = total


@kernel
def rounded_query(query: Array, whole: Array, columns: int) -> tuple[float, float, float]:
    """Round a query to whole numbers; return what one is worth, the query's norm and the norm of what was lost."""
    largest, squares, lost = 0.0, 0.0, 0.0
    for column in range(columns):
        number = np.float64(query[column])
        largest = max(largest, abs(number))
        squares += number * number
    if largest == 0:
        return 0.0, 0.0, 0.0
    scale = largest / min(32767.0, 2.0**31 / (128.0 * len(whole)) - 1)  # so that sums have 32 bits
    for column in range(columns):
        number = np.float64(query[column])
        whole[column] = np.int16(np.rint(number / scale))
        lost += (number - scale * np.float64(whole[column])) ** 2
    return scale, np.sqrt(squares), np.sqrt(lost)


@kernel
def pressed(upper: Array, places: Array, count: int, cut: float) -> int:
    """Drop what has fallen below the cut, and return how many are left."""
    kept = 0
    for k in range(count):
        if upper[k] >= cut:
            upper[kept], places[kept] = upper[k], places[k]
            kept += 1
    return kept


@kernel
def best_of_one(
    query: Array, offset: float, coded: Coded, closed: Array, room: int, items: Array, scores: Array
) -> int:
    """Write the best rows and their scores, as many as fit; return how many they are, or GIVEN_UP or FULL.

    Parameters
    ----------
    query : array of float32, shape (columns,)
    offset : float
        Added to every score.
    coded : Coded
    closed : array of uint8, shape (rows,)
        Not 0 at rows that are not to be listed.
    room : int
        For how many rows that are near the best.
    items, scores : arrays of int64 and float32, shape (n,)
    """
    vectors, codes, scales, missed, lengths, row_of = coded
    whole = np.zeros(codes.shape[1], np.int16)
    worth, length, lost = rounded_query(query, whole, len(query))
    if length == 0 or not length * lengths[0] < LARGEST:
        return GIVEN_UP
    n, size = len(items), len(row_of)
    margin = 1e-6 * abs(offset) + len(query) * LOST_BELOW
    best = np.full((1, n), -np.inf, np.float64)
    upper, places = np.empty(room), np.empty(room, np.int64)
    sums, count = np.empty(AT_ONCE, np.int32), 0
    for first in range(0, size, AT_ONCE):
        cut = best[0, 0]
        if (1 + 1e-6) * length * lengths[first] + margin < cut:
            break
        last = min(first + AT_ONCE, size)
        products(whole, codes, first, last, sums)
        for place in range(first, last):
            near = worth * scales[place] * np.float64(sums[place - first])
            off = length * missed[place] + (lost + 1e-6 * length) * lengths[place] + margin
            if near + off >= cut and not closed[row_of[place]]:
                if count == len(upper):
                    count = pressed(upper, places, count, cut)
                    if count == len(upper):
                        return FULL
                upper[count], places[count] = near + off, place
                count += 1
                if near - off > cut:
                    raise_best(best, 0, near - off)
                    cut = best[0, 0]
    count = pressed(upper, places, count, best[0, 0])
    if count == 0:
        return 0
    rows, exact = np.empty(count, np.int64), np.empty(count, np.float32)
    for k in range(count):
        rows[k] = row_of[places[k]]
    rescore(query, offset, vectors, rows, exact)
    put_in_order(exact, rows)
    found = min(count, n)
    for k in range(found):
        items[k], scores[k] = rows[k], exact[k]
    return found
