"""The arithmetic of one row's normal equation: gather, form the matrix, factor it, solve it.

Every function works on one row, in one thread, in a fixed order, so that rows may be given to threads in any
way without changing a bit. Symbols, for one row with ``m`` ratings of rank ``r``:

    p  panel       (m, r)  the vectors of the row's items, each times the square root of its rating's weight
    t  targets     (m,)    what the row is to predict for them, times the same root; of a negative weight the
                           absolute value counts, and its target is zero
    A  matrix      (r, r)  G + ridge + p' p; only the blocks on and above the diagonal hold sums
    b  right       (r,)    prior + p' t

``r`` is padded to whole registers (`padded`). Padding is zero in the panel and one on the matrix's diagonal,
so that a padded coordinate is zero in the solution. Scratch arrays belong to the caller, who makes one set
per task.

Relies on columns of ratings that are rows of ``vectors``, and on vectors padded to whole registers: `Equations` of
`cofactor.model.least_squares` sees to the padding, and `cofactor.data.sound_rows` to the columns of tables from files.
"""

import numpy as np

from cofactor.kernels.compiling import Array, kernel
from cofactor.kernels.lanes import (
    WIDTH,
    add_outer,
    load,
    load_part,
    load_tile,
    multiply,
    multiply_add,
    prefetch,
    splat,
    store,
    store_tile,
    total,
)

Ratings = tuple[Array, Array, Array, tuple[float, float], tuple[float, float], Array]
"""indices, values, offsets, weight, target, factors: what multiplies each rating's weight, or empty"""

PANEL_FLOATS = 8192
"""A panel of this many floats (32 KiB) stays in the first cache while every tile of the matrix reads it."""

KEPT_FLOATS = 2_097_152
"""A row whose vectors fill no more than this (8 MiB) is gathered once and then read from the caches."""

AHEAD = 64
"""How many ratings before its use a vector is asked for."""

SOLVED, SINGULAR, NOT_FINITE = 0, 1, 2
SMALLEST_PIVOT = np.float32(2e-6)
"""Share of its diagonal that must be left of a pivot: float32 holds nothing below."""


def padded(rank: int) -> int:
    """The rank rounded up to whole registers."""
    return -(-rank // WIDTH) * WIDTH


@kernel
def take_row(table: Array, row: int, vector: Array) -> None:
    """Copy a row to the front of a vector. A loop: numba takes two seconds to compile an assignment to a slice."""
    for f in range(table.shape[1]):
        vector[f] = table[row, f]


@kernel
def put_row(vector: Array, table: Array, row: int) -> None:
    """Copy the front of a vector to a row."""
    for f in range(table.shape[1]):
        table[row, f] = vector[f]


@kernel
def longest_row(indptr: Array, first: int, last: int) -> int:
    """Ratings in the longest of the rows ``first`` to ``last``."""
    longest = 0
    for row in range(first, last):
        longest = max(longest, indptr[row + 1] - indptr[row])
    return longest


@kernel
def kept_ratings(r: int) -> int:
    """Ratings in the longest row that is gathered once and then read from the caches: whole registers of them."""
    return -(-(KEPT_FLOATS // r) // WIDTH) * WIDTH


@kernel
def panel_rows(r: int) -> int:
    """Ratings in a panel that the first cache holds."""
    return max(WIDTH, PANEL_FLOATS // r)


@kernel
def gather(
    ratings: Ratings, start: int, stop: int, fixed: Array, first: int, last: int, panel: Array, targets: Array
) -> None:
    """Fill the panel from ratings ``start`` to ``stop`` and columns ``first`` to ``last`` of their vectors.

    ``weight`` and ``target`` are the constant and the slope of a linear function of the value. A negative weight marks
    a pair that is to score zero, with the weight's absolute value.
    """
    indices, values, offsets, weight, target, factors = ratings
    rank = fixed.shape[1]
    r = panel.shape[1]
    width = last - first
    whole = width - width % WIDTH
    for k in range(stop - start):
        i, value = indices[start + k], values[start + k]
        signed = weight[0] + weight[1] * value
        root = np.sqrt(abs(signed) * factors[start + k]) if len(factors) else np.sqrt(abs(signed))
        aim = np.float32(0) if signed < 0 else target[0] + target[1] * value
        targets[k] = root * (aim - offsets[i])
        roots = splat(root)
        row = np.int64(i) * rank + first
        for j in range(0, whole, WIDTH):
            store(panel, k * r + j, multiply(load(fixed, row + j), roots))
        if whole < width:
            store(panel, k * r + whole, multiply(load_part(fixed, row + whole, width - whole), roots))


@kernel
def add_tile(panel: Array, count: int, i: int, j: int, matrix: Array) -> None:
    """Add to the tile of ``A`` at row ``i`` and column ``j``."""
    r = panel.shape[1]
    tile = load_tile(matrix, i * r + j, r)
    for k in range(count):
        tile = add_outer(tile, panel, k * r + i, load(panel, k * r + j))
    store_tile(matrix, i * r + j, r, tile)


@kernel
def add_products(
    panel: Array,
    targets: Array,
    count: int,
    matrix: Array,
    right: Array,
    indices: Array,
    ahead: int,
    fixed: Array,
    first: int,
) -> None:
    """``A += p' p`` and ``b += p' t``, a tile of the matrix at a time.

    Meanwhile the vectors of the ratings from ``ahead`` on come nearer: waiting for memory would be most of
    the time, and the sums leave the memory idle.
    """
    r = panel.shape[1]
    rank = fixed.shape[1]
    last = len(indices) - 1
    for i in range(0, r, WIDTH):
        tile = load_tile(matrix, i * r + i, r)
        sums = load(right, i)
        for k in range(count):
            prefetch(fixed, np.int64(indices[min(ahead + k, last)]) * rank + first + i)
            vector = load(panel, k * r + i)
            tile = add_outer(tile, panel, k * r + i, vector)
            sums = multiply_add(splat(targets[k]), vector, sums)
        store_tile(matrix, i * r + i, r, tile)
        store(right, i, sums)
        for j in range(i + WIDTH, r, WIDTH):
            add_tile(panel, count, i, j, matrix)


@kernel
def start_matrix(gram: Array, penalty: Array, scale: float, prior: Array, matrix: Array, right: Array) -> None:
    """``A = G + scale * diag(penalty)`` and ``b = prior``; the caller padded them."""
    r = len(matrix)
    for i in range(r):
        for j in range(i - i % WIDTH, r, WIDTH):
            store(matrix, i * r + j, load(gram, i * r + j))
        matrix[i, i] += scale * penalty[i]
        right[i] = prior[i]


@kernel
def add_ratings(
    ratings: Ratings,
    start: int,
    stop: int,
    fixed: Array,
    panel: Array,
    targets: Array,
    matrix: Array,
    right: Array,
) -> None:
    """Add the ratings ``start`` to ``stop`` to a started matrix, one panel after another."""
    size = len(panel)
    for first in range(start, stop, size):
        last = min(first + size, stop)
        gather(ratings, first, last, fixed, np.int64(0), fixed.shape[1], panel, targets)
        add_products(panel, targets, last - first, matrix, right, ratings[0], first + AHEAD, fixed, np.int64(0))


@kernel
def factor(matrix: Array, inverse: Array) -> int:
    """Overwrite ``A`` by the upper ``U`` of ``A = U' U``, and return a status.

    ``inverse`` gets one over the diagonal of ``U``.
    """
    r = len(matrix)
    for k in range(r):
        inverse[k] = matrix[k, k]  # kept until the pivot is judged against it
    for block in range(0, r, WIDTH):
        end = block + WIDTH
        status: int = factor_rows(matrix, inverse, block)
        if status != SOLVED:
            return status
        for i in range(end, r, WIDTH):
            for j in range(i, r, WIDTH):
                tile = load_tile(matrix, i * r + j, r)
                for k in range(block, end):
                    negative = multiply(load(matrix, k * r + j), splat(np.float32(-1)))
                    tile = add_outer(tile, matrix, k * r + i, negative)
                store_tile(matrix, i * r + j, r, tile)
    return SOLVED


@kernel
def factor_rows(matrix: Array, inverse: Array, block: int) -> int:
    """Eliminate WIDTH rows among themselves, over the matrix's whole width."""
    r = len(matrix)
    for k in range(block, block + WIDTH):
        pivot = matrix[k, k]
        if not abs(pivot) < np.inf:
            return NOT_FINITE
        if not pivot > SMALLEST_PIVOT * inverse[k]:
            return SINGULAR
        inverse[k] = 1 / np.sqrt(pivot)
        for j in range(block, r, WIDTH):
            store(matrix, k * r + j, multiply(load(matrix, k * r + j), splat(inverse[k])))
        for i in range(k + 1, block + WIDTH):
            share = splat(-matrix[k, i])
            for j in range(block, r, WIDTH):
                store(matrix, i * r + j, multiply_add(load(matrix, k * r + j), share, load(matrix, i * r + j)))
    return SOLVED


@kernel
def forward(matrix: Array, inverse: Array, right: Array) -> None:
    """Overwrite ``b`` by ``z`` of ``U' z = b``."""
    r = len(matrix)
    for k in range(r):
        right[k] *= inverse[k]
        z = right[k]
        first = k - k % WIDTH
        for j in range(k + 1, first + WIDTH):
            right[j] -= matrix[k, j] * z
        for j in range(first + WIDTH, r, WIDTH):
            store(right, j, multiply_add(load(matrix, k * r + j), splat(-z), load(right, j)))


@kernel
def backward(matrix: Array, inverse: Array, right: Array) -> None:
    """Overwrite ``z`` by ``x`` of ``U x = z``."""
    r = len(matrix)
    for k in range(r - 1, -1, -1):
        first = k - k % WIDTH
        sums = splat(np.float32(0))
        for j in range(first + WIDTH, r, WIDTH):
            sums = multiply_add(load(matrix, k * r + j), load(right, j), sums)
        rest = right[k] - total(sums)
        for j in range(k + 1, first + WIDTH):
            rest -= matrix[k, j] * right[j]
        right[k] = rest * inverse[k]


@kernel
def finite(vector: Array) -> bool:
    """Whether every number is finite: a sum of squares is not if one of them is not."""
    sums = splat(np.float32(0))
    for j in range(0, len(vector), WIDTH):
        sums = multiply_add(load(vector, j), splat(np.float32(0)), sums)
    rest: float = total(sums)
    return rest == 0


@kernel
def all_zero(vector: Array) -> bool:
    """Whether every number is zero; NaN is not."""
    others = 0
    for f in range(len(vector)):
        others += vector[f] != 0
    return others == 0


@kernel
def solve(matrix: Array, inverse: Array, right: Array) -> int:
    """Overwrite ``b`` by ``x`` of ``A x = b``, and return a status.

    Without ratings and prior ``x`` is zero, be ``A`` singular or not.
    """
    if all_zero(right):
        return SOLVED
    status: int = factor(matrix, inverse)
    if status != SOLVED:
        return status
    forward(matrix, inverse, right)
    backward(matrix, inverse, right)
    return SOLVED if finite(right) else NOT_FINITE
