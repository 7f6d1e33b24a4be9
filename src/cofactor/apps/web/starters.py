"""Starters: which items to ask a newcomer about first, so that each answer says as much as it can.

**Objective.** An answer about item ``i`` is a noisy look at ``x . v_i``, ``x`` being the newcomer's vector and ``v_i``
the item's. What answers about a set ``S`` say of ``x`` is ``log det(I + sum of v v^T over S)``, the information that a
Bayesian linear regression gains. Since people can only answer about what they know, each item's gain is weighed by how
well known it is.

**Algorithm.** Greedy: the item with the largest familiarity times gain, then the next one given those. The gain of one
more item is ``log(1 + v^T A^-1 v)``; ``A^-1`` and all these products are updated by rank one (Sherman and Morrison).

**Reference.** Krause and Guestrin (2005), "Near-optimal nonmyopic value of information in graphical models", on the
greedy choice; Rashid et al. (2002), "Getting to know you", on weighing familiarity against information.
"""

import numpy as np

__all__ = ["starters"]

_LEAST_GAIN = 1e-6
"""Where vectors say nothing, familiarity decides alone."""


def starters(vectors: np.ndarray, familiarity: np.ndarray, n: int) -> np.ndarray:
    """Return the rows of the items to ask about, in that order; the same for the same model.

    Parameters
    ----------
    vectors : numpy.ndarray of float, shape (items, rank)
    familiarity : numpy.ndarray of float, shape (items,)
        How well known each item is: the share of people who rated it, for example.
    n : int

    Examples
    --------
    >>> vectors = np.array([[3.0, 0.0], [3.0, 0.1], [0.0, 3.0]])
    >>> starters(vectors, np.array([0.5, 0.6, 0.4]), 2).tolist()
    [1, 2]
    """
    vectors = np.asarray(vectors, dtype=np.float64)
    lengths = np.einsum("ij,ij->i", vectors, vectors)
    typical = np.median(lengths[lengths > 0]) if lengths.any() else 1.0
    vectors = vectors / np.sqrt(typical)  # one answer about a typical item is worth as much as what is known before
    gains, inverse = lengths / typical, np.eye(vectors.shape[1])
    left = np.asarray(familiarity, dtype=np.float64).copy()
    chosen: list[int] = []
    for _ in range(min(n, len(vectors))):
        worth = left * (np.log1p(np.maximum(gains, 0.0)) + _LEAST_GAIN)
        best = int(np.argmax(worth))
        if worth[best] <= 0.0:
            break
        chosen.append(best)
        left[best] = 0.0
        step = inverse @ vectors[best]
        scale = 1.0 + float(vectors[best] @ step)
        inverse -= np.outer(step, step) / scale
        gains = gains - (vectors @ step) ** 2 / scale
    return np.array(chosen, dtype=np.int64)
