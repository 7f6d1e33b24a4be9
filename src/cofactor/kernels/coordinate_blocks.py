"""Some coordinates of each row at a time (iALS++): the matrix of a large rank is never formed whole.

Symbols as in `kernels`, arguments as in `row_methods`. What a row predicts for its ratings is kept up
to date, so that each block's equation is about what the other coordinates leave unexplained.

Relies on what `cofactor.kernels.assembly` relies on.
"""

import numpy as np

from cofactor.kernels.assembly import (
    AHEAD,
    SOLVED,
    Ratings,
    add_products,
    gather,
    longest_row,
    panel_rows,
    put_row,
    solve,
    take_row,
)
from cofactor.kernels.compiling import Array, kernel
from cofactor.kernels.lanes import (
    WIDTH,
    add,
    add_rows,
    add_weighted_rows,
    load,
    row_totals,
    splat,
    store,
    zero_tile,
)


@kernel
def blocks(
    first: int,
    last: int,
    indptr: Array,
    ratings: Ratings,
    fixed: Array,
    equation: tuple[Array, Array, Array],
    scale: Array,
    width: int,
    out: Array,
    status: Array,
) -> None:
    """Improve each row of ``out``, solving for ``width`` coordinates at a time and holding the others."""
    gram, penalty, prior = equation
    rank, r = fixed.shape[1], len(gram)
    matrix, right, inverse = (
        np.empty((width, width), np.float32),
        np.empty(width, np.float32),
        np.empty(width, np.float32),
    )
    panel, targets = np.empty((panel_rows(width), width), np.float32), np.empty(panel_rows(width), np.float32)
    predicted = np.empty(longest_row(indptr, first, last) + WIDTH, np.float32)
    x = np.zeros(r, np.float32)
    for row in range(first, last):
        start, stop = indptr[row], indptr[row + 1]
        take_row(out, row, x)
        for k in range(stop - start + WIDTH):
            predicted[k] = 0
        status[row] = SOLVED
        for j in range(0, rank, width):
            add_predictions(ratings, start, stop, fixed, j, x[j : j + width], panel, targets, predicted)
        for j in range(0, rank, width):
            start_block(gram, penalty, scale[row], prior[row % len(prior)], x, j, matrix, right)
            add_residuals(ratings, start, stop, fixed, j, predicted, panel, targets, matrix, right)
            status[row] = max(status[row], solve(matrix, inverse, right))
            add_predictions(ratings, start, stop, fixed, j, right, panel, targets, predicted)
            for k in range(width):
                x[j + k] += right[k]
        put_row(x, out, row)


@kernel
def start_block(
    gram: Array, penalty: Array, scale: float, prior: Array, x: Array, first: int, matrix: Array, right: Array
) -> None:
    """``A`` and ``b`` of the coordinates from ``first`` on, before the ratings: what is left to gain."""
    width, r = len(right), len(x)
    for j in range(0, width, WIDTH):
        pull = splat(np.float32(0))
        for k in range(0, r, WIDTH):
            pull = add_weighted_rows(pull, gram, k * r + first + j, r, load(x, k))
        store(right, j, pull)
    for i in range(width):
        for j in range(0, width, WIDTH):
            store(matrix, i * width + j, load(gram, (first + i) * r + first + j))
        matrix[i, i] += scale * penalty[first + i]
        right[i] = prior[first + i] - right[i] - scale * penalty[first + i] * x[first + i]


@kernel
def gather_columns(
    ratings: Ratings, start: int, stop: int, fixed: Array, first: int, panel: Array, targets: Array
) -> None:
    """Gather the columns from ``first`` on, and zeros past the last."""
    end = min(first + panel.shape[1], fixed.shape[1])
    if end - first < panel.shape[1]:
        for k in range(len(panel)):
            for j in range(panel.shape[1]):
                panel[k, j] = 0
    gather(ratings, start, stop, fixed, first, end, panel, targets)


@kernel
def add_residuals(
    ratings: Ratings,
    start: int,
    stop: int,
    fixed: Array,
    first: int,
    predicted: Array,
    panel: Array,
    targets: Array,
    matrix: Array,
    right: Array,
) -> None:
    """`add_ratings` for some columns, with what is already predicted taken off the targets."""
    size = len(panel)
    for begin in range(start, stop, size):
        end = min(begin + size, stop)
        gather_columns(ratings, begin, end, fixed, first, panel, targets)
        for k in range(end - begin):
            targets[k] -= predicted[begin - start + k]
        add_products(panel, targets, end - begin, matrix, right, ratings[0], begin + AHEAD, fixed, first)


@kernel
def add_predictions(
    ratings: Ratings,
    start: int,
    stop: int,
    fixed: Array,
    first: int,
    x: Array,
    panel: Array,
    targets: Array,
    predicted: Array,
) -> None:
    """``predicted += p x`` for some columns; like the panel, predictions carry the root of the weight."""
    r, size = panel.shape[1], len(panel)
    for begin in range(start, stop, size):
        end = min(begin + size, stop)
        gather_columns(ratings, begin, end, fixed, first, panel, targets)
        for k in range(0, end - begin, WIDTH):
            tile = zero_tile()
            for j in range(0, r, WIDTH):
                tile = add_rows(tile, panel, k * r + j, r, load(x, j))
            here = begin - start + k
            store(predicted, here, add(load(predicted, here), row_totals(tile)))
