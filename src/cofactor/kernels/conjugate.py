"""Conjugate gradients on a row's normal equation without forming its matrix.

Symbols as in `kernels`; here the whole row is kept near as one panel, padded by ratings of weight zero to a
whole number of tiles, and each step reads it once.

Relies on what `cofactor.kernels.assembly` relies on.
"""

import numpy as np

from cofactor.kernels.compiling import Array, kernel
from cofactor.kernels.lanes import (
    WIDTH,
    add_rows,
    add_weighted_rows,
    load,
    multiply,
    multiply_add,
    prefetch,
    row_totals,
    splat,
    store,
    total,
    zero_tile,
)


@kernel
def fill_up(near: Array, wanted: Array, count: int) -> int:
    """Add ratings of weight zero up to a whole number of tiles; return that number."""
    end = -(-count // WIDTH) * WIDTH
    for k in range(count, end):
        wanted[k] = 0
        for f in range(near.shape[1]):
            near[k, f] = 0
    return end


@kernel
def subtract_image(
    gram: Array,
    ridge: Array,
    near: Array,
    wanted: Array,
    count: int,
    x: Array,
    residual: Array,
    indices: Array,
    ahead: int,
    fixed: Array,
) -> None:
    """``residual += p' (t - p x) - (G + ridge) x``; meanwhile the next row's vectors come nearer."""
    r = len(x)
    rank, last = fixed.shape[1], len(indices) - 1
    for k in range(0, r, WIDTH):
        weights = multiply(load(x, k), splat(np.float32(-1)))
        store(residual, k, multiply_add(load(ridge, k), weights, load(residual, k)))
        for j in range(0, r, WIDTH):
            store(residual, j, add_weighted_rows(load(residual, j), gram, k * r + j, r, weights))
    for k in range(0, count, WIDTH):
        tile = zero_tile()
        for j in range(0, r, WIDTH):
            for t in range(WIDTH):
                prefetch(fixed, np.int64(indices[min(ahead + k + t, last)]) * rank + j)
            tile = add_rows(tile, near, k * r + j, r, load(x, j))
        weights = multiply_add(row_totals(tile), splat(np.float32(-1)), load(wanted, k))
        for j in range(0, r, WIDTH):
            store(residual, j, add_weighted_rows(load(residual, j), near, k * r + j, r, weights))


@kernel
def multiply_matrix(gram: Array, ridge: Array, near: Array, count: int, vector: Array, image: Array) -> None:
    """``image = (G + ridge + p' p) vector``."""
    r = len(vector)
    for j in range(0, r, WIDTH):
        store(image, j, multiply(load(ridge, j), load(vector, j)))
    for k in range(0, r, WIDTH):
        for j in range(0, r, WIDTH):
            store(image, j, add_weighted_rows(load(image, j), gram, k * r + j, r, load(vector, k)))
    for k in range(0, count, WIDTH):
        tile = zero_tile()
        for j in range(0, r, WIDTH):
            tile = add_rows(tile, near, k * r + j, r, load(vector, j))
        weights = row_totals(tile)
        for j in range(0, r, WIDTH):
            store(image, j, add_weighted_rows(load(image, j), near, k * r + j, r, weights))


@kernel
def inner(left: Array, right: Array) -> float:
    """Inner product of two padded vectors."""
    sums = splat(np.float32(0))
    for j in range(0, len(left), WIDTH):
        sums = multiply_add(load(left, j), load(right, j), sums)
    result: float = total(sums)
    return result


@kernel
def add_scaled(vector: Array, step: float, other: Array) -> None:
    """``vector += step * other``."""
    for j in range(0, len(vector), WIDTH):
        store(vector, j, multiply_add(load(other, j), splat(step), load(vector, j)))


@kernel
def descend_conjugate(
    gram: Array,
    ridge: Array,
    near: Array,
    count: int,
    steps: int,
    x: Array,
    residual: Array,
    direction: Array,
    image: Array,
) -> None:
    """Hestenes and Stiefel's recurrence, from ``x`` and its residual."""
    for f in range(len(x)):
        direction[f] = residual[f]
    squares = inner(residual, residual)
    smallest = np.float32(1e-14) * squares
    for _ in range(steps):
        multiply_matrix(gram, ridge, near, count, direction, image)
        curvature = inner(direction, image)
        if curvature <= 0 or squares <= smallest:  # nothing left to gain; NaN goes on and is seen in x
            break
        step = squares / curvature
        add_scaled(x, step, direction)
        add_scaled(residual, -step, image)
        previous = squares
        squares = inner(residual, residual)
        for j in range(0, len(x), WIDTH):
            store(direction, j, multiply_add(load(direction, j), splat(squares / previous), load(residual, j)))
