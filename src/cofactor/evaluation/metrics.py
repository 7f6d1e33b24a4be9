"""Metrics of predicted ratings and of ranked lists, on arrays."""

import numpy as np
from scipy import sparse

from cofactor.model.retrieval import Ranked

__all__ = ["mean_absolute_error", "mean_squared_error", "ranking_metrics", "root_mean_squared_error"]


def mean_squared_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Return the mean of the squared differences, in squared units of the ratings."""
    difference = predicted.astype(np.float64) - actual
    return float(np.mean(difference * difference))


def root_mean_squared_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Return the root of the mean squared error, in units of the ratings."""
    return mean_squared_error(predicted, actual) ** 0.5


def mean_absolute_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Return the mean of the absolute differences, in units of the ratings."""
    return float(np.mean(np.abs(predicted.astype(np.float64) - actual)))


def ranking_metrics(ranked: Ranked, relevant: sparse.csr_array, k: int) -> dict[str, np.ndarray]:
    """Measure each user's list of ``k`` items against the items that are relevant to them.

    Parameters
    ----------
    ranked : Ranked
        The lists, of ``k`` items or of all that are left.
    relevant : scipy.sparse.csr_array, shape (users, items)
        What it stores is relevant, whatever the value.
    k : int
        The cut-off.

    Returns
    -------
    dict of str to numpy.ndarray, shape (users,)
        For users with a relevant item: ``precision`` (hits / k), ``recall`` (hits / relevant items), ``hit`` (1 where
        there is a hit at all), ``ndcg`` (Järvelin and Kekäläinen 2002, with gain 1 and discount log2(place + 1), over
        that of a list with the relevant items first). Other users have NaN.
    """
    n_users = relevant.shape[0]
    counts = np.diff(relevant.indptr)
    pairs = np.repeat(np.arange(n_users), counts) * np.int64(relevant.shape[1]) + relevant.indices
    hits = np.isin(ranked.users * np.int64(relevant.shape[1]) + ranked.items, pairs)
    lengths = np.bincount(ranked.users, minlength=n_users)
    place = np.arange(len(ranked.users)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    discounts = 1 / np.log2(np.arange(2, k + 2))
    found = np.bincount(ranked.users, weights=hits, minlength=n_users)
    gained = np.bincount(ranked.users, weights=hits * discounts[place], minlength=n_users)
    best = np.concatenate([[1.0], np.cumsum(discounts)])[np.minimum(counts, k)]
    asked = np.where(counts > 0, 1.0, np.nan)
    return {
        "precision": asked * found / k,
        "recall": asked * found / np.maximum(counts, 1),
        "hit": asked * (found > 0),
        "ndcg": asked * gained / best,
    }
