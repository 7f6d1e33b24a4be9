"""Weighted squared error of every pair: the objective of `ImplicitALS` and of what else learns from choices."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.passes import as_csr
from cofactor.model.objectives.objective import Parameters, Side, other_side, refuse_negative
from cofactor.model.objectives.squared import LeastSquares, Measured, numerics, penalties, with_ones

if TYPE_CHECKING:
    from cofactor.model.least_squares import Doubles, Equations, Floats, Rows

__all__ = ["SHORT_ROW", "Confidence"]

_FIRST = 12
"""What those count who choose an item that came after training. It was chosen on ml-100k, on three sets of films held
out of the training part of benchmarks/cold_items.py: there attributes and ratings together rank better than either
alone, however many ratings are known. More helps where few are known, less where many are; a weight that falls with
the number of an item's raters does worse than one that stays.
"""

SHORT_ROW = 50.0
"""Added to a row's number of pairs, so that rows of a few pairs are penalized nearly alike, and not too little."""


@dataclass(frozen=True, kw_only=True)
class Confidence(LeastSquares):
    """Weighted squared error of every pair: one where something was chosen, zero with a small weight everywhere.

    **Loss.** ``sum |value| (x_u.y_i - t)^2 + unobserved_weight sum_all (x_u.y_i)^2``, the first sum being over the
    observed pairs: ``t`` is 1 where the value is positive and 0 where it is negative. Plus for each row of ``m``
    observed pairs, on both sides, ``regularization (m + count_offset + count_share n)^nu |x|^2`` with ``n`` the rows
    of the other side.

    **References.** Y. Hu, Y. Koren, C. Volinsky (2008), Collaborative filtering for implicit feedback datasets;
    S. Rendle, W. Krichene, L. Zhang, Y. Koren (2021), Revisiting the performance of iALS on item recommendation
    benchmarks.

    Parameters
    ----------
    unobserved_weight : float
        Weight of a pair that was not observed, against the value of one that was.
    count_offset, count_share : float
        What is added to a row's number of pairs in its penalty: a number, and a share of the other side's rows.
    adds_unobserved : bool
        Whether a chosen pair aims at 1 with the weight of an unobserved pair as well, as in the form of 2008.
    alike : bool
        Whether every chosen pair counts 1, whatever its value.
    """

    kind: ClassVar[str] = "confidence"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        **LeastSquares.ranges, "unobserved_weight": (0.0, 1e9), "count_offset": (0.0, 1e9), "count_share": (0.0, 1e9),
    }  # fmt: skip

    unobserved_weight: float = 0.0
    count_offset: float = 0.0
    count_share: float = 0.0
    adds_unobserved: bool = False
    alike: bool = False

    @property
    def heeds_weights(self) -> bool:
        """Whether some choices of a user can count more than others: their values are confidences."""
        return not self.alike

    def penalty_scale(self, counts: np.ndarray) -> "Floats":
        """Return the scale of rows' penalties, from their numbers of pairs."""
        return ((counts + self.count_offset) ** self.nu).astype(np.float32)

    def equations(self, fixed: "Floats", mean: float = 0.0) -> "Equations":
        """Return the equations of a side's vectors, given the other's (n, rank); there is no mean to take off."""
        return self._equations(fixed, numerics().gram(fixed))

    @contextlib.contextmanager
    def holding(self, fixed: "Floats", mean: float = 0.0) -> Iterator["Equations"]:
        """Lend ``fixed`` to the equations; see `LeastSquares.holding`. Here they need no copy of it."""
        yield self.equations(fixed)

    def measure(
        self, by_user: "Rows", by_item: "Rows", users: "Floats", items: "Floats", mean: float = 0.0
    ) -> Measured:
        """Return the exact loss of a model, in double precision."""
        user_gram, item_gram = numerics().gram(users), numerics().gram(items)
        of_users, of_items = self._equations(items, item_gram), self._equations(users, user_gram)
        seen = numerics().sum_of_losses(by_user, of_users, users)
        held = seen.penalties + numerics().sum_of_penalties(by_item, of_items, items)
        unobserved = self.unobserved_weight * float(np.sum(user_gram * item_gram))
        return Measured(seen.squares + held + unobserved, seen.squares, seen.errors)

    def _equations(self, fixed: "Floats", fixed_gram: "Doubles") -> "Equations":
        return numerics().equations(
            fixed,
            self.regularization,
            gram=self.unobserved_weight * fixed_gram,
            weight=(0.0, 1.0),
            target=(1.0, 0.0),
            count_offset=self.count_offset + self.count_share * len(fixed),
            nu=self.nu,
        )

    def problem(self, parameters: Parameters, side: Side) -> "Equations":
        """Return the normal equations that place rows of a side against the other side."""
        other = other_side(side)
        with_bias = parameters.bias(side) is not None
        return parameters.once("confidence", other, lambda: self._problem(parameters, other, with_bias))

    def _problem(self, parameters: Parameters, other: Side, with_bias: bool) -> "Equations":
        columns = with_ones(parameters.vectors(other)) if with_bias else parameters.vectors(other)
        return numerics().equations(
            columns,
            penalties(self, columns.shape[1], with_bias),
            gram=self.unobserved_weight * numerics().gram(columns),
            offsets=parameters.bias(other),
            weight=(1.0, 0.0) if self.alike else (0.0, 1.0),
            target=(1.0 - parameters.mean, 0.0),
            count_offset=self.count_offset + self.count_share * len(columns),
            nu=self.nu,
        )

    def _solved(self, system: "Equations", rows: sparse.csr_array, free: int) -> "Floats":
        if self.adds_unobserved:
            chosen = sparse.csr_array(((rows.data != 0).astype(np.float32), rows.indices, rows.indptr), rows.shape)
            prior = np.asarray(self.unobserved_weight * (chosen @ system.vectors), np.float32)
            system = dataclasses.replace(system, prior=system.prior + prior)
        return super()._solved(system, rows, free)

    def _weights_and_pulls(
        self, system: "Equations", parameters: Parameters, met: np.ndarray, values: np.ndarray, user_row: int
    ) -> tuple[np.ndarray, np.ndarray]:
        weights, pulls = super()._weights_and_pulls(system, parameters, met, values, user_row)
        return weights, pulls + (self.unobserved_weight if self.adds_unobserved else 0.0)

    def stressed(self, rows: sparse.csr_array, fresh: np.ndarray) -> sparse.csr_array:
        """Return rows in which the choices of fresh ones weigh more: the first few stand for those that are to come."""
        if not fresh.any():
            return rows
        weights = np.where(np.repeat(fresh, np.diff(rows.indptr)), np.float32(_FIRST), np.float32(1))
        return as_csr(rows.data * weights, rows.indices, rows.indptr, rows.shape)

    def check_values(self, ids: pl.Series, rows: sparse.csr_array) -> None:
        """Refuse negative values where they cannot mean dislikes; see `Objective.check_values`."""
        if self.adds_unobserved or (self.non_negative and not self.alike):
            refuse_negative(
                ids,
                rows,
                "here values say how sure it is that a user chose an item, so give what was liked alone, with values "
                "above 0",
            )
