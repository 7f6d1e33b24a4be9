"""Which least squares places a user where a ranking loss would have placed them.

A ranking loss has no equation to solve, so a model of one carries in its objective the weighted least squares that
brings its own users nearest to the lists they were trained to. Fold-in, explanations and updates then need nothing
else, as with every other model.
"""

import dataclasses
import itertools

import numpy as np

from cofactor.model.factors import Factors
from cofactor.model.placing import place_rows

__all__ = ["agreement", "with_placement"]

_USERS = 200
_LONGEST = 20
_UNSEEN_WEIGHTS = (0.003, 0.03, 0.1, 0.3, 1.0)
_STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)  # of the penalty, in units of the mean square of the items' coordinates


def with_placement(model: Factors, *, seed: int = 0) -> Factors:
    """Return a model for ranking with the objective, and the mean, that place its own users best.

    No score's order within a list changes: a constant moves from the items' biases to the mean. After that, pairs are
    about 0 on average and those that were chosen about ``1 - mean``, which is what the weighted objective aims at.

    Parameters
    ----------
    model : Factors
        With a ``seen`` table; its own objective says the goal and whether vectors may be negative.
    seed : int
        Of the choice of some hundred users to try it on.
    """
    active = np.flatnonzero(np.diff(model.seen.indptr))
    rows = np.sort(np.random.default_rng(seed).permutation(active)[:_USERS])
    model = _centred(model, rows)
    square = float(np.mean(np.square(model.item_vectors, dtype=np.float64))) or 1.0
    best, best_agreement = model, -np.inf
    for unseen_weight, strength in itertools.product(_UNSEEN_WEIGHTS, _STRENGTHS):
        objective = dataclasses.replace(
            model.objective,
            loss="matched",
            regularization=square * strength,
            bias_regularization=square * strength,
            unseen_weight=unseen_weight,
            nu=1.0,
        )
        tried = model.evolve(objective=objective)
        if (found := agreement(tried, rows)) > best_agreement:
            best, best_agreement = tried, found
    return best


def agreement(model: Factors, rows: np.ndarray) -> float:
    """Return how well placing some training users anew keeps their lists.

    It is the mean share of a user's list, of what they have not seen, that is in the new list too. A list is as long as
    a quarter of the items, and 20 at most.
    """
    length = min(_LONGEST, -(-model.n_items // 4))
    placed = place_rows(model, model.seen[rows], "user")
    trained, again = (_lists(model, rows, vectors, length) for vectors in (model.user_vectors[rows], placed.vectors))
    return float(np.mean([len(np.intersect1d(*lists)) / length for lists in zip(trained, again, strict=True)]))


def _lists(model: Factors, rows: np.ndarray, vectors: np.ndarray, length: int) -> np.ndarray:
    """Return the items of highest score that each user has not seen, in no order: (users, length)."""
    scores = vectors @ model.item_vectors.T
    if model.item_bias is not None:
        scores += model.item_bias
    seen = model.seen[rows].tocoo()
    scores[seen.row, seen.col] = -np.inf
    return np.argpartition(-scores, length - 1, axis=1)[:, :length]


def _centred(model: Factors, rows: np.ndarray) -> Factors:
    """Move what is common to all out of vectors and biases; let what was chosen be 1 on average."""
    vectors, items = (side.astype(np.float64) for side in (model.user_vectors, model.item_vectors))
    bias = np.zeros(model.n_items)
    if model.item_bias is not None:
        bias = model.item_bias.astype(np.float64)
        if not model.objective.non_negative:
            active = np.diff(model.seen.indptr) > 0
            typical = vectors[active].mean(axis=0)
            vectors, bias = np.where(active[:, None], vectors - typical, 0), bias + items @ typical
        bias = bias - float(np.mean(items @ vectors[rows].mean(axis=0) + bias))
        model = model.evolve(user_vectors=vectors.astype(np.float32), item_bias=bias.astype(np.float32))
    seen = model.seen[rows].tocoo()
    chosen = np.einsum("nd,nd->n", vectors[rows[seen.row]], items[seen.col]) + bias[seen.col]
    return model.evolve(mean=1.0 - float(chosen.mean()))
