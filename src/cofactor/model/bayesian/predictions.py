"""Predict from kept draws, and place new rows among them.

Model: as in `chain`: a rating is normal about mean + p_u . q_i + b_u + c_i in each draw, or its latent
opinion is.

Algorithm: a prediction is the average over draws; its spread is how much draws differ; a new rating varies by
the spread and by the noise. A new row's vector in a draw is normal given that draw's columns, prior and
noise; its own noise weight, which depends on its errors, is settled in a few rounds.

Reference: Salakhutdinov and Mnih (2008), "Bayesian probabilistic matrix factorization using Markov chain
Monte Carlo".

Relies on rows that are there and on draws of the shapes that `Posterior.check_parameters` checks, and `draws_of` again.
"""

import functools

import numpy as np
from scipy import sparse

from cofactor.kernels.compiling import kernel, readable
from cofactor.kernels.counter_random import fill_normals
from cofactor.kernels.threads import share_out
from cofactor.model.bayesian.probit import fill_probabilities
from cofactor.model.bayesian.row_system import (
    TOGETHER,
    Array,
    Ratings,
    eliminate,
    even_tasks,
    padded_width,
    row_sums,
    squared_error,
    substitute,
)
from cofactor.model.bayesian.rows import fill_system
from cofactor.model.bayesian.state import Draws, KeptSide

__all__ = ["draw_signals", "implicit_links", "level_probabilities", "posterior_rows", "without_opinion"]

_ROWS_AT_ONCE = 2048
_ROUNDS = 3  # solutions of a new row, each with the noise weight that the one before asks for


@kernel
def pair_signals(
    first: int,
    last: int,
    users: Array,  # (pairs,)
    items: Array,  # (pairs,)
    user_vectors: Array,  # (rows, draws, rank)
    item_vectors: Array,
    user_bias: Array,  # (rows, draws)
    item_bias: Array,
    signals: Array,  # (pairs, draws) out
) -> None:
    """Fill in p_u . q_i + b_u + c_i."""
    draws, rank = user_vectors.shape[1:]
    for k in range(first, last):
        user, item = users[k], items[k]
        for draw in range(draws):
            total = 0.0
            for a in range(rank):
                total += np.float64(user_vectors[user, draw, a]) * np.float64(item_vectors[item, draw, a])
            signals[k, draw] = draws * total + np.float64(user_bias[user, draw]) + np.float64(item_bias[item, draw])


def draw_signals(draws: Draws, users: Array, items: Array) -> tuple[Array, Array]:
    """Return signals and noise precisions (pairs, draws) of the pairs in each draw."""
    signals = np.empty((len(users), len(draws.noise)))
    pairs = np.ascontiguousarray(users, np.int64), np.ascontiguousarray(items, np.int64)
    tables = draws.users.vectors, draws.items.vectors, draws.users.bias, draws.items.bias
    share_out(pair_signals, even_tasks(len(users)), *pairs, *tables, signals)
    signals += float(draws.mean)
    precisions = draws.noise * draws.users.weights[users].astype(float) * draws.items.weights[items]
    return signals, precisions


def level_probabilities(draws: Draws, signals: Array, precisions: Array) -> Array:
    """Return the (pairs, levels) predictive probabilities of an ordered probit, averaged over the draws."""
    table = np.zeros((len(signals), draws.cuts.shape[1] - 1))
    for draw, cuts in enumerate(draws.cuts):
        given = signals[:, draw].copy(), precisions[:, draw].copy(), cuts.copy()
        share_out(fill_probabilities, even_tasks(len(signals)), *given, table)
    return table / len(draws.noise)


def implicit_links(rows: Ratings, loadings: Array) -> Array:
    """Return what implicit feedback adds to new rows' prior means (rows, draws, size).

    Columns that came after the training have no loadings and add nothing.
    """
    weights = np.repeat(1.0 / np.sqrt(np.maximum(rows.counts, 1)), rows.counts)
    weights[rows.indices >= len(loadings)] = 0
    met, places = np.unique(np.minimum(rows.indices, len(loadings) - 1), return_inverse=True)  # a visitor meets few
    pattern = sparse.csr_array((weights, places, rows.indptr), shape=(len(rows.indptr) - 1, len(met)))
    few = loadings[met].astype(np.float64).reshape(len(met), loadings[:1].size)
    return np.asarray(pattern @ few).reshape(-1, *loadings.shape[1:])


@kernel
def local_design(
    indices: Array,  # (ratings,)
    vectors: Array,  # (columns, draws, rank)
    bias: Array,  # (columns, draws)
    weights: Array,  # (columns, draws)
    mean: float,
    draw: int,
    design: Array,  # (ratings, width) out
    offsets: Array,  # (ratings,) out
) -> None:
    """Fill in the design and the offsets of one row's ratings in one draw."""
    draws, rank = vectors.shape[1:]
    for k in range(len(indices)):
        root = np.sqrt(weights[indices[k], draw])
        for a in range(rank):
            design[k, a] = root * np.sqrt(draws) * vectors[indices[k], draw, a]
        design[k, rank] = design[k, rank + 1] = root
        offsets[k] = mean + bias[indices[k], draw]


@kernel
def place_rows(
    first: int,
    last: int,
    indptr: Array,  # (rows + 1,)
    indices: Array,  # (ratings,) columns
    values: Array,  # (ratings,)
    vectors: Array,  # (columns, draws, rank)
    bias: Array,  # (columns, draws)
    weights: Array,  # (columns, draws)
    mean: float,
    noise: Array,  # (draws,)
    means: Array,  # (rows, draws, size) of the prior
    precision: Array,  # (draws, size, size) of the prior
    freedom: Array,  # (draws,) of the noise weights
    normals: Array,  # (draws, size) standard normals; zeros give the means
    placed: Array,  # (rows, draws, size) out
    placed_weights: Array,  # (rows, draws) out
) -> None:
    """Place the new rows from ``first`` to ``last`` in every draw."""
    draws, size = placed.shape[1:]
    width = padded_width(size + 1)
    block, part = np.zeros((TOGETHER, width), np.float32), np.zeros((size + 1, width), np.float32)
    gram, system = np.zeros((size + 1, width)), np.zeros((size, width))
    vector = np.zeros(size)
    for row in range(first, last):
        start, count = indptr[row], indptr[row + 1] - indptr[row]
        own, place, offsets = np.array([0, count]), np.arange(count), np.empty(count)
        design = np.zeros((count, width), np.float32)
        for draw in range(draws):
            local_design(indices[start : start + count], vectors, bias, weights, mean, draw, design, offsets)
            row_sums(own, place, values[start : start + count], design, offsets, 0, block, part, gram)
            weight = 1.0
            for _ in range(_ROUNDS):
                fill_system(gram, noise[draw] * weight, precision[draw], means[row, draw], system)
                eliminate(system, size)
                substitute(system, size, normals[draw], vector)
                error = squared_error(gram, vector, size)
                weight = (freedom[draw] + count) / (freedom[draw] + noise[draw] * error)
            for a in range(size):
                placed[row, draw, a] = vector[a]
            placed_weights[row, draw] = weight


def posterior_rows(
    ratings: Ratings,
    rows: KeptSide,
    columns: KeptSide,
    draws: Draws,
    *,
    seed: int,
    spread: float,
    means: Array | None = None,
) -> KeptSide:
    """Place new rows: return their vectors, biases and noise weights beside what all rows of their side share.

    Every row has the same normals, which are centred over the draws: what a row gets depends on its ratings
    alone, and the average over the draws is the posterior mean, as far as the draws of the columns tell.

    Parameters
    ----------
    ratings
        The new rows' ratings, their columns being rows of `columns`.
    rows, columns
        The side that the new rows belong to, and the other side.
    draws
        The draws that both sides are of.
    seed
        Of the draws' normals.
    spread
        1 for draws, so that predictions have an honest spread; 0 for the posterior mean in each draw.
    means
        The new rows' prior means (rows, draws, size), where attributes say more than what all rows share.
    """
    count, (kept, size) = len(ratings.indptr) - 1, rows.mean.shape
    normals = _centred_normals(seed, spread, kept, size)
    vectors, bias = np.empty((count, kept, size - 1), np.float32), np.empty((count, kept), np.float32)
    weights = np.empty_like(bias)
    for start in range(0, count, _ROWS_AT_ONCE):
        part = slice(start, min(start + _ROWS_AT_ONCE, count))
        own = None if means is None else means[part]
        placed, weights[part] = _placed(ratings.part(part), rows, columns, draws, normals, own)
        vectors[part], bias[part] = placed[..., :-1] / np.sqrt(kept), placed[..., -1]
    return KeptSide(vectors, bias, weights, rows.mean, rows.precision, rows.freedom, rows.loadings)


@functools.lru_cache(maxsize=8)
def _centred_normals(seed: int, spread: float, kept: int, size: int) -> Array:
    """Return normals (kept, size) whose mean over the draws is zero; the same for every visitor, so made once."""
    normals = np.empty((kept, size))
    fill_normals(np.uint64(seed), spread, normals)
    return readable((normals - normals.mean(axis=0)) * np.sqrt(kept / max(kept - 1, 1)))


def _placed(
    ratings: Ratings, rows: KeptSide, columns: KeptSide, draws: Draws, normals: Array, means: Array | None
) -> tuple[Array, Array]:
    """Return some rows' vectors with their biases (rows, draws, size), and their noise weights (rows, draws)."""
    means = np.zeros((len(ratings.counts), *normals.shape)) + (rows.mean if means is None else means)
    for loadings in rows.loadings:
        means += implicit_links(ratings, loadings)
    placed, weights = np.empty_like(means), np.empty(means.shape[:2], np.float32)
    share_out(
        place_rows,
        even_tasks(len(means), 16),
        ratings.indptr,
        ratings.indices,
        ratings.values,
        columns.vectors,
        columns.bias,
        columns.weights,
        float(draws.mean),
        draws.noise,
        means,
        rows.precision,
        rows.freedom,
        normals,
        placed,
        weights,
    )
    return placed, weights


def without_opinion(side: KeptSide, unrated: Array, means: Array | None = None) -> None:
    """Take from rows without ratings what chance gave them.

    Their vectors become zero, and their biases those of the average row; or both become the rows' prior means
    (unrated rows, draws, size), where attributes say something. Biases still differ from draw to draw as much as rows
    do, so that their spread is large.
    """
    average = side.mean[:, -1].mean() if means is None else means[..., -1].mean(axis=1, keepdims=True)
    side.vectors[unrated] = 0.0 if means is None else means[..., :-1] / np.sqrt(len(side.mean))
    side.bias[unrated] += average - side.bias[unrated].mean(axis=1, keepdims=True)
