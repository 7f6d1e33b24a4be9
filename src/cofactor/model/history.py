"""Who has a history: the users and items of whom a model could learn something, and which items are popular."""

import numpy as np
from scipy import sparse

from cofactor.data.passes import counts_of, has_zeros
from cofactor.model.objective import Goal, Side

__all__ = ["item_counts", "with_history"]


def with_history(seen: sparse.csr_array, side: Side, goal: Goal) -> np.ndarray:
    """Return for each user, or each item, whether anything could be learnt of it.

    In a table without any value, as that of vectors from elsewhere, nothing is known of anybody's history: all count as
    known.

    Parameters
    ----------
    seen : scipy.sparse.csr_array, shape (users, items)
        What each user had, with its value.
    side : {"user", "item"}
    goal : {"rating", "ranking"}
        To a model for lists, a value of 0 says nothing; to one for ratings it is a rating.

    Returns
    -------
    numpy.ndarray of bool, shape (users,) or (items,)

    Examples
    --------
    >>> seen = sparse.csr_array(([1.0, 0.0], ([0, 1], [0, 0])), shape=(3, 2))
    >>> with_history(seen, "user", "ranking").tolist(), with_history(seen, "user", "rating").tolist()
    ([True, False, False], [True, True, False])
    """
    if not seen.nnz:
        return np.ones(seen.shape[0 if side == "user" else 1], bool)
    if side == "item":
        return item_counts(seen, goal) > 0
    told = _informative(seen, goal)
    if told is None:
        return np.diff(seen.indptr) > 0
    before = np.concatenate([[0], np.cumsum(told)])
    known: np.ndarray = before[seen.indptr[1:]] > before[seen.indptr[:-1]]
    return known


def item_counts(seen: sparse.csr_array, goal: Goal) -> np.ndarray:
    """Return how many users had each item, as far as that says something: (items,), int64."""
    told = _informative(seen, goal)
    return counts_of(seen.indices if told is None else seen.indices[told], seen.shape[1])


def _informative(seen: sparse.csr_array, goal: Goal) -> np.ndarray | None:
    """Return which of the stored values say something; None if all do."""
    return seen.data != 0 if goal == "ranking" and has_zeros(seen.data) else None
