"""A newcomer's row as the solution of a logistic regression, one row in one thread.

The examples of a row are the ``m`` that it has met, which were chosen, and those that ``drawn`` names for all rows
alike, which were not. Symbols, for one row with the vector ``z`` about where it is drawn to:

    x  vector of an example, a one for the bias behind it, zeros up to whole registers
    s  logit        base + x.z
    g  gradient     sum of weight (label - chance) x, less penalty z
    H  curvature    sum of weight chance (1 - chance) x x', and the penalty on the diagonal

Newton's method: losses and gradients are in double precision, so that the solution is; the curvature is in single
precision, which only decides how soon it is reached.

Relies on compressed rows that are sound (`cofactor.data.sound_rows`), on drawn examples that are rows of the vectors,
and on vectors padded to whole registers.
"""

import math

import numpy as np

from cofactor.kernels.assembly import SOLVED, add_tile, backward, factor, forward, panel_rows
from cofactor.kernels.compiling import Array, kernel
from cofactor.kernels.lanes import WIDTH

STEPS, HALVINGS = 50, 30
_ENOUGH = 1e-10


@kernel
def place(
    first: int,
    last: int,
    chosen: Array,
    pairs: tuple[Array, Array, Array],
    others: tuple[Array, Array, Array],
    fixed: tuple[Array, Array],
    said: Array,
    fresh: Array,
    penalties: Array,
    out: Array,
) -> None:
    """Solve the rows ``chosen[first:last]``.

    ``pairs`` are the rows' indptr, indices and weights (compressed); ``others`` the rows drawn (drawn,), their weights
    (drawn,), and what multiplies these for each row (rows,); ``fixed`` the other side's vectors (n, padded) and the
    logits that they begin with (n,); ``said`` where rows are drawn to (rows, padded). Of ``fresh`` rows, those who are
    drawn aim at what is said of them.
    """
    indptr, indices, values = pairs
    drawn, weights, scales = others
    vectors, offsets = fixed
    r = vectors.shape[1]
    z, trial, step, gradient = np.zeros(r), np.zeros(r), np.zeros(r), np.zeros(r)
    matrix, inverse, right = np.empty((r, r), np.float32), np.empty(r, np.float32), np.empty(r, np.float32)
    panel = np.empty((panel_rows(r), r), np.float32)
    for number in range(first, last):
        row = chosen[number]
        start, met = indptr[row], indptr[row + 1] - indptr[row]
        count = met + len(drawn)
        rows, sizes, labels = np.empty(count, np.int64), np.empty(count), np.zeros(count)
        base, logits, slopes, curves = np.empty(count), np.empty(count), np.empty(count), np.empty(count)
        for k in range(count):
            rows[k] = indices[start + k] if k < met else drawn[k - met]
            sizes[k] = values[start + k] if k < met else scales[row] * weights[k - met]
            base[k] = offsets[rows[k]]
        add_scores(vectors, rows, said[row], base, base)
        for k in range(count):
            if k < met:
                labels[k] = 1.0
            elif fresh[row]:
                labels[k] = chance(base[k])
        z[:] = 0.0
        damping = 0.0
        add_scores(vectors, rows, z, base, logits)
        least = loss(sizes, labels, logits, penalties[row], z)
        for _ in range(STEPS):
            for k in range(count):
                found = chance(logits[k])
                slopes[k] = sizes[k] * (labels[k] - found)
                curves[k] = sizes[k] * found * (1.0 - found)
            slope(vectors, rows, slopes, penalties[row], z, gradient)
            bend(vectors, rows, curves, penalties[row] + damping, panel, matrix)
            for f in range(r):
                right[f] = gradient[f]
            if factor(matrix, inverse) != SOLVED:
                damping = max(10.0 * damping, penalties[row])
                continue
            forward(matrix, inverse, right)
            backward(matrix, inverse, right)
            for f in range(r):
                step[f] = right[f]
            before = least
            for _halving in range(HALVINGS):
                for f in range(r):
                    trial[f] = z[f] + step[f]
                add_scores(vectors, rows, trial, base, logits)
                reached = loss(sizes, labels, logits, penalties[row], trial)
                if reached <= least:
                    least = reached
                    for f in range(r):
                        z[f] = trial[f]
                    break
                for f in range(r):
                    step[f] *= 0.5
            if before - least <= _ENOUGH * abs(least):
                break  # as good as numbers can tell
        for f in range(r):
            out[row, f] = said[row, f] + z[f]


@kernel
def chance(logit: float) -> float:
    """Return the probability that a logit stands for."""
    return 1.0 / (1.0 + math.exp(-min(max(logit, -500.0), 500.0)))


@kernel
def add_scores(vectors: Array, rows: Array, row: Array, base: Array, scores: Array) -> None:
    """``scores = base + x.row`` for the examples' vectors ``x``."""
    for k in range(len(rows)):
        total = 0.0
        for f in range(len(row)):
            total += vectors[rows[k], f] * row[f]
        scores[k] = base[k] + total


@kernel
def loss(sizes: Array, labels: Array, logits: Array, penalty: float, row: Array) -> float:
    """Return what is to be least."""
    total = 0.0
    for k in range(len(logits)):
        logit = logits[k]
        total += sizes[k] * (max(logit, 0.0) + math.log1p(math.exp(-abs(logit))) - labels[k] * logit)
    for f in range(len(row)):
        total += 0.5 * penalty * row[f] * row[f]
    return total


@kernel
def slope(vectors: Array, rows: Array, slopes: Array, penalty: float, row: Array, gradient: Array) -> None:
    """Fill in the gradient, upwards."""
    for f in range(len(row)):
        gradient[f] = -penalty * row[f]
    for k in range(len(rows)):
        for f in range(len(row)):
            gradient[f] += slopes[k] * vectors[rows[k], f]


@kernel
def bend(vectors: Array, rows: Array, curves: Array, penalty: float, panel: Array, matrix: Array) -> None:
    """Fill in the curvature, on and above the diagonal."""
    r = vectors.shape[1]
    for a in range(r):
        for c in range(r):
            matrix[a, c] = 0.0
        matrix[a, a] = penalty
    for start in range(0, len(rows), len(panel)):
        count = min(len(panel), len(rows) - start)
        for k in range(count):
            root = math.sqrt(curves[start + k])
            for f in range(r):
                panel[k, f] = root * vectors[rows[start + k], f]
        for i in range(0, r, WIDTH):
            for j in range(i, r, WIDTH):
                add_tile(panel, count, i, j, matrix)
