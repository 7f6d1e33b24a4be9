"""The ways to treat a row's normal equation, each as a loop over a range of rows that one thread runs alone.

A task's arguments are the same for every method: the rows ``first`` to ``last``, ``indptr`` and ``ratings``
(indices, values, offsets, weight, target, factors), the fixed side's vectors, the shared part ``equation`` (gram,
penalty, prior; padded) and each row's ``scale`` of the penalty. Results go to ``out`` (rows, rank) and
``status`` (rows,). Symbols as in `kernels`.

Relies on what `cofactor.kernels.assembly` relies on, and on ``indptr`` that rises to the number of ratings.
"""

import numpy as np

from cofactor.kernels.assembly import (
    AHEAD,
    NOT_FINITE,
    SOLVED,
    Ratings,
    add_ratings,
    add_tile,
    finite,
    gather,
    kept_ratings,
    longest_row,
    panel_rows,
    put_row,
    solve,
    start_matrix,
    take_row,
)
from cofactor.kernels.compiling import Array, kernel
from cofactor.kernels.conjugate import descend_conjugate, fill_up, subtract_image
from cofactor.kernels.lanes import (
    WIDTH,
    load,
    load_part,
    multiply_add,
    prefetch,
    splat,
    store,
    store_tile,
    wide_multiply_add,
    wide_total,
    wide_zero,
    zero_tile,
)


@kernel
def exact(
    first: int,
    last: int,
    indptr: Array,
    ratings: Ratings,
    fixed: Array,
    equation: tuple[Array, Array, Array],
    scale: Array,
    out: Array,
    status: Array,
) -> None:
    """Solve each row's equation by Cholesky's method."""
    gram, penalty, prior = equation
    r = len(gram)
    matrix, right, inverse = np.empty((r, r), np.float32), np.empty(r, np.float32), np.empty(r, np.float32)
    panel, targets = np.empty((panel_rows(r), r), np.float32), np.empty(panel_rows(r), np.float32)
    for row in range(first, last):
        start_matrix(gram, penalty, scale[row], prior[row % len(prior)], matrix, right)
        add_ratings(ratings, indptr[row], indptr[row + 1], fixed, panel, targets, matrix, right)
        status[row] = solve(matrix, inverse, right)
        put_row(right, out, row)


@kernel
def nonnegative(
    first: int,
    last: int,
    indptr: Array,
    ratings: Ratings,
    fixed: Array,
    equation: tuple[Array, Array, Array],
    scale: Array,
    amount: tuple[int, int],
    out: Array,
    status: Array,
) -> None:
    """Improve each row of ``out``, one coordinate after another, the first ``bounded`` of them kept from below 0."""
    sweeps, bounded = amount
    gram, penalty, prior = equation
    r = len(gram)
    matrix, right, x = np.empty((r, r), np.float32), np.empty(r, np.float32), np.zeros(r, np.float32)
    panel, targets = np.empty((panel_rows(r), r), np.float32), np.empty(panel_rows(r), np.float32)
    for row in range(first, last):
        start_matrix(gram, penalty, scale[row], prior[row % len(prior)], matrix, right)
        add_ratings(ratings, indptr[row], indptr[row + 1], fixed, panel, targets, matrix, right)
        for i in range(r):
            for j in range(i - i % WIDTH):
                matrix[i, j] = matrix[j, i]
        take_row(out, row, x)
        descend(matrix, right, x, sweeps, bounded)
        status[row] = SOLVED if finite(x) and finite(right) else NOT_FINITE
        put_row(x, out, row)


@kernel
def descend(matrix: Array, gradient: Array, x: Array, sweeps: int, bounded: int) -> None:
    """Coordinate descent on ``x' A x / 2 - b' x``; ``gradient`` enters as ``b`` and becomes ``b - A x``."""
    r = len(x)
    for i in range(r):
        subtract_scaled(matrix, i, x[i], gradient)
    for _ in range(sweeps):
        for i in range(r):
            if matrix[i, i] > 0:
                aim = x[i] + gradient[i] / matrix[i, i]
                moved = (max(aim, np.float32(0)) if i < bounded else aim) - x[i]
                x[i] += moved
                subtract_scaled(matrix, i, moved, gradient)


@kernel
def subtract_scaled(matrix: Array, i: int, step: float, vector: Array) -> None:
    """``vector -= step * matrix[i]``."""
    r = len(vector)
    for j in range(0, r, WIDTH):
        store(vector, j, multiply_add(load(matrix, i * r + j), splat(-step), load(vector, j)))


@kernel
def conjugate_gradient(
    first: int,
    last: int,
    indptr: Array,
    ratings: Ratings,
    fixed: Array,
    equation: tuple[Array, Array, Array],
    scale: Array,
    steps: int,
    out: Array,
    status: Array,
) -> None:
    """Take ``steps`` steps of conjugate gradients from each row of ``out``, without forming its matrix.

    Rows too long to be kept near (`kept_ratings`) are left as they are.
    """
    gram, penalty, prior = equation
    rank, r = fixed.shape[1], len(gram)
    longest, most = longest_row(indptr, first, last), kept_ratings(r)
    kept = -(-min(longest, most) // WIDTH) * WIDTH
    near, wanted = np.empty((kept, r), np.float32), np.empty(kept, np.float32)
    x, residual = np.zeros(r, np.float32), np.empty(r, np.float32)
    direction, image = np.empty(r, np.float32), np.empty(r, np.float32)
    ridge = np.empty(r, np.float32)
    for row in range(first, last):
        start, stop = indptr[row], indptr[row + 1]
        if stop - start > most:
            continue
        gather(ratings, start, stop, fixed, np.int64(0), rank, near, wanted)
        count = fill_up(near, wanted, stop - start)
        take_row(out, row, x)
        take_row(prior, row % len(prior), residual)
        for f in range(r):
            ridge[f] = scale[row] * penalty[f]
        subtract_image(gram, ridge, near, wanted, count, x, residual, ratings[0], stop, fixed)
        descend_conjugate(gram, ridge, near, count, steps, x, residual, direction, image)
        status[row] = SOLVED if finite(x) else NOT_FINITE
        put_row(x, out, row)


@kernel
def losses(
    first: int,
    last: int,
    indptr: Array,
    ratings: Ratings,
    fixed: Array,
    penalty: Array,
    scale: Array,
    vectors: Array,
    out: Array,
) -> None:
    """Each row's weighted squared errors, weighted errors, and penalty, in float64: ``out`` is (rows, 3)."""
    indices, values, offsets, weight, target, factors = ratings
    rank = fixed.shape[1]
    whole = rank - rank % WIDTH
    end = len(indices) - 1
    for row in range(first, last):
        squares, errors, penalties = 0.0, 0.0, 0.0
        for f in range(rank):
            penalties += np.float64(scale[row]) * penalty[f] * np.float64(vectors[row, f]) ** 2
        for k in range(indptr[row], indptr[row + 1]):
            i = np.int64(indices[k])
            ahead = np.int64(indices[min(k + AHEAD, end)]) * rank
            sums = wide_zero()
            for j in range(0, whole, WIDTH):
                prefetch(fixed, ahead + j)
                sums = wide_multiply_add(load(fixed, i * rank + j), load(vectors, row * rank + j), sums)
            if whole < rank:
                prefetch(fixed, ahead + whole)
                left = load_part(fixed, i * rank + whole, rank - whole)
                sums = wide_multiply_add(left, load_part(vectors, row * rank + whole, rank - whole), sums)
            value = np.float64(values[k])
            signed = weight[0] + weight[1] * value
            aim = 0.0 if signed < 0 else target[0] + target[1] * value
            error = aim - offsets[i] - wide_total(sums)
            size = abs(signed) * factors[k] if len(factors) else abs(signed)
            errors += size * error
            squares += size * error * error
        out[row, 0], out[row, 1], out[row, 2] = squares, errors, penalties


@kernel
def gram_part(first: int, last: int, vectors: Array, part: int, out: Array) -> None:
    """Add rows ``first`` to ``last`` times themselves to ``out[first // part]``, panels summed in float64."""
    r = out.shape[1]
    size = panel_rows(r)
    panel, matrix = np.zeros((size, r), np.float32), np.empty((r, r), np.float32)
    for start in range(first, last, size):
        count = min(size, last - start)
        for k in range(count):
            take_row(vectors, start + k, panel[k])
        for i in range(0, r, WIDTH):
            for j in range(i, r, WIDTH):
                store_tile(matrix, i * r + j, r, zero_tile())
                add_tile(panel, count, i, j, matrix)
        place = first // part
        for i in range(r):
            for j in range(i - i % WIDTH, r):
                out[place, i, j] += matrix[i, j]
