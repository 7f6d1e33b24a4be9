"""Items that a user never met, drawn to rank a held-out one among them."""

import numpy as np
from scipy import sparse

from cofactor.evaluation.held_out import among

__all__ = ["drawn", "either"]


def either(one: sparse.csr_array, other: sparse.csr_array) -> sparse.csr_array:
    """Return a table that stores what either of two stores, sorted; its values mean nothing."""
    ones = (sparse.csr_array((np.ones(t.nnz, np.int8), t.indices, t.indptr), shape=t.shape) for t in (one, other))
    both: sparse.csr_array = sum(ones, start=sparse.csr_array(one.shape, dtype=np.int8))
    both.sort_indices()
    return both


def drawn(taken: sparse.csr_array, cases: np.ndarray, n: int, random: np.random.Generator) -> sparse.csr_array:
    """Draw items for each case, uniformly and none twice.

    Parameters
    ----------
    taken : scipy.sparse.csr_array, shape (users, items)
        What it stores is never drawn.
    cases : numpy.ndarray of int, shape (cases,)
        Which user's row each case has.
    n : int
        How many to draw for each; where fewer are left, all of them.
    random : numpy.random.Generator

    Returns
    -------
    scipy.sparse.csr_array, shape (cases, items)
        What was drawn.
    """
    n_items = taken.shape[1]
    if n >= n_items:
        return _all_left(taken)[cases]
    tries = random.integers(0, n_items, (len(cases), 2 * n + 16))
    free = ~among(taken, np.repeat(cases, tries.shape[1]), tries.ravel()).reshape(tries.shape)
    free &= _first_of_its_kind(tries)
    found = np.cumsum(free, axis=1)
    chosen = free & (found <= n)
    for case in np.flatnonzero(found[:, -1] < n):  # many items are taken: choose among those left
        row = taken.indices[slice(*taken.indptr[cases[case] : cases[case] + 2])]
        left = np.setdiff1d(np.arange(n_items), row)
        few = random.choice(left, min(n, len(left)), replace=False)
        chosen[case] = np.arange(tries.shape[1]) < len(few)
        tries[case, : len(few)] = few
    indptr = np.concatenate([[0], np.cumsum(chosen.sum(axis=1))])
    return sparse.csr_array((np.ones(indptr[-1], np.int8), tries[chosen], indptr), shape=(len(cases), n_items))


def _all_left(taken: sparse.csr_array) -> sparse.csr_array:
    left = np.ones(taken.shape, np.int8)
    left[np.repeat(np.arange(taken.shape[0]), np.diff(taken.indptr)), taken.indices] = 0
    return sparse.csr_array(left)


def _first_of_its_kind(tries: np.ndarray) -> np.ndarray:
    """Return whether an entry stands in its row for the first time."""
    order = np.argsort(tries, axis=1, kind="stable")
    in_order = np.take_along_axis(tries, order, axis=1)
    first = np.ones(tries.shape, bool)
    np.put_along_axis(first, order[:, 1:], in_order[:, 1:] != in_order[:, :-1], axis=1)
    return first
