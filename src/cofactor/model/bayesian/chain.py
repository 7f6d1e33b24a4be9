"""Factor a rating matrix by drawing from the posterior of all its factors.

Model: rating = mean + p_u . q_i + b_u + c_i + noise. The rows [p_u, b_u] are normal with a mean and a
precision matrix that are drawn too, and so are [q_i, c_i]; features of a row (see `Features`) move its mean.
Noise differs by user and by item. For an ordered probit the left side is a latent variable that cut points
turn into stars.

Loss: none is minimized, and there is nothing to tune but rank and sweeps; predictions are averages over draws
from the posterior, which is what minimizes the expected squared error.

Algorithm: Gibbs sampling. A sweep draws the noise of the likelihood, then for users and for items: the rows'
common prior, the features' loadings, the rows, the rows' noise weights. All random numbers hang on (seed,
sweep, purpose, row), so results do not depend on the number of threads, and a chain that is stored and
resumed goes on with the same bits.

Reference: Salakhutdinov and Mnih (2008), "Bayesian probabilistic matrix factorization using Markov chain
Monte Carlo"; Rendle, Zhang and Koren (2019), "On the difficulty of evaluating baselines".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from cofactor.kernels.compiling import readable
from cofactor.kernels.counter_random import fill_normals, subkey
from cofactor.model.bayesian.priors import FREEDOMS, draw_freedom, draw_noise, draw_prior, draw_ratio, draw_weights
from cofactor.model.bayesian.row_system import Array, Ratings, padded_width, share_rows
from cofactor.model.bayesian.rows import draw_loadings, draw_rows, rating_signals, squared_errors
from cofactor.model.bayesian.state import Chain, Draws, Side, empty_kept, keep_side

__all__ = [
    "Features",
    "Gaussian",
    "Likelihood",
    "Problem",
    "attribute_features",
    "implicit_features",
    "keep",
    "signals_of",
    "start_chain",
    "sweep_once",
]

_START_SPREAD = 0.1  # standard deviation of the first vectors
_EVEN_SWEEPS = 5  # sweeps before noise weights are drawn: vectors must mean something first


@dataclass(frozen=True)
class Features:
    """What is known of a side's rows, in compressed columns: who has a feature, and with which weight."""

    indptr: Array  # (features + 1,) int64
    indices: Array  # (entries,) int32
    weights: Array  # (entries,) float32
    like_rows: bool = False  # whether loadings vary as rows do, but for one number; else as they like


def implicit_features(rows: Ratings, columns: Ratings) -> Features:
    """Return the columns that each row has rated as its features, of weight 1 / root of their number."""
    scale = 1.0 / np.sqrt(np.maximum(rows.counts, 1))
    return Features(columns.indptr, columns.indices, readable(scale[columns.indices].astype(np.float32)))


def attribute_features(design: sparse.csr_array) -> Features:
    """Return the columns of a table of attributes (rows, columns) as features of its rows."""
    by_column = sparse.csc_array(design)
    indptr, indices = readable(by_column.indptr, np.int64), readable(by_column.indices, np.int32)
    return Features(indptr, indices, readable(by_column.data, np.float32), like_rows=True)


@dataclass(frozen=True)
class Problem:
    """The ratings by user and by item, and what is known of each side."""

    by_user: Ratings
    by_item: Ratings
    user_features: tuple[Features, ...] = ()
    item_features: tuple[Features, ...] = ()


class Likelihood(Protocol):
    """How ratings come of what the vectors say."""

    def start(self, problem: Problem) -> tuple[float, Array]:
        """Return the global mean and the first cut points."""

    def targets(self, problem: Problem, chain: Chain, key: np.uint64) -> tuple[Array, Array]:
        """Return what the vectors have to fit in this sweep, in the order of users and in that of items."""

    def noise(self, problem: Problem, chain: Chain, key: np.uint64) -> float:
        """Return a draw of the noise precision."""

    def training_error(self, problem: Problem, chain: Chain) -> float:
        """Return the mean squared error of the present draw on the ratings."""


@dataclass(frozen=True)
class Gaussian:
    """Ratings are numbers with normal noise."""

    def start(self, problem: Problem) -> tuple[float, Array]:
        """Return the mean rating and no cut points."""
        values = problem.by_user.values
        return float(values.mean(dtype=np.float64)) if len(values) else 0.0, np.zeros(0)

    def targets(self, problem: Problem, chain: Chain, key: np.uint64) -> tuple[Array, Array]:
        """Return the ratings themselves."""
        return problem.by_user.values, problem.by_item.values

    def noise(self, problem: Problem, chain: Chain, key: np.uint64) -> float:
        """Return a draw from the noise precision's gamma posterior."""
        return float(draw_noise(len(problem.by_item.values), chain.items.weights, chain.items.errors, key))

    def training_error(self, problem: Problem, chain: Chain) -> float:
        """Return the mean squared error of the present draw on the ratings."""
        rows, errors = problem.by_user, np.empty(len(chain.users.vectors))
        sides = chain.users.vectors, chain.items.vectors
        given = rows.indptr, rows.indices, rows.values, *sides, float(chain.mean)
        share_rows(squared_errors, rows, sides[0].shape[1], *given, errors)
        return float(errors.sum()) / len(rows.values)


def signals_of(by_user: Ratings, chain: Chain) -> Array:
    """Return p_u . q_i + b_u + c_i of the present draw for each rating (ratings,)."""
    signals = np.empty(len(by_user.indices))
    rows = by_user.indptr, by_user.indices, chain.users.vectors, chain.items.vectors
    share_rows(rating_signals, by_user, chain.users.vectors.shape[1], *rows, signals)
    return signals


def start_side(rows: Ratings, features: Sequence[Features], size: int, key: np.uint64) -> Side:
    """Return the first draw: small vectors, no bias, no loadings, the same noise for all."""
    count = len(rows.indptr) - 1
    vectors = np.zeros((count, size))
    fill_normals(key, _START_SPREAD, vectors[:, :-1])
    return Side(
        vectors=vectors,
        links=np.zeros((count, size)),
        mean=np.zeros(size),
        precision=np.eye(size),
        weights=np.ones(count),
        errors=np.zeros(count),
        freedom=np.array(FREEDOMS[-1]),
        loadings=tuple(np.zeros((len(block.indptr) - 1, size)) for block in features),
    )


def start_chain(problem: Problem, likelihood: Likelihood, *, rank: int, kept: int, seed: int) -> Chain:
    """Return a chain that has done no sweep and has room to keep some draws."""
    size, key = rank + 1, subkey(np.uint64(seed), 0)
    users = start_side(problem.by_user, problem.user_features, size, subkey(key, 0))
    items = start_side(problem.by_item, problem.item_features, size, subkey(key, 1))
    mean, cuts = likelihood.start(problem)
    return Chain(
        sweep=np.array(0),
        mean=np.array(mean),
        noise=np.array(1.0),
        cuts=cuts,
        step=np.array(0.02),
        users=users,
        items=items,
        kept=Draws(
            mean=np.array(mean),
            noise=np.zeros(kept),
            cuts=np.zeros((kept, len(cuts))),
            users=empty_kept(users, kept),
            items=empty_kept(items, kept),
        ),
    )


def draw_means(side: Side, features: Sequence[Features], key: np.uint64) -> Array:
    """Draw the rows' common prior and the loadings; return the rows' prior means (rows, size)."""
    size = side.vectors.shape[1]
    width = padded_width(size + 1)
    if not features:
        draw_prior(side.vectors, width, subkey(key, 0), side.mean, side.precision)
        return np.tile(side.mean, (len(side.vectors), 1))  # and links stay zeros, which take no memory
    residual = side.vectors - side.links
    draw_prior(residual, width, subkey(key, 0), side.mean, side.precision)
    residual -= side.mean
    for number, (block, loadings) in enumerate(zip(features, side.loadings, strict=True), start=1):
        mean, precision = np.zeros(size), np.zeros((size, size))
        if block.like_rows:
            precision = draw_ratio(loadings, side.precision, subkey(key, 2 * number)) * side.precision
        else:
            draw_prior(loadings, width, subkey(key, 2 * number), mean, precision)
        draw_loadings(
            block.indptr,
            block.indices,
            block.weights,
            mean,
            precision,
            side.precision,
            width,
            subkey(key, 2 * number + 1),
            loadings,
            residual,
        )
    means: Array = np.subtract(side.vectors, residual, out=residual)  # in place: a side may be large
    np.subtract(means, side.mean, out=side.links)
    return means


def column_design(side: Side, mean: float) -> tuple[Array, Array]:
    """Return the (columns, width) design that rows are drawn from, and their ratings' (columns,) offsets."""
    count, size = side.vectors.shape
    roots = np.sqrt(side.weights)
    design = np.zeros((count, padded_width(size + 1)), np.float32)
    np.multiply(side.vectors[:, :-1], roots[:, None], out=design[:, : size - 1], casting="same_kind")
    design[:, size - 1] = design[:, size] = roots  # the bias's one, and the target's scale
    return design, mean + side.vectors[:, -1]


def draw_side(
    side: Side,
    other: Side,
    ratings: Ratings,
    features: Sequence[Features],
    values: Array,
    chain: Chain,
    key: np.uint64,
) -> None:
    """Draw everything of one side, given the other side."""
    means = draw_means(side, features, subkey(key, 0))
    design, offsets = column_design(other, float(chain.mean))
    share_rows(
        draw_rows,
        ratings,
        design.shape[1] ** 2,
        ratings.indptr,
        ratings.indices,
        values,
        design,
        offsets,
        chain.noise * side.weights,
        means,
        side.precision,
        subkey(key, 1),
        1.0,
        side.vectors,
        side.errors,
    )
    if chain.sweep >= _EVEN_SWEEPS:
        freedom = draw_freedom(side.weights, FREEDOMS, subkey(key, 2))
        draw_weights(ratings.counts, side.errors, float(chain.noise), freedom, subkey(key, 3), side.weights)
        side.freedom = np.array(freedom)


def sweep_once(problem: Problem, chain: Chain, likelihood: Likelihood, seed: int) -> None:
    """Draw everything once."""
    key = subkey(subkey(np.uint64(seed), 1), int(chain.sweep))
    users, items = chain.users, chain.items
    by_user, by_item = likelihood.targets(problem, chain, subkey(key, 0))
    draw_side(users, items, problem.by_user, problem.user_features, by_user, chain, subkey(key, 1))
    draw_side(items, users, problem.by_item, problem.item_features, by_item, chain, subkey(key, 2))
    chain.noise = np.array(likelihood.noise(problem, chain, subkey(key, 3)))
    chain.sweep = np.array(int(chain.sweep) + 1)


def keep(chain: Chain, place: int) -> None:
    """Store the present draw at its place among the kept ones."""
    keep_side(chain.kept.users, chain.users, place)
    keep_side(chain.kept.items, chain.items, place)
    chain.kept.noise[place], chain.kept.cuts[place] = chain.noise, chain.cuts
