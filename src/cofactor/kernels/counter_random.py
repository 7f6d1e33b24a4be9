"""Random numbers that depend on what they are for and never on which thread asks.

Model: a stream is named by a key, and its k-th number is a hash of key and k, so that a kernel can draw the
numbers of one row, of one sweep, of one seed, without having drawn any other.

Relies on nothing: every key and every number gives a sound stream.

Algorithm: the SplitMix64 finaliser as the hash; normals and truncated normals by inverting the distribution
function.

Reference: Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators"; Wichura (1988),
"Algorithm AS 241: the percentage points of the normal distribution"; Marsaglia and Tsang (2000), "A simple
method for generating gamma variables".
"""

import math

import numpy as np

from cofactor.kernels.compiling import kernel

__all__ = ["child_key", "fill_normals", "gamma", "normal", "normal_probability", "normal_quantile", "subkey", "uniform"]

_TRIES = 1_000  # of which each succeeds with a probability of 0.95 or more
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_SHIFT_30, _SHIFT_27, _SHIFT_31, _SHIFT_11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_ROOT_HALF = math.sqrt(0.5)


@kernel
def child_key(key: np.uint64, number: int) -> np.uint64:
    """Return the key of the stream that `number` names below `key`."""
    z = key + (np.uint64(number) + np.uint64(1)) * _GOLDEN
    z = (z ^ (z >> _SHIFT_30)) * _FIRST
    z = (z ^ (z >> _SHIFT_27)) * _SECOND
    return z ^ (z >> _SHIFT_31)


def subkey(key: np.uint64, number: int) -> np.uint64:
    """Return `child_key` as the integer type that kernels take."""
    return np.uint64(child_key(key, number))


@kernel
def uniform(key: np.uint64, number: int) -> float:
    """Return the stream's `number`-th uniform, strictly between 0 and 1."""
    return (float(child_key(key, number) >> _SHIFT_11) + 0.5) * 2.0**-53


@kernel
def normal(key: np.uint64, number: int) -> float:
    """Return the stream's `number`-th standard normal."""
    return normal_quantile(uniform(key, number))


@kernel
def fill_normals(key: np.uint64, spread: float, table: np.ndarray) -> None:
    """Fill `table` (rows, columns) with normals of standard deviation `spread`."""
    for row in range(table.shape[0]):
        for column in range(table.shape[1]):
            table[row, column] = spread * normal(child_key(key, row), column)


@kernel
def gamma(key: np.uint64, shape: float) -> float:
    """Return a gamma variate of the given shape and scale one (Marsaglia and Tsang 2000); NaN for no shape."""
    boost = 1.0
    if shape < 1.0:
        boost = uniform(key, np.int64(-1)) ** (1.0 / shape)
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    number = np.int64(0)  # not a literal, for which a kernel of its own would be compiled
    while number < 2 * _TRIES:
        x = normal(key, number)
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(uniform(key, number + 1)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return boost * d * v
        number += 2
    return np.nan  # of no shape that a gamma variate has


@kernel
def normal_probability(x: float) -> float:
    """Return the standard normal's distribution function at x."""
    return 0.5 * math.erfc(-x * _ROOT_HALF)


@kernel
def normal_quantile(p: float) -> float:
    """Return the standard normal's quantile at 0 < p < 1, to 16 digits (AS 241, routine PPND16)."""
    q = p - 0.5
    if abs(q) <= 0.425:
        return q * _central_ratio(0.180625 - q * q)
    r = math.sqrt(-math.log(p if q < 0.0 else 1.0 - p))
    tail = _near_tail(r - 1.6) if r <= 5.0 else _far_tail(r - 5.0)
    return -tail if q < 0.0 else tail


@kernel
def _central_ratio(r: float) -> float:
    above = 2.5090809287301226727e3 * r + 3.3430575583588128105e4
    above = (above * r + 6.7265770927008700853e4) * r + 4.5921953931549871457e4
    above = (above * r + 1.3731693765509461125e4) * r + 1.9715909503065514427e3
    above = (above * r + 1.3314166789178437745e2) * r + 3.3871328727963666080e0
    below = 5.2264952788528545610e3 * r + 2.8729085735721942674e4
    below = (below * r + 3.9307895800092710610e4) * r + 2.1213794301586595867e4
    below = (below * r + 5.3941960214247511077e3) * r + 6.8718700749205790830e2
    below = (below * r + 4.2313330701600911252e1) * r + 1.0
    return above / below


@kernel
def _near_tail(r: float) -> float:
    above = 7.74545014278341407640e-4 * r + 2.27238449892691845833e-2
    above = (above * r + 2.41780725177450611770e-1) * r + 1.27045825245236838258e0
    above = (above * r + 3.64784832476320460504e0) * r + 5.76949722146069140550e0
    above = (above * r + 4.63033784615654529590e0) * r + 1.42343711074968357734e0
    below = 1.05075007164441684324e-9 * r + 5.47593808499534494600e-4
    below = (below * r + 1.51986665636164571966e-2) * r + 1.48103976427480074590e-1
    below = (below * r + 6.89767334985100004550e-1) * r + 1.67638483018380384940e0
    below = (below * r + 2.05319162663775882187e0) * r + 1.0
    return above / below


@kernel
def _far_tail(r: float) -> float:
    above = 2.01033439929228813265e-7 * r + 2.71155556874348757815e-5
    above = (above * r + 1.24266094738807843860e-3) * r + 2.65321895265761230930e-2
    above = (above * r + 2.96560571828504891230e-1) * r + 1.78482653991729133580e0
    above = (above * r + 5.46378491116411436990e0) * r + 6.65790464350110377720e0
    below = 2.04426310338993978564e-15 * r + 1.42151175831644588870e-7
    below = (below * r + 1.84631831751005468180e-5) * r + 7.86869131145613259100e-4
    below = (below * r + 1.48753612908506148525e-2) * r + 1.36929880922735805310e-1
    below = (below * r + 5.99832206555887937690e-1) * r + 1.0
    return above / below
