"""Draw every row's vector, and every feature's loading, from its normal posterior.

Model: a row's rating of column j is x_j . v + noise, where v is the row's vector with its bias as last
coordinate and x_j is the column's vector followed by a one. Rows have the precision matrix P in common and a
mean of their own: m = mu + sum over the row's features of weight times loading. SVD++'s implicit feedback is
such a set of features, the columns a row has rated, weighted by 1 / root of their number; its flipped twin is
the same for the other side.

Algorithm: given the columns, rows are independent, each drawn jointly with its bias. Given
the rows, the ratings tell nothing more of the loadings, which makes their draw a regression of rows on
features, one feature after another over the residual: a few operations a rating, whatever the likelihood.

Reference: Salakhutdinov and Mnih (2008), "Bayesian probabilistic matrix factorization using Markov chain
Monte Carlo"; Koren (2008), "Factorization meets the neighborhood"; Simm et al. (2017), "Macau: scalable
Bayesian factorization with high-dimensional side information using MCMC".

Relies on compressed rows that are sound (`cofactor.data.sound_rows`), and on arrays of a chain that are all of one
shape: `cofactor.solvers.epochs` checks those of a checkpoint.
"""

import numpy as np

from cofactor.kernels.compiling import fast_kernel
from cofactor.kernels.counter_random import child_key, normal
from cofactor.model.bayesian.row_system import (
    TOGETHER,
    Array,
    eliminate,
    row_sums,
    squared_error,
    substitute,
)

__all__ = ["draw_loadings", "draw_rows", "fill_system", "rating_signals", "squared_errors"]


@fast_kernel
def fill_system(gram: Array, scale: float, precision: Array, mean: Array, system: Array) -> None:
    """Fill `system` with [A | b] of a row: its sums times `scale`, and the prior's precision and mean."""
    size = len(mean)
    for a in range(size):
        pull = scale * gram[a, size]
        for c in range(size):
            system[a, c] = scale * gram[a, c] + precision[a, c]
            pull += precision[a, c] * mean[c]
        system[a, size] = pull


@fast_kernel
def draw_rows(
    first: int,
    last: int,
    indptr: Array,  # (rows + 1,)
    indices: Array,  # (ratings,) columns
    values: Array,  # (ratings,)
    design: Array,  # (columns, width) float32: root of the column's weight times [its vector, 1], then zeros
    offsets: Array,  # (columns,) what is taken off a rating first: the global mean and the column's bias
    scales: Array,  # (rows,) noise precision of each row
    means: Array,  # (rows, size) of the prior
    precision: Array,  # (size, size) of the prior
    key: np.uint64,
    spread: float,  # 1 draws; 0 gives the posterior means
    vectors: Array,  # (rows, size) out
    errors: Array,  # (rows,) out: squared errors at the drawn vectors, weighted by the columns' weights
) -> None:
    """Draw the rows from ``first`` to ``last`` given the columns."""
    size, width = vectors.shape[1], design.shape[1]
    block, part = np.zeros((TOGETHER, width), np.float32), np.zeros((size + 1, width), np.float32)
    gram, system = np.zeros((size + 1, width)), np.zeros((size, width))
    normals = np.zeros(size)
    for row in range(first, last):
        row_sums(indptr, indices, values, design, offsets, row, block, part, gram)
        fill_system(gram, scales[row], precision, means[row], system)
        for a in range(size):
            normals[a] = spread * normal(child_key(key, row), a)
        eliminate(system, size)
        substitute(system, size, normals, vectors[row])
        errors[row] = squared_error(gram, vectors[row], size)


@fast_kernel
def draw_loadings(
    indptr: Array,  # (features + 1,)
    indices: Array,  # (entries,) rows that have the feature
    weights: Array,  # (entries,)
    prior_mean: Array,  # (size,) of a loading
    prior_precision: Array,  # (size, size) of a loading
    precision: Array,  # (size, size) of a row about its mean
    width: int,
    key: np.uint64,
    loadings: Array,  # (features, size) in and out
    residual: Array,  # (rows, size) in and out: rows less their means
) -> None:
    """Draw all loadings given the rows, one after another."""
    features, size = loadings.shape
    system = np.zeros((size, width))
    pull, drawn, normals = np.zeros(size), np.zeros(size), np.zeros(size)
    for feature in range(features):
        energy = 0.0  # sum of squared weights
        for c in range(size):
            pull[c] = 0.0
        for k in range(indptr[feature], indptr[feature + 1]):
            energy += weights[k] * weights[k]
            for c in range(size):
                pull[c] += weights[k] * residual[indices[k], c]
        for a in range(size):
            pull[a] += energy * loadings[feature, a]
            normals[a] = normal(child_key(key, feature), a)
        for a in range(size):
            system[a, size] = 0.0
            for c in range(size):
                system[a, c] = prior_precision[a, c] + energy * precision[a, c]
                system[a, size] += prior_precision[a, c] * prior_mean[c] + precision[a, c] * pull[c]
        eliminate(system, size)
        substitute(system, size, normals, drawn)
        for k in range(indptr[feature], indptr[feature + 1]):
            for c in range(size):
                residual[indices[k], c] -= weights[k] * (drawn[c] - loadings[feature, c])
        for c in range(size):
            loadings[feature, c] = drawn[c]


@fast_kernel
def rating_signals(
    first: int,
    last: int,
    indptr: Array,  # (rows + 1,)
    indices: Array,  # (ratings,)
    rows: Array,  # (rows, size) vectors with the bias last
    columns: Array,  # (columns, size)
    signals: Array,  # (ratings,) out
) -> None:
    """Fill in p_u . q_i + b_u + c_i for the ratings of the rows from ``first`` to ``last``."""
    bias = rows.shape[1] - 1
    for row in range(first, last):
        for k in range(indptr[row], indptr[row + 1]):
            total = rows[row, bias] + columns[indices[k], bias]
            for a in range(bias):
                total += rows[row, a] * columns[indices[k], a]
            signals[k] = total


@fast_kernel
def squared_errors(
    first: int,
    last: int,
    indptr: Array,  # (rows + 1,)
    indices: Array,  # (ratings,)
    values: Array,  # (ratings,)
    rows: Array,  # (rows, size) vectors with the bias last
    columns: Array,  # (columns, size)
    mean: float,
    errors: Array,  # (rows,) out
) -> None:
    """Fill in each row's sum of squared errors: a number for each rating would fill as much memory as the ratings."""
    bias = rows.shape[1] - 1
    for row in range(first, last):
        errors[row] = 0.0
        for k in range(indptr[row], indptr[row + 1]):
            rest = values[k] - mean - rows[row, bias] - columns[indices[k], bias]
            for a in range(bias):
                rest -= rows[row, a] * columns[indices[k], a]
            errors[row] += rest * rest
