"""Squared error of ratings around mean and biases: the objective of `ALS`, `NMF` for ratings and `BiasOnly`."""

import abc
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import sparse

from cofactor.model.objectives.objective import Objective, Parameters, Placed, Side, Toward, other_side

if TYPE_CHECKING:
    from cofactor.model.least_squares import Equations, Floats, Rows

__all__ = ["LeastSquares", "Measured", "SquaredError", "numerics", "penalties", "with_ones"]

_SINGULAR = 1e-6  # a pivot of Cholesky's that is less than so much of the largest

_SWEEPS = 60  # of coordinate descent, where vectors must not be negative


def numerics() -> ModuleType:
    """Return the module that solves rows; it brings numba, which a list from a stored model need not wait for."""
    from cofactor.model import least_squares

    return least_squares


@dataclass(frozen=True, slots=True)
class Measured:
    """The objective of a model; the squared errors in it; the sum of the errors, target less prediction."""

    objective: float
    squares: float
    errors: float


@dataclass(frozen=True, kw_only=True)
class LeastSquares(Objective):
    """What objectives share whose rows are the solutions of normal equations.

    Parameters
    ----------
    regularization, bias_regularization : float
        Weight of the squared norm of a row's vector, and of the square of its bias.
    nu : float
        A row's penalty grows with its number of observations to this power.
    non_negative : bool
        Whether vectors have no negative entry.
    """

    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "regularization": (0.0, 1e20), "bias_regularization": (0.0, 1e20), "nu": (0.0, 2.0),
    }  # fmt: skip

    regularization: float = 0.0
    bias_regularization: float = 0.0
    nu: float = 1.0
    non_negative: bool = False

    @abc.abstractmethod
    def problem(self, parameters: Parameters, side: Side) -> "Equations":
        """Return the normal equations that place rows of a side against the other side."""

    @abc.abstractmethod
    def holding(self, fixed: "Floats", mean: float) -> "contextlib.AbstractContextManager[Equations]":
        """Lend a side's array of training to the equations of the other's; it is as it was after the block."""

    @abc.abstractmethod
    def measure(self, by_user: "Rows", by_item: "Rows", users: "Floats", items: "Floats", mean: float) -> Measured:
        """Return the exact loss of a model, in double precision."""

    def place(self, parameters: Parameters, rows: sparse.csr_array, side: Side, toward: Toward | None = None) -> Placed:
        """Solve each row's equations; see `Objective.place`."""
        biased = parameters.bias(side) is not None
        if parameters.vectors(side).shape[1] == 0 and not biased:
            return Placed(np.zeros((rows.shape[0], 0), np.float32))
        system = self.problem(parameters, side)
        if toward is not None:
            system, rows = _drawn(system, rows, toward), self.stressed(rows, toward.fresh)
        solved = self._solved(system, rows, int(biased))
        if toward is not None and (new := np.diff(rows.indptr) == 0).any():
            said, columns = toward.vectors[new], system.rank - int(biased)  # nothing else is known of them
            solved[new, : said.shape[1]] = said
            if self.non_negative:
                solved[new, :columns] = np.maximum(said[:, :columns], 0)
        return Placed(solved[:, :-1], solved[:, -1]) if biased else Placed(solved)

    def stressed(self, rows: sparse.csr_array, fresh: np.ndarray) -> sparse.csr_array:
        """Return rows in which what is said of fresh ones weighs as much as it should; ratings as they are."""
        return rows

    def _solved(self, system: "Equations", rows: sparse.csr_array, free: int) -> "Floats":
        if not self.non_negative:
            return numerics().solve_rows(numerics().Rows.of(rows), system)
        start = np.zeros((rows.shape[0], system.rank), np.float32)
        chosen = numerics().Rows.of(rows)
        return numerics().improve_nonnegative_rows(chosen, system, start, sweeps=_SWEEPS, free=free)

    def shares(
        self,
        parameters: Parameters,
        met: np.ndarray,
        values: np.ndarray,
        user_row: int,
        item_rows: np.ndarray,
        toward: Toward | None = None,
    ) -> np.ndarray:
        """Split scores: the solution of a row's equation is a sum over its ratings; see `Objective.shares`."""
        if parameters.item_vectors.shape[1] == 0 and parameters.user_bias is None:
            return np.zeros((len(met), len(item_rows)))
        rated, pulls, effect = self._effect(parameters, met, values, user_row, item_rows)
        found: np.ndarray = pulls[:, None] * (rated @ effect)
        return found

    def attribute_shares(
        self,
        parameters: Parameters,
        met: np.ndarray,
        values: np.ndarray,
        user_row: int,
        item_rows: np.ndarray,
        parts: np.ndarray,
    ) -> np.ndarray:
        """Split off what a user's attributes add to scores; see `Objective.attribute_shares`."""
        system = self.problem(parameters, "user")
        pull = float(system.scale(np.array([len(met)]))[0]) * system.penalty[: parts.shape[1]].astype(np.float64)
        effect = self._effect(parameters, met, values, user_row, item_rows)[2]
        found: np.ndarray = (parts * pull) @ effect[: parts.shape[1]]
        return found

    def _effect(
        self, parameters: Parameters, met: np.ndarray, values: np.ndarray, user_row: int, item_rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the rated vectors, their pulls, and what a unit of pull in each coordinate adds to scores."""
        system = self.problem(parameters, "user")
        rated, asked = system.vectors[met].astype(np.float64), system.vectors[item_rows].astype(np.float64)
        weights, pulls = self._weights_and_pulls(system, parameters, met, values, user_row)
        scale = float(system.scale(np.array([len(met)]))[0])
        matrix = system.gram + np.diag(scale * system.penalty.astype(np.float64))
        if self.non_negative:
            own = parameters.user_vectors[user_row]
            support = np.flatnonzero(np.append(own, [1.0] * (system.rank - len(own))))
            matrix, rated, asked = matrix[np.ix_(support, support)], rated[:, support], asked[:, support]
        disliked = system.disliked(values)
        if disliked.any():  # their targets are zero: what they do is hold down the score that the others would give
            whole = _solution(matrix + (rated.T * weights) @ rated, rated.T @ pulls)
            pulls = np.where(disliked, pulls - weights * (rated @ whole), pulls)
            weights = np.where(disliked, 0.0, weights)
        return rated, pulls, _solution(matrix + (rated.T * weights) @ rated, asked.T)

    def _weights_and_pulls(
        self, system: "Equations", parameters: Parameters, met: np.ndarray, values: np.ndarray, user_row: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return each rating's weight in a user's matrix, and its part of the right-hand side."""
        weights, targets = system.weights_and_targets(values, met)
        return weights, weights * targets


def _solution(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve symmetric equations; of several solutions, return the shortest."""
    from scipy.linalg import cho_solve  # which most lists need not wait for

    try:
        lower = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        lower = np.zeros((1, 1))
    if (pivots := lower.diagonal()).min(initial=np.inf) <= _SINGULAR * pivots.max(initial=0.0):
        return np.linalg.lstsq(matrix, right, rcond=None)[0]
    found: np.ndarray = cho_solve((lower, True), right, check_finite=False)
    return found


@dataclass(frozen=True, kw_only=True)
class SquaredError(LeastSquares):
    """Squared error of the observed ratings.

    **Model.** ``mean + bias_u + bias_i + x_u.y_i``; in training a side's array is (rows, rank + 1), the bias in the
    last column.

    **Loss.** ``sum (rating - model)^2`` over the ratings, plus for each row of ``m`` ratings, on both sides,
    ``m^nu (regularization |x|^2 + bias_regularization bias^2)``.

    **Reference.** Y. Zhou, D. Wilkinson, R. Schreiber, R. Pan (2008), Large-scale parallel collaborative filtering for
    the Netflix Prize (nu = 1).

    Parameters
    ----------
    bias_first : bool
        Whether a row's bias is found first, as if there were no vectors, and held while the vector is found.
    """

    kind: ClassVar[str] = "squared"

    bias_first: bool = False

    def penalty_scale(self, counts: np.ndarray) -> "Floats":
        """Return the scale of rows' penalties, from their numbers of ratings."""
        return (counts**self.nu).astype(np.float32)

    def equations(self, fixed: "Floats", mean: float) -> "Equations":
        """Return the equations of a side's vectors and biases, given the other's (n, rank + 1)."""
        return self._equations(np.array(fixed, np.float32, order="C"), np.array(fixed[:, -1]), mean)

    @contextlib.contextmanager
    def holding(self, fixed: "Floats", mean: float) -> Iterator["Equations"]:
        """Lend ``fixed`` itself to the equations, which spares a copy of it; it is as it was after the block."""
        biases = np.array(fixed[:, -1])
        try:
            yield self._equations(fixed, biases, mean)
        finally:
            fixed[:, -1] = biases

    def measure(self, by_user: "Rows", by_item: "Rows", users: "Floats", items: "Floats", mean: float) -> Measured:
        """Return the exact loss of a model, in double precision."""
        with self.holding(items, mean) as of_users:
            seen = numerics().sum_of_losses(by_user, of_users, users)
        penalties = seen.penalties + numerics().sum_of_penalties(by_item, of_users, items)  # both sides have the same
        return Measured(seen.squares + penalties, seen.squares, seen.errors)

    def _equations(self, vectors: "Floats", biases: "Floats", mean: float) -> "Equations":
        vectors[:, -1] = 1  # the coefficient of the row's own bias
        penalty = np.full(vectors.shape[1], self.regularization, np.float32)
        penalty[-1] = self.bias_regularization
        return numerics().equations(vectors, penalty, offsets=biases, target=(-mean, 1.0), nu=self.nu)

    def problem(self, parameters: Parameters, side: Side) -> "Equations":
        """Return the normal equations that place rows of a side against the other side."""
        other = other_side(side)
        with_bias = parameters.bias(side) is not None and not self.bias_first
        return parameters.once("squared error", other, lambda: self._problem(parameters, other, with_bias))

    def _problem(self, parameters: Parameters, other: Side, with_bias: bool) -> "Equations":
        columns = with_ones(parameters.vectors(other)) if with_bias else parameters.vectors(other)
        penalty = penalties(self, columns.shape[1], with_bias)
        offsets, target = parameters.bias(other), (-parameters.mean, 1.0)
        return numerics().equations(columns, penalty, offsets=offsets, target=target, nu=self.nu)

    def place(self, parameters: Parameters, rows: sparse.csr_array, side: Side, toward: Toward | None = None) -> Placed:
        """Solve each row's equations; see `Objective.place`."""
        if not self.bias_first or parameters.bias(side) is None:
            return super().place(parameters, rows, side, toward)
        system, counts = self.problem(parameters, side), np.diff(rows.indptr)
        left = rows.data - np.float64(parameters.mean) - system.offsets[rows.indices]
        sums = np.bincount(np.repeat(np.arange(len(counts)), counts), weights=left, minlength=len(counts))
        penalty = self.bias_regularization * counts.astype(np.float64) ** self.nu
        bias = (sums / np.maximum(counts + penalty, 1)).astype(np.float32)
        rest = sparse.csr_array((rows.data - np.repeat(bias, counts), rows.indices, rows.indptr), rows.shape)
        return Placed(numerics().solve_rows(numerics().Rows.of(rest), system), bias)

    def _weights_and_pulls(
        self, system: "Equations", parameters: Parameters, met: np.ndarray, values: np.ndarray, user_row: int
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.bias_first and parameters.user_bias is not None:
            values = values - parameters.user_bias[user_row]
        return super()._weights_and_pulls(system, parameters, met, values, user_row)


def _drawn(system: "Equations", rows: sparse.csr_array, toward: Toward) -> "Equations":
    """Return equations that draw rows to some vectors instead of to zero.

    Of a fresh row, unobserved pairs aim at what its attributes say as well: if they aimed at zero, the first few who
    choose it would move it further down than nobody.
    """
    means = np.zeros((rows.shape[0], system.rank), np.float32)
    means[:, : toward.vectors.shape[1]] = toward.vectors
    pull = means * system.scale(np.diff(rows.indptr))[:, None] * system.penalty
    pull[toward.fresh] += means[toward.fresh] @ system.gram
    return dataclasses.replace(system, prior=(system.prior + pull).astype(np.float32))


def with_ones(vectors: "Floats") -> "Floats":
    """Return vectors with one more column, the coefficient of a row's own bias."""
    return np.column_stack([vectors, np.ones(len(vectors), np.float32)])


def penalties(objective: LeastSquares, columns: int, with_bias: bool) -> np.ndarray:
    """Return the penalty of each coordinate, that of the bias in the last."""
    penalty = np.full(columns, objective.regularization)
    if with_bias:
        penalty[-1] = objective.bias_regularization
    return penalty
