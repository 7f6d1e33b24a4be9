"""What the solvers minimize, each with the normal equations that follow from it.

Each loss is a frozen set of its hyperparameters. ``equations(fixed)`` gives the equations of one side while the other
side's ``fixed`` vectors are held; ``measure`` is the exact loss of a whole model, in float64.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cofactor.model.least_squares import (
    Doubles,
    Equations,
    Floats,
    Rows,
    equations,
    gram,
    sum_of_losses,
    sum_of_penalties,
)
from cofactor.model.objective import Side

if TYPE_CHECKING:
    from cofactor.model.state import FactorState

__all__ = ["SHORT_ROW", "BiasedRatings", "Confidences", "Measured", "equations_of"]

SHORT_ROW = 50.0
"""Added to a row's number of pairs, so that rows of a few pairs are penalized nearly alike, and not too little."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The objective of a model; the squared errors in it; the sum of the errors, target less prediction."""

    objective: float
    squares: float
    errors: float


@dataclass(frozen=True, slots=True)
class BiasedRatings:
    """Squared error of ratings around mean and biases.

    **Model.** ``mean + bias_u + bias_i + x_u.y_i``; a side's array is (rows, rank + 1), the bias in the last column.

    **Loss.** ``sum (rating - model)^2`` over the ratings, plus for each row of ``m`` ratings, on both sides,
    ``m^nu (regularization |x|^2 + bias_regularization bias^2)``.

    References
    ----------
    Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan (2008), "Large-scale parallel collaborative filtering for the Netflix
    Prize" (nu = 1).
    """

    mean: float
    regularization: float
    bias_regularization: float
    nu: float

    def equations(self, fixed: Floats) -> Equations:
        """Return the equations of a side's vectors and biases, given the other's (n, rank + 1)."""
        return self._equations(np.array(fixed, np.float32, order="C"), np.array(fixed[:, -1]))

    @contextlib.contextmanager
    def holding(self, fixed: Floats) -> Iterator[Equations]:
        """Lend ``fixed`` itself to the equations, which spares a copy of it; it is as it was after the block."""
        biases = np.array(fixed[:, -1])
        try:
            yield self._equations(fixed, biases)
        finally:
            fixed[:, -1] = biases

    def measure(self, by_user: Rows, by_item: Rows, users: Floats, items: Floats) -> Measured:
        """Return the loss of a model."""
        with self.holding(items) as of_users:
            seen = sum_of_losses(by_user, of_users, users)
        penalties = seen.penalties + sum_of_penalties(by_item, of_users, items)  # both sides have the same
        return Measured(seen.squares + penalties, seen.squares, seen.errors)

    def _equations(self, vectors: Floats, biases: Floats) -> Equations:
        vectors[:, -1] = 1  # the coefficient of the row's own bias
        penalty = np.full(vectors.shape[1], self.regularization, np.float32)
        penalty[-1] = self.bias_regularization
        return equations(vectors, penalty, offsets=biases, target=(-self.mean, 1.0), nu=self.nu)

    def centred(self, measured: Measured, n: int) -> "BiasedRatings":
        """Return the loss with the mean that is best for the vectors and biases that were measured."""
        return dataclasses.replace(self, mean=self.mean + measured.errors / n)


@dataclass(frozen=True, slots=True)
class Confidences:
    """Weighted squared error of every pair: one where something was chosen, zero with a small weight everywhere.

    **Loss.** ``sum |value| (x_u.y_i - t)^2 + unobserved_weight sum_all (x_u.y_i)^2``, the first sum being over the
    observed pairs: ``t`` is 1 where the value is positive and 0 where it is negative. Plus for each row of ``m``
    observed pairs, on both sides, ``regularization (m + count_offset)^nu |x|^2``.

    References
    ----------
    Y. Hu, Y. Koren, C. Volinsky (2008), "Collaborative filtering for implicit feedback datasets".
    S. Rendle, W. Krichene, L. Zhang, Y. Koren (2021), "Revisiting the performance of iALS on item recommendation
    benchmarks".
    """

    unobserved_weight: float
    regularization: float
    nu: float
    count_offset: float = SHORT_ROW

    def equations(self, fixed: Floats) -> Equations:
        """Return the equations of a side's vectors, given the other's (n, rank)."""
        return self._equations(fixed, gram(fixed))

    @contextlib.contextmanager
    def holding(self, fixed: Floats) -> Iterator[Equations]:
        """Do as `BiasedRatings.holding`; here the equations need no copy anyway."""
        yield self.equations(fixed)

    def measure(self, by_user: Rows, by_item: Rows, users: Floats, items: Floats) -> Measured:
        """Return the loss of a model."""
        user_gram, item_gram = gram(users), gram(items)
        of_users, of_items = self._equations(items, item_gram), self._equations(users, user_gram)
        seen = sum_of_losses(by_user, of_users, users)
        penalties = seen.penalties + sum_of_penalties(by_item, of_items, items)
        unseen = self.unobserved_weight * float(np.sum(user_gram * item_gram))
        return Measured(seen.squares + penalties + unseen, seen.squares, seen.errors)

    def _equations(self, fixed: Floats, fixed_gram: Doubles) -> Equations:
        return equations(
            fixed,
            self.regularization,
            gram=self.unobserved_weight * fixed_gram,
            weight=(0.0, 1.0),
            target=(1.0, 0.0),
            count_offset=self.count_offset,
            nu=self.nu,
        )


def equations_of(model: "FactorState", side: Side) -> Equations:
    """Return the normal equations that place a user (or an item) against the other side."""
    other = "item" if side == "user" else "user"
    fixed, offsets = getattr(model, f"{other}_vectors"), getattr(model, f"{other}_bias")
    objective = model.objective
    biased = getattr(model, f"{side}_bias") is not None and objective.loss != "residual"
    columns = np.column_stack([fixed, np.ones(len(fixed), np.float32)]) if biased else fixed
    penalty = np.full(columns.shape[1], objective.regularization)
    if biased:
        penalty[-1] = objective.bias_regularization
    if objective.loss in ("squared", "residual"):
        return equations(columns, penalty, offsets=offsets, target=(-model.mean, 1.0), nu=objective.nu)
    count_offset = 0.0 if objective.loss == "confident" else objective.count_offset
    if count_offset is None:
        count_offset = objective.unobserved_weight * len(fixed)
    return equations(
        columns,
        penalty,
        gram=objective.unobserved_weight * gram(columns),
        offsets=offsets,
        weight=(1.0, 0.0) if objective.loss == "matched" else (0.0, 1.0),
        target=(1.0 - model.mean, 0.0),
        count_offset=count_offset,
        nu=objective.nu,
    )
