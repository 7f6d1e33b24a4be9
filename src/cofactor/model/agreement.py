"""Which least squares places a user where a ranking loss would have placed them.

A ranking loss has no equation to solve, so a model of one carries in its objective the weighted least squares that
brings its own users nearest to the vectors they were trained to. Fold-in, explanations and updates then need nothing
else, as with every other model.
"""

import dataclasses
import itertools

import numpy as np

from cofactor.model.factors import Factors

from cofactor.model.placing import place_rows

__all__ = ["agreement", "with_placement"]

_USERS = 300
_UNSEEN_WEIGHTS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # of the penalty, in units of the mean square of the items' coordinates


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
            loss="weighted",
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
    """Return how well placing some training users anew keeps their scores: the mean correlation over users."""
    placed = place_rows(model, model.seen[rows], "user")
    trained, again = (_scores(model, vectors) for vectors in (model.user_vectors[rows], placed.vectors))
    covariance = np.mean(trained * again, axis=1)
    return float(np.mean(covariance / np.maximum(trained.std(axis=1) * again.std(axis=1), 1e-12)))


def _scores(model: Factors, vectors: np.ndarray) -> np.ndarray:
    """Return all scores of some vectors, less their average over the items: (users, items)."""
    scores = vectors @ model.item_vectors.T
    if model.item_bias is not None:
        scores = scores + model.item_bias
    return scores - scores.mean(axis=1, keepdims=True)


def _centred(model: Factors, rows: np.ndarray) -> Factors:
    """Move the average of all scores out of the items' biases, and let what was chosen be 1 on average."""
    vectors = model.user_vectors[rows].astype(np.float64)
    bias = np.zeros(model.n_items) if model.item_bias is None else model.item_bias.astype(np.float64)
    if model.item_bias is not None:
        bias = bias - float(np.mean(vectors.mean(axis=0) @ model.item_vectors.T.astype(np.float64) + bias))
        model = model.evolve(item_bias=bias.astype(np.float32))
    seen = model.seen[rows].tocoo()
    chosen = np.einsum("nd,nd->n", vectors[seen.row], model.item_vectors[seen.col].astype(np.float64)) + bias[seen.col]
    return model.evolve(mean=1.0 - float(chosen.mean()))
