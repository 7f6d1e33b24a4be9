"""How sure a model of several draws is of its scores.

Every function takes the parameters of a model that `BayesianMF` made. The mean of a rating is the average over the
draws, its spread their standard deviation: what is not known of the vectors. A new rating varies by the spread and by
the noise together. With the probit likelihood all this is said of the expected rating, the levels weighted by their
probability, which `Factors.score` gives too; the products of the vectors are opinions in the same units, near it but
not the same.
"""

import functools
from collections.abc import Iterator

import numpy as np
from scipy import special

from cofactor.errors import SettingError
from cofactor.kernels.threads import share_out
from cofactor.lists.request import By
from cofactor.lists.retriever import ScoringRetriever
from cofactor.model.bayesian.packing import draws_of, levels_of
from cofactor.model.bayesian.predictions import draw_signals, level_probabilities
from cofactor.model.bayesian.probit import fill_expected
from cofactor.model.bayesian.row_system import Array, even_tasks
from cofactor.model.bayesian.state import Draws
from cofactor.model.objectives.objective import Parameters

__all__ = ["DrawsRetriever", "interval", "score_block", "score_with_spread"]

_SPREADS = {"mean": 0.0, "optimistic": 1.0, "cautious": -1.0}
_NUMBERS_AT_ONCE = 4_000_000
_ONE = np.ones(1)


class DrawsRetriever(ScoringRetriever):
    """The exact best items by the mean over a model's draws, or by one spread more or less.

    Parameters
    ----------
    model : Parameters
    by : {"mean", "optimistic", "cautious"}
    """

    def __init__(self, model: Parameters, by: By) -> None:
        super().__init__(functools.partial(score_block, model, by=by), len(model.item_vectors))


def score_with_spread(model: Parameters, user_rows: Array, item_rows: Array) -> tuple[Array, Array]:
    """Score pairs of rows, and say how sure the scores are.

    Parameters
    ----------
    model : Parameters
    user_rows, item_rows : numpy.ndarray of int, shape (pairs,)

    Returns
    -------
    tuple of numpy.ndarray of float32, shape (pairs,)
        The mean over the draws, and the standard deviation over the draws.

    Raises
    ------
    DataError
        If what the model has kept of its draws does not fit together.
    """
    draws = draws_of(model)
    levels = levels_of(model, draws)
    mean, spread = np.empty(len(user_rows), np.float32), np.empty(len(user_rows), np.float32)
    for part in _parts(len(user_rows), model.draws):
        signals, precisions = draw_signals(draws, user_rows[part], item_rows[part])
        if levels is not None:
            roots = np.sqrt(precisions)
            for draw, cuts in enumerate(draws.cuts):
                column = signals[:, draw, None].copy()
                share_out(fill_expected, even_tasks(len(column)), column, roots[:, draw].copy(), _ONE, cuts, levels)
                signals[:, draw] = column[:, 0]
        mean[part], spread[part] = signals.mean(axis=1), signals.std(axis=1)
    return mean, spread


def score_block(model: Parameters, user_rows: Array, by: By = "mean") -> Array:
    """Score every item for some users.

    Parameters
    ----------
    model : Parameters
    user_rows : numpy.ndarray of int, shape (users,)
    by : {"mean", "optimistic", "cautious"}
        The mean over the draws, or one spread more, or one less.

    Returns
    -------
    numpy.ndarray of float32, shape (users, items)

    Raises
    ------
    SettingError
        If there is no such ``by``.
    """
    if by not in _SPREADS:
        raise SettingError(f"by={by!r}: it must be 'mean', 'optimistic' or 'cautious'")
    draws = draws_of(model)
    levels = levels_of(model, draws)
    if by == "mean" and levels is None:
        users, items = draws.users.bias[user_rows].mean(axis=1), draws.items.bias.mean(axis=1)
        return np.asarray(
            model.user_vectors[user_rows] @ model.item_vectors.T + np.add.outer(users + model.mean, items)
        )
    total = np.zeros((len(user_rows), len(model.item_vectors)))
    squares = np.zeros_like(total)
    for draw in range(len(draws.noise)):
        signals = _draw_block(draws, user_rows, draw)
        if levels is not None:
            roots = np.sqrt(draws.noise[draw] * draws.users.weights[user_rows, draw].astype(np.float64))
            columns = np.sqrt(draws.items.weights[:, draw].astype(np.float64))
            share_out(fill_expected, even_tasks(len(roots), 1), signals, roots, columns, draws.cuts[draw], levels)
        if draw == 0:
            first = signals.copy()  # squares of differences to it: nothing cancels
        signals -= first
        total += signals
        squares += signals * signals
    total /= len(draws.noise)
    spread = np.sqrt(np.maximum(squares / len(draws.noise) - total * total, 0.0))
    return (first + total + _SPREADS[by] * spread).astype(np.float32)


def interval(model: Parameters, user_rows: Array, item_rows: Array, level: float = 0.9) -> tuple[Array, Array]:
    """Return between what bounds new ratings lie, with some probability.

    Parameters
    ----------
    model : Parameters
    user_rows, item_rows : numpy.ndarray of int, shape (pairs,)
    level : float
        The probability. With the probit likelihood the bounds are levels of the ratings and hold at least it.

    Returns
    -------
    tuple of numpy.ndarray of float32, shape (pairs,)
        The lower and the upper bounds.

    Raises
    ------
    SettingError
        If ``level`` does not lie between 0 and 1.
    """
    if not 0 < level < 1:
        raise SettingError(f"level={level}: it must lie between 0 and 1, such as 0.9")
    draws = draws_of(model)
    levels = levels_of(model, draws)
    low, high = np.empty(len(user_rows), np.float32), np.empty(len(user_rows), np.float32)
    for part in _parts(len(user_rows), model.draws):
        signals, precisions = draw_signals(draws, user_rows[part], item_rows[part])
        if levels is None:
            mean = signals.mean(axis=1)
            reach = special.ndtri(0.5 + level / 2) * np.sqrt(signals.var(axis=1) + (1 / precisions).mean(axis=1))
            low[part], high[part] = mean - reach, mean + reach
        else:
            below = np.cumsum(level_probabilities(draws, signals, precisions), axis=1)
            below[:, -1] = 1.0
            low[part] = levels[np.argmax(below > (1 - level) / 2, axis=1)]
            high[part] = levels[np.argmax(below >= (1 + level) / 2, axis=1)]
    return low, high


def _draw_block(draws: Draws, user_rows: Array, draw: int) -> Array:
    """Return one draw's signals of all items for some users (users, items), in double precision."""
    users = draws.users.vectors[user_rows, draw] * np.float32(len(draws.noise))
    block = (users @ draws.items.vectors[:, draw].T).astype(np.float64)
    block += draws.users.bias[user_rows, draw, None] + draws.items.bias[:, draw].astype(np.float64)
    block += float(draws.mean)
    return block


def _parts(pairs: int, draws: int) -> Iterator[slice]:
    """Cut pairs into runs whose signals fit in memory."""
    length = max(1, _NUMBERS_AT_ONCE // draws)
    return (slice(start, start + length) for start in range(0, pairs, length))
