"""What is rising, as one more column of a model: how it joins the scores of a trained model.

**Model.** ``score = (x_u - c) . y_i / s_i + trend_weight * level_i``, where ``c`` is the mean of the users' vectors,
``s_i`` the standard deviation of the item's product with them, and ``level_i`` comes from `Timing.levels`. So the
personal part of a score is how much more than most this user is drawn to the item, in standard deviations over the
users, and what is popular counts once: by what was chosen of late.

The mean and the covariance of the users' vectors are kept as they were in training: newcomers change nobody's scores.
"""

from collections.abc import Mapping

import numpy as np

__all__ = ["CENTER", "COVARIANCE", "LEVELS", "differs", "extras_of", "ranked_items", "scales"]

LEVELS = "trend.levels"
CENTER, COVARIANCE = "trend.center", "trend.covariance"

_LEAST = 0.01
"""The smallest standard deviation, as a share of the items' mean one: products of items that nobody chose are nearly
the same for everybody, and would be blown up."""

_ROWS_AT_ONCE = 2**16


def extras_of(user_vectors: np.ndarray, learnt_of: np.ndarray, levels: np.ndarray) -> dict[str, np.ndarray]:
    """Return what a model keeps of its trend.

    Parameters
    ----------
    user_vectors : numpy.ndarray of float32, shape (users, rank)
    learnt_of : numpy.ndarray of bool, shape (users,)
        Of which users something was learnt.
    levels : numpy.ndarray of float32, shape (items,)
    """
    rank, count = user_vectors.shape[1], max(int(np.count_nonzero(learnt_of)), 1)
    total, squares = np.zeros(rank), np.zeros((rank, rank))
    for first in range(0, len(user_vectors), _ROWS_AT_ONCE):
        part = slice(first, first + _ROWS_AT_ONCE)
        rows = user_vectors[part][learnt_of[part]].astype(np.float64)
        total += rows.sum(axis=0)
        squares += rows.T @ rows
    center = total / count
    return {
        LEVELS: levels,
        CENTER: center.astype(np.float32),
        COVARIANCE: (squares / count - np.outer(center, center)).astype(np.float32),
    }


def differs(old: Mapping[str, np.ndarray], new: Mapping[str, np.ndarray]) -> bool:
    """Return whether two models' extras hold other levels."""
    return old.get(LEVELS) is not new.get(LEVELS)


def scales(item_vectors: np.ndarray, extras: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the standard deviation of each item's product with the users: float64, shape (items,)."""
    vectors = item_vectors.astype(np.float64)
    variances = np.einsum("if,if->i", vectors @ extras[COVARIANCE].astype(np.float64), vectors)
    found = np.sqrt(np.maximum(variances, 0))
    chosen = found[found > 0]
    least = _LEAST * float(chosen.mean()) if len(chosen) else 1.0
    floored: np.ndarray = np.maximum(found, least)
    return floored


def ranked_items(
    item_vectors: np.ndarray, extras: Mapping[str, np.ndarray], weight: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors and biases that items are ranked by: float32, shapes (items, rank) and (items,)."""
    vectors = (item_vectors / scales(item_vectors, extras)[:, None]).astype(np.float32)
    bias = weight * extras[LEVELS].astype(np.float64) - vectors @ extras[CENTER].astype(np.float64)
    return vectors, bias.astype(np.float32)
