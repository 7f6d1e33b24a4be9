"""Treat stars as ordered classes: a latent opinion falls between two cut points.

Model: opinion = p_u . q_i + b_u + c_i + noise, the noise of precision one times the user's and the item's
weight; the rating is level k if the opinion lies between cut points k and k + 1, the first minus and the last
plus infinity.

Loss: none is minimized; the prediction is the expected level under the predictive distribution.

Algorithm: given the vectors, opinions are truncated normals, and given the opinions the vectors have a normal
posterior as if opinions were ratings. Cut points move by a random walk, accepted or not with the opinions
integrated out.

Reference: Albert and Chib (1993), "Bayesian analysis of binary and polychotomous response data"; Cowles
(1996), "Accelerating Monte Carlo Markov chain convergence for cumulative-link generalized linear models".

Relies on levels between cut points that rise, and on draws of the shapes that `Posterior.check_parameters` checks.
"""

import math
from dataclasses import dataclass

import numpy as np

from cofactor.kernels.compiling import kernel, readable
from cofactor.kernels.counter_random import normal, normal_probability, normal_quantile, subkey, uniform
from cofactor.kernels.threads import share_out
from cofactor.model.bayesian.chain import Problem, signals_of
from cofactor.model.bayesian.row_system import Array, Ratings, even_tasks, share_rows
from cofactor.model.bayesian.state import Chain, Draws, KeptSide

__all__ = [
    "OrderedProbit",
    "between",
    "bring_to_ratings",
    "draw_opinions",
    "fill_expected",
    "fill_probabilities",
    "log_likelihoods",
    "truncated_normal",
]

_STILL_SWEEPS = 5  # sweeps before the cut points move
_ACCEPTED = 0.3  # share of proposals that the step size aims at
_TINY = 1e-300
_EFFORT = 100  # operations that a rating takes, most of them for the normal distribution
_SAMPLED = 100_000  # ratings that a straight line is laid through


@kernel
def between(low: float, high: float) -> float:
    """Return the standard normal's probability between two points, precise in both tails."""
    if low > 0.0:
        low, high = -high, -low
    return normal_probability(high) - normal_probability(low)


@kernel
def truncated_normal(low: float, high: float, p: float) -> float:
    """Return the quantile at p of a standard normal known to lie between `low` and `high`."""
    sign = 1.0
    if low > 0.0:
        low, high, sign = -high, -low, -1.0
    below, above = normal_probability(low), normal_probability(high)
    quantile = normal_quantile(min(max(below + p * (above - below), _TINY), 1.0 - 1e-16))
    return sign * min(max(quantile, low), high)


@kernel
def log_likelihoods(
    first: int,
    last: int,
    indptr: Array,
    indices: Array,
    levels: Array,
    signals: Array,
    users: Array,
    items: Array,
    cuts: Array,
    sums: Array,
) -> None:
    """Fill `sums` (users,) with each user's log likelihood; `users` and `items` are root weights."""
    for user in range(first, last):
        sums[user] = 0.0
        for k in range(indptr[user], indptr[user + 1]):
            root = users[user] * items[indices[k]]
            low, high = cuts[levels[k]] - signals[k], cuts[levels[k] + 1] - signals[k]
            sums[user] += math.log(max(between(root * low, root * high), _TINY))


@kernel
def draw_opinions(
    first: int,
    last: int,
    indptr: Array,
    indices: Array,
    levels: Array,
    signals: Array,
    users: Array,
    items: Array,
    cuts: Array,
    key: np.uint64,
    opinions: Array,
) -> None:
    """Draw `opinions` (ratings,), each between the cut points of its level."""
    for user in range(first, last):
        for k in range(indptr[user], indptr[user + 1]):
            root = users[user] * items[indices[k]]
            low, high = cuts[levels[k]] - signals[k], cuts[levels[k] + 1] - signals[k]
            opinions[k] = signals[k] + truncated_normal(root * low, root * high, uniform(key, k)) / root


@dataclass(frozen=True)
class OrderedProbit:
    """Ratings are ordered classes; see the module's text."""

    values: Array  # (levels,) what each level is worth, ascending
    levels: Array  # (ratings,) int16, by user
    order: Array  # (ratings,) places of the ratings by item among those by user

    @classmethod
    def of(cls, problem: Problem) -> "OrderedProbit":
        """Return the likelihood for the levels that occur in the ratings."""
        values = np.unique(problem.by_user.values)
        levels = np.searchsorted(values, problem.by_user.values).astype(np.int16)
        return cls(values.astype(np.float64), levels, np.argsort(problem.by_user.indices, kind="stable"))

    def start(self, problem: Problem) -> tuple[float, Array]:
        """Return no mean, and cut points that give each level its share."""
        shares = np.cumsum(np.bincount(self.levels, minlength=len(self.values)))[:-1] / max(len(self.levels), 1)
        inner = [1.2 * normal_quantile(share) for share in shares]
        return 0.0, np.array([-np.inf, *inner, np.inf])

    def targets(self, problem: Problem, chain: Chain, key: np.uint64) -> tuple[Array, Array]:
        """Move the cut points, then draw opinions."""
        rows = problem.by_user
        signals, opinions = signals_of(rows, chain), np.empty(len(rows.indices), np.float32)
        roots = np.sqrt(chain.users.weights), np.sqrt(chain.items.weights)
        if chain.sweep >= _STILL_SWEEPS:
            self._move_cuts(rows, signals, roots, chain, subkey(key, 0))
        given = rows.indptr, rows.indices, self.levels, signals, *roots, chain.cuts
        share_rows(draw_opinions, rows, _EFFORT, *given, subkey(key, 1), opinions)
        return readable(opinions), readable(opinions[self.order])

    def noise(self, problem: Problem, chain: Chain, key: np.uint64) -> float:
        """Return one: the cut points set the scale."""
        return 1.0

    def training_error(self, problem: Problem, chain: Chain) -> float:
        """Return the mean squared error of the levels that the present draw's opinions fall in without noise."""
        nearest = self.values[np.searchsorted(chain.cuts[1:-1], signals_of(problem.by_user, chain))]
        return float(np.mean((problem.by_user.values - nearest) ** 2))

    def straight_line(self, problem: Problem, chain: Chain) -> tuple[float, float]:
        """Return shift and factor of the straight line that is nearest to the expected ratings over opinions."""
        rows, every = problem.by_user, max(1, len(self.levels) // _SAMPLED)
        users = np.repeat(np.arange(len(rows.counts)), rows.counts)[::every]
        signals = signals_of(rows, chain)[::every].copy()
        precisions = chain.users.weights[users] * chain.items.weights[rows.indices[::every]]
        table = np.zeros((len(signals), len(self.values)))
        share_out(fill_probabilities, even_tasks(len(signals)), signals, precisions, chain.cuts, table)
        expected, centred = table @ self.values, signals - signals.mean()
        slope = float(centred @ expected) / max(float(centred @ centred), _TINY)
        factor = slope if slope > 0 else float(np.ptp(self.values))
        return float(expected.mean() - factor * signals.mean()), factor

    def _move_cuts(
        self, rows: Ratings, signals: Array, roots: tuple[Array, Array], chain: Chain, key: np.uint64
    ) -> None:
        def fits(cuts: Array) -> Array:
            sums = np.empty(len(roots[0]))
            given = rows.indptr, rows.indices, self.levels, signals, *roots, cuts
            share_rows(log_likelihoods, rows, _EFFORT, *given, sums)
            return sums

        moves = chain.step * np.array([normal(key, a) for a in range(len(chain.cuts))])
        proposal = chain.cuts + moves  # the two infinities stay
        accepted = bool(np.all(np.diff(proposal) > 0))
        if accepted:
            gain = np.sum(fits(proposal) - fits(chain.cuts))
            accepted = bool(math.log(uniform(key, -1)) < gain)
        chain.cuts = proposal if accepted else chain.cuts
        chain.step = np.array(chain.step * math.exp((accepted - _ACCEPTED) / math.sqrt(chain.sweep + 1.0)))


@kernel
def fill_probabilities(
    first: int,
    last: int,
    signals: Array,  # (pairs,)
    precisions: Array,  # (pairs,) of the noise
    cuts: Array,  # (levels + 1,)
    table: Array,  # (pairs, levels) out: what is there is added to
) -> None:
    """Add the probability of each level, given one draw."""
    for k in range(first, last):
        root = math.sqrt(precisions[k])
        for level in range(len(cuts) - 1):
            table[k, level] += between(root * (cuts[level] - signals[k]), root * (cuts[level + 1] - signals[k]))


@kernel
def fill_expected(
    first: int,
    last: int,
    signals: Array,  # (rows, columns) in: the signals, out: the expected values
    row_roots: Array,  # (rows,) roots of the noise precision
    column_roots: Array,  # (columns,)
    cuts: Array,  # (levels + 1,)
    values: Array,  # (levels,)
) -> None:
    """Turn signals into the value that is expected of a rating, given one draw."""
    for row in range(first, last):
        for column in range(signals.shape[1]):
            root, signal = row_roots[row] * column_roots[column], signals[row, column]
            total = values[0]
            for level in range(1, len(values)):
                total += (values[level] - values[level - 1]) * normal_probability(root * (signal - cuts[level]))
            signals[row, column] = total


def bring_to_ratings(draws: Draws, shift: float, factor: float) -> None:
    """Multiply all that the draws predict, and the cut points, by a factor and shift it, in place."""
    draws.mean[...] = shift + factor * draws.mean
    draws.noise /= factor**2
    draws.cuts[...] = shift + factor * draws.cuts
    for side in (draws.users, draws.items):
        _stretch(side, factor)


def _stretch(side: KeptSide, factor: float) -> None:
    """Multiply a side's biases by the factor, and its vectors by the root of it, in place."""
    stretch = np.full(side.mean.shape[1], math.sqrt(factor))
    stretch[-1] = factor
    side.vectors *= np.float32(stretch[0])
    side.bias *= np.float32(factor)
    side.mean *= stretch
    side.precision /= np.outer(stretch, stretch)
    for block in side.loadings:
        block *= stretch.astype(np.float32)
