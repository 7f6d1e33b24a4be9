"""Newcomers in a model of draws: their vectors, the room for them, and what a score comes from."""

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from cofactor.errors import DataError, SettingError
from cofactor.model.bayesian.packing import average_bias, draws_of, levels_of, side_by_side
from cofactor.model.bayesian.posterior import posterior_rows, without_opinion
from cofactor.model.bayesian.row_system import Array, Ratings
from cofactor.model.bayesian.state import Draws, KeptSide

if TYPE_CHECKING:
    from cofactor.model.factors import Factors

__all__ = ["grown_extras", "place_items", "place_users", "shares"]

_SEEDS = {"users": 0, "items": 1}
"""The same ratings always get the same vector. Chance on the two sides must differ: alike, it would raise products."""


def place_users(model: "Factors", matrix: sparse.csr_array) -> tuple[Array, Array, dict[str, Array]]:
    """Draw vectors and biases for new users from their ratings, each given a draw of the items.

    Parameters
    ----------
    model : Factors
    matrix : scipy.sparse.csr_array, shape (newcomers, items)
        Their ratings.

    Returns
    -------
    vectors : numpy.ndarray of float32, shape (newcomers, draws × rank)
    bias : numpy.ndarray of float32, shape (newcomers,)
        Newcomers without a rating get zeros and the bias of the average row, as in the training.
    extras : dict of str to numpy.ndarray
        What belongs below the rows of the same names in `Factors.extras`.

    Raises
    ------
    SettingError
        If the model is not made of draws, or has the probit likelihood.
    """
    draws = _placing(model)
    return _placed(matrix, draws.users, draws.items, draws, "users")


def place_items(model: "Factors", matrix: sparse.csr_array) -> tuple[Array, Array, dict[str, Array]]:
    """Draw vectors and biases for new items from a matrix of shape (newcomers, users); see `place_users`."""
    draws = _placing(model)
    return _placed(matrix, draws.items, draws.users, draws, "items")


def _placing(model: "Factors") -> Draws:
    draws = draws_of(model)
    if levels_of(model, draws) is not None:
        raise SettingError(
            "a model with likelihood='probit' cannot place newcomers, whose opinions only a chain can draw: "
            "train it again with them, or with likelihood='gaussian'"
        )
    return draws


def _placed(
    matrix: sparse.csr_array, rows: KeptSide, columns: KeptSide, draws: Draws, side: str
) -> tuple[Array, Array, dict[str, Array]]:
    if matrix.shape[1] != len(columns.bias):
        raise DataError(f"the newcomers' ratings have {matrix.shape[1]:,} columns, not {len(columns.bias):,}")
    if any(len(loadings) > len(columns.bias) for loadings in rows.loadings):
        raise DataError("a model of newcomers alone cannot place more: fold them into the whole model")
    ratings = Ratings.of(matrix)
    placed = posterior_rows(ratings, rows, columns, draws, seed=_SEEDS[side], spread=1.0)
    without_opinion(placed, ratings.counts == 0)
    extras = {f"draws.{side}.bias": placed.bias, f"draws.{side}.weights": placed.weights}
    return side_by_side(placed.vectors), average_bias(placed), extras


def grown_extras(model: "Factors", n_users: int, n_items: int) -> dict[str, Array]:
    """Return the model's extras with room for more rows, which have no bias and the noise of the average row."""
    extras = dict(model.extras)
    for side, length, other in (("users", n_users, n_items), ("items", n_items, n_users)):
        wanted = {"bias": (length, 0.0), "weights": (length, 1.0), "loadings.0": (other, 0.0)}
        for part, (rows, filler) in wanted.items():
            if (old := extras.get(f"draws.{side}.{part}")) is not None:
                new = np.full((max(rows - len(old), 0), *old.shape[1:]), filler, old.dtype)
                extras[f"draws.{side}.{part}"] = np.concatenate([old, new])
    return extras


def shares(model: "Factors", rows: Array, values: Array, user_row: int, item_row: int) -> Array:
    """Split a score over the user's ratings: in each draw, a user's posterior mean is a sum over them.

    Parameters
    ----------
    model : Factors
    rows, values : numpy.ndarray, shape (ratings,)
        Which items the user rated, and how. With the probit likelihood ratings stand for the opinions behind them.
    user_row, item_row : int

    Returns
    -------
    numpy.ndarray of float64, shape (ratings,)
        Each rating's share, averaged over the draws. What is missing from the score is due to the mean, the item's
        own bias, what users have in common, and chance.
    """
    draws = draws_of(model)
    design = _design(draws.items, np.append(rows, item_row))  # (draws, ratings + 1, size)
    rated, asked = design[:, :-1], design[:, -1, :, None]
    weights = draws.items.weights[rows].T * (draws.noise * draws.users.weights[user_row])[:, None]
    targets = values - float(draws.mean) - draws.items.bias[rows].T  # (draws, ratings)
    matrix = draws.users.precision + np.swapaxes(rated, 1, 2) @ (weights[:, :, None] * rated)
    effect = np.linalg.solve(matrix, asked)  # (draws, size, 1)
    found: Array = np.mean(weights * targets * (rated @ effect)[:, :, 0], axis=0)
    for loadings in draws.users.loadings:
        known = rows < len(loadings)
        pull = (draws.users.precision @ effect)[:, :, 0]  # (draws, size)
        found[known] += np.einsum("ndk,dk->n", loadings[rows[known]], pull) / len(pull) / np.sqrt(len(rows))
    return found


def _design(side: KeptSide, rows: Array) -> Array:
    """Return [vector, 1] of some rows in each draw, (draws, rows, size), in double precision."""
    vectors = np.swapaxes(side.vectors[rows], 0, 1).astype(np.float64)
    ones: Any = np.ones((*vectors.shape[:2], 1))
    return np.concatenate([vectors * np.sqrt(len(vectors)), ones], axis=2)
