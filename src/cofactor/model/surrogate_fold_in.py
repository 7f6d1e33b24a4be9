"""A surrogate objective for models of ranking losses: the least squares whose fold-in keeps users' lists best.

A ranking loss has no equation to solve. So a model trained by one carries, as its objective, the weighted least
squares that comes nearest to its own users' lists when they are placed anew. Fold-in, explanations and updates then
work as with every other model.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cofactor.data.passes import counts_of
from cofactor.data.preparation import Alike
from cofactor.model.factors import Factors, evolved
from cofactor.model.fold_in import place_rows, toward_of
from cofactor.model.objectives.confidence import Confidence

__all__ = ["agreement", "with_placement"]

_USERS = 200
_LONGEST = 20
_ROUNDS = 2
_CHOICES: Mapping[str, Sequence[float]] = {
    "aim": (0.0, 0.5, 1.0, 2.0, 4.0),
    "strength": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
    "unobserved_weight": (0.003, 0.03, 0.1, 0.3, 1.0),
}
"""How far above the average score of what was chosen the equations aim, in standard deviations of all scores; the
penalty, in units of the mean square of the items' coordinates; the weight of what was not seen."""


def with_placement(
    model: Factors, *, seed: int = 0, describe: Callable[[Factors], Factors] = lambda model: model
) -> Factors:
    """Return a model for ranking with the objective, and the mean, that place its own users best.

    The order of items that anyone chose does not change: what is common to all users and items moves from their vectors
    and biases to the items' biases and the mean, so that pairs are about 0 before the mean, as the weighted objective
    has it of what was not seen.

    Parameters
    ----------
    model : Factors
        With a ``seen`` table; its own objective says the goal and whether vectors may be negative.
    seed : int
        Of the choice of users to try it on.
    describe : callable
        Gives the model what it learnt from attributes, which users are drawn to when they are placed.

    Examples
    --------
    >>> from scipy import sparse
    >>> random = np.random.default_rng(0)
    >>> seen = sparse.csr_array((random.random((9, 8)) > 0.5).astype(np.float32))
    >>> model = Factors.from_arrays(random.random((9, 2)), random.random((8, 2)), seen=seen)
    >>> with_placement(model).objective.kind
    'confidence'
    """
    active = np.flatnonzero(np.diff(model.seen.indptr))
    rows = np.sort(np.random.default_rng(seed).permutation(active)[:_USERS])
    model = describe(_centred(model, rows))
    tried: dict[tuple[float, ...], float] = {}
    best: tuple[float, ...] = (1.0, 3.0, 0.003)
    for place in [*range(len(_CHOICES))] * _ROUNDS:
        for value in [*_CHOICES.values()][place]:
            trial = (*best[:place], value, *best[place + 1 :])
            if trial not in tried:
                tried[trial] = agreement(_aiming(model, rows, *trial), rows)
        best = max(tried, key=tried.__getitem__)
    return _aiming(model, rows, *best)


def agreement(model: Factors, rows: np.ndarray) -> float:
    """Return how well placing some training users anew keeps their lists.

    It is the mean share of a user's list, of what they have not seen, that is in the new list too. A list is as long as
    a quarter of the items, and 20 at most.
    """
    length = min(_LONGEST, -(-model.n_items // 4))
    placed = place_rows(model, model.seen[rows], "user", toward=toward_of(model, "user", rows))
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


def _aiming(model: Factors, rows: np.ndarray, aim: float, strength: float, unobserved_weight: float) -> Factors:
    """Return a model whose equations aim so far above what its users' own items score.

    Every choice counts 1, whatever its value; where the model's preparation sees to that, its time may still weigh it.
    """
    scores = model.user_vectors[rows] @ model.item_vectors.T
    if model.item_bias is not None:
        scores += model.item_bias
    seen = model.seen[rows].tocoo()
    target = float(scores[seen.row, seen.col].mean(dtype=np.float64) + aim * scores.std(dtype=np.float64))
    penalty = strength * (float(np.mean(np.square(model.item_vectors, dtype=np.float64))) or 1.0)
    objective = Confidence(
        goal=model.objective.goal,
        scale=model.objective.scale,
        regularization=penalty,
        bias_regularization=penalty,
        nu=1.0,
        non_negative=getattr(model.objective, "non_negative", False),
        unobserved_weight=unobserved_weight,
        count_share=unobserved_weight,
        alike=model.preparation != Alike(),
    )
    return evolved(model, objective=objective, mean=1 - target)  # equations aim at 1


def _centred(model: Factors, rows: np.ndarray) -> Factors:
    """Move what is common to all users into the items' biases, and take off what is common to all scores."""
    if model.item_bias is None:
        return model
    vectors, items = (side.astype(np.float64) for side in (model.user_vectors, model.item_vectors))
    bias = model.item_bias.astype(np.float64)
    if not getattr(model.objective, "non_negative", False):
        active = np.diff(model.seen.indptr) > 0
        typical = vectors[active].mean(axis=0)
        vectors, bias = np.where(active[:, None], vectors - typical, 0), bias + items @ typical
    bias = bias - float(np.mean(items @ vectors[rows].mean(axis=0) + bias))
    chosen = counts_of(model.seen.indices, model.n_items) > 0
    bias[~chosen] = bias[chosen].min()  # what nobody chose is no better than the worst of the others
    return evolved(model, user_vectors=vectors.astype(np.float32), item_bias=bias.astype(np.float32))
