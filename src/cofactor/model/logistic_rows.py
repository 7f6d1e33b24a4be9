"""A newcomer's row in a model of logistic factorization: the logistic regression that the training's steps aim at.

**Loss.** For a user with ``m`` items, ``sum log(1 + exp(-s))`` over these and ``n m / items`` times the sum of
``log(1 + exp(s))`` over all items, which is what ``n`` drawn beside each come to on average, plus the penalty of each
example. For an item likewise: it is drawn ``n m_u / items`` times beside the pairs of a user ``u``.

**Algorithm.** Newton's method in double precision; of many rows `SAMPLE` stand for all. Who else is placed does not
matter, nor does chance: the sample is a newcomer's own, and always the same.

Reference: C. C. Johnson (2014), "Logistic matrix factorization for implicit feedback data".
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

if TYPE_CHECKING:
    from cofactor.model.state import FactorState

__all__ = ["place_items", "place_users", "shares"]

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int32]

SAMPLE = 2000
"""So many rows stand for all that may be drawn, but no fewer than four for each that a newcomer has met."""

_STEPS, _HALVINGS = 50, 30
_LEAST_PENALTY = 1e-4  # without any, a newcomer whose items stand apart from all others would have no finite vector


@dataclass(frozen=True, slots=True)
class Regression:
    """Examples of one newcomer: rows [vector, 1], what is known of each score, 1 or 0, weights, the penalty."""

    design: Doubles
    offsets: Doubles
    labels: Doubles
    weights: Doubles
    penalty: float

    def loss(self, row: Doubles) -> float:
        """Return what is to be least."""
        logits = self.design @ row + self.offsets
        losses = np.logaddexp(0, np.where(self.labels > 0, -logits, logits))
        return float(self.weights @ losses + self.penalty / 2 * (row @ row))

    def parts(self, row: Doubles) -> tuple[Doubles, Doubles]:
        """Return each example's slope, by which its rows are multiplied, and its curvature."""
        logits = np.clip(self.design @ row + self.offsets, -500, 500)
        found = 1 / (1 + np.exp(-logits))
        return self.weights * (self.labels - found), self.weights * found * (1 - found)

    def curvature(self, weights: Doubles) -> Doubles:
        """Return the second derivative, given each example's part in it."""
        matrix: Doubles = (self.design.T * weights) @ self.design + self.penalty * np.eye(self.design.shape[1])
        return matrix

    def solved(self) -> Doubles:
        """Return the row, a bias at its end, whose loss is least."""
        row = np.zeros(self.design.shape[1])
        least = self.loss(row)
        for _ in range(_STEPS):
            slopes, weights = self.parts(row)
            step = np.linalg.solve(self.curvature(weights), slopes @ self.design - self.penalty * row)
            for _ in range(_HALVINGS):
                if (loss := self.loss(row + step)) <= least:
                    break
                step = step / 2
            else:
                break  # as good as numbers can tell
            row, gain, least = row + step, least - loss, loss
            if gain <= 1e-10 * abs(loss):
                break
        return row


def place_users(model: "FactorState", matrix: sparse.csr_array) -> tuple[Floats, Floats]:
    """Return the vectors and biases of newcomers by what they met (newcomers, items)."""
    rows = np.zeros((matrix.shape[0], model.rank + 1), np.float32)
    for k in range(matrix.shape[0]):
        met = matrix.indices[matrix.indptr[k] : matrix.indptr[k + 1]]
        if len(met):
            rows[k] = _of_user(model, met).solved()
    return rows[:, :-1], rows[:, -1]


def place_items(model: "FactorState", matrix: sparse.csr_array) -> tuple[Floats, Floats]:
    """Return the vectors and biases of new items by who met them (newcomers, users)."""
    rows = np.zeros((matrix.shape[0], model.rank + 1), np.float32)
    often = model.objective.negatives * np.diff(model.seen.indptr) / max(model.n_items, 1)
    for k in range(matrix.shape[0]):
        met = matrix.indices[matrix.indptr[k] : matrix.indptr[k + 1]]
        rows[k] = _of_item(model, met, often).solved()
    return rows[:, :-1], rows[:, -1]


def shares(model: "FactorState", item_rows: Rows, target: int) -> Doubles:
    """Return what each of the items that a user met adds to an item's score, were the user placed by them.

    At the solution, the loss is nearly a weighted sum of squares, whose solution is a sum over the examples.
    """
    if not len(item_rows):
        return np.zeros(0)
    regression = _of_user(model, item_rows)
    row = regression.solved()
    slopes, weights = regression.parts(row)
    asked = np.append(model.item_vectors[target].astype(np.float64), 1.0)
    effect = regression.design @ np.linalg.solve(regression.curvature(weights), asked)
    found: Doubles = (slopes + weights * (regression.design @ row)) * effect
    return found[: len(item_rows)]


def _of_user(model: "FactorState", met: Rows) -> Regression:
    drawn, most = np.arange(model.n_items), max(SAMPLE, 4 * len(met))
    if len(drawn) > most:
        drawn = np.random.default_rng(0).choice(drawn, most, replace=False)
    weights = np.full(len(drawn), model.objective.negatives * len(met) / len(drawn))
    return _regression(model, model.item_vectors, model.item_bias, met, drawn, weights)


def _of_item(model: "FactorState", met: Rows, often: Doubles) -> Regression:
    drawn, most = np.flatnonzero(often), max(SAMPLE, 4 * len(met))
    weights = often[drawn]
    if len(drawn) > most:
        drawn = np.random.default_rng(0).choice(drawn, most, p=weights / weights.sum())
        weights = np.full(most, weights.sum() / most)
    return _regression(model, model.user_vectors, model.user_bias, met, drawn, weights)


def _regression(
    model: "FactorState",
    vectors: Floats,
    bias: Floats | None,
    met: Rows,
    drawn: npt.NDArray[np.int64],
    weights: Doubles,
) -> Regression:
    """Put together what was met, each counting once, and what may be drawn beside it."""
    rows = np.concatenate([met, drawn])
    all_weights = np.concatenate([np.ones(len(met)), weights])
    own = np.zeros(len(rows)) if bias is None else bias[rows].astype(np.float64)
    penalty = max(model.objective.regularization, _LEAST_PENALTY) * max(float(all_weights.sum()), 1.0)
    return Regression(
        np.column_stack([vectors[rows].astype(np.float64), np.ones(len(rows))]),
        own + model.mean,
        np.concatenate([np.ones(len(met)), np.zeros(len(drawn))]),
        all_weights,
        penalty,
    )
