"""Draw what the rows of a matrix have in common: their mean and precision, and how noisy each of them is.

Model: rows are normal with mean mu and precision Lambda, which have a normal-Wishart prior: Lambda of `size`
degrees of freedom and unit scale, mu of zero mean and the precision of one row. A rating's noise has the
precision alpha times its user's weight times its item's weight; the weights of one side are gamma variates of
mean one and nu degrees of freedom; nu is one of a grid of values, alike probable; alpha is a gamma variate of
shape and rate one.

Algorithm: every conditional distribution is drawn exactly; the Wishart matrix by Bartlett's decomposition.

Relies on arrays of a chain that are all of one shape, as `cofactor.model.bayesian.state` makes and checks them.

Reference: Salakhutdinov and Mnih (2008), "Bayesian probabilistic matrix factorization using Markov chain
Monte Carlo"; Lakshminarayanan, Bouchard and Archambeau (2011), "Robust Bayesian matrix factorisation".
"""

import math

import numpy as np
from scipy.special import gammaln

from cofactor.kernels.compiling import kernel
from cofactor.kernels.counter_random import child_key, gamma, normal, subkey, uniform
from cofactor.model.bayesian.row_system import TOGETHER, Array, accumulate, eliminate, substitute

__all__ = ["FREEDOMS", "draw_freedom", "draw_noise", "draw_prior", "draw_ratio", "draw_weights"]

FREEDOMS = np.geomspace(1.0, 500.0, 120)  # the grid of nu; the last is as good as the same noise for all


@kernel
def centred_scatter(rows: Array, centre: Array, scatter: Array) -> None:
    """Fill `centre` (size,) with the rows' mean, `scatter` (size, width) with their squares about it: both zeros."""
    count, size = rows.shape
    for row in range(count):
        for a in range(size):
            centre[a] += rows[row, a]
    for a in range(size):
        centre[a] /= max(count, 1)
    block = np.zeros((TOGETHER, scatter.shape[1]))
    for start in range(0, count, TOGETHER):
        for q in range(TOGETHER):
            for a in range(size):
                block[q, a] = rows[start + q, a] - centre[a] if start + q < count else 0.0
        accumulate(block, scatter, size)


@kernel
def draw_wishart(system: Array, size: int, freedom: float, key: np.uint64, precision: Array) -> None:
    """Draw `precision` (size, size) from the Wishart whose inverse scale is eliminated into `system`.

    With S = U' D^-1 U the inverse scale and B Bartlett's triangle, M = U^-1 D^0.5 B has M M' ~ Wishart(S^-1).
    """
    root = np.zeros((size, size))  # M, a column a row
    bartlett = np.zeros(size)
    for c in range(size):
        for a in range(size):
            bartlett[a] = normal(child_key(key, c), a) if a > c else 0.0
        bartlett[c] = math.sqrt(2.0 * gamma(child_key(key, size + c), 0.5 * (freedom - c)))
        substitute(system, size, bartlett, root[c])
    for a in range(size):
        for c in range(size):
            total = 0.0
            for k in range(size):
                total += root[k, a] * root[k, c]
            precision[a, c] = total


def draw_prior(rows: Array, width: int, key: np.uint64, mean: Array, precision: Array) -> None:
    """Draw `mean` (size,) and `precision` (size, size) of the normal that `rows` (rows, size) come from."""
    count, size = rows.shape
    share = count / (count + 1.0)
    centre, system = np.zeros(size), np.zeros((size, width))
    centred_scatter(rows, centre, system)
    system[:, :size] += np.eye(size) + share * np.outer(centre, centre)
    eliminate(system, size)
    draw_wishart(system, size, float(size + count), subkey(key, 0), precision)
    of_mean = subkey(key, 1)
    normals = np.array([normal(of_mean, a) for a in range(size)]) / math.sqrt(count + 1.0)
    system[:, :size], system[:, size] = precision, 0.0
    eliminate(system, size)
    substitute(system, size, normals, mean)
    mean += share * centre


def draw_ratio(loadings: Array, precision: Array, key: np.uint64) -> float:
    """Draw how much more precise loadings (features, size) are than rows about their mean.

    Features that few rows share would say too much with a precision matrix of their own, whose prior is one of unit
    size; the prior of this number is a gamma variate of shape and rate one.
    """
    squares = float(np.einsum("ka,ab,kb->", loadings, precision, loadings))
    return float(gamma(key, 1.0 + 0.5 * loadings.size) / (1.0 + 0.5 * squares))


@kernel
def draw_weights(counts: Array, errors: Array, noise: float, freedom: float, key: np.uint64, weights: Array) -> None:
    """Draw the rows' `weights` from their squared errors, which the other side's weights are already in."""
    for row in range(len(counts)):
        shape = 0.5 * (freedom + counts[row])
        weights[row] = gamma(child_key(key, row), shape) / (0.5 * (freedom + noise * errors[row]))


def draw_freedom(weights: Array, freedoms: Array, key: np.uint64) -> float:
    """Draw the degrees of freedom that gamma variates of mean one were drawn with."""
    evidence = float(np.sum(np.log(weights) - weights))  # all that the weights tell of nu
    half = 0.5 * freedoms
    chances = len(weights) * (half * np.log(half) - gammaln(half)) + half * evidence
    chances = np.cumsum(np.exp(chances - chances.max()))
    place = min(np.searchsorted(chances, uniform(key, 0) * chances[-1]), len(freedoms) - 1)
    return float(freedoms[place])


def draw_noise(count: int, weights: Array, errors: Array, key: np.uint64) -> float:
    """Draw the noise precision alpha, given each row's weight and weighted squared error."""
    total = float(np.sum(weights * errors))  # not a product of BLAS, whose order of sums hangs on the threads
    return float(gamma(key, 1.0 + 0.5 * count) / (1.0 + 0.5 * total))
