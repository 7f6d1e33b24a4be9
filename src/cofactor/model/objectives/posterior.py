"""Draws from a posterior: the objective of `BayesianMF`, whose models place newcomers by drawing their vectors too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from scipy import sparse

from cofactor.errors import DataError, SettingError
from cofactor.model.objectives.objective import Objective, Parameters, Placed, Side, Toward, need, need_biases

if TYPE_CHECKING:
    from cofactor.model.bayesian.row_system import Array
    from cofactor.model.bayesian.state import Draws, KeptSide

__all__ = ["Posterior"]

_SEEDS = {"users": 0, "items": 1}
"""The same ratings always get the same vector. Chance on the two sides must differ: alike, it would raise products."""


@dataclass(frozen=True, kw_only=True)
class Posterior(Objective):
    """Nothing is minimized: the vectors are draws from a posterior, side by side.

    Parameters
    ----------
    n_samples : int
        How many draws a vector holds; a score is their average.
    """

    kind: ClassVar[str] = "posterior"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {"n_samples": (1, 1_000_000)}

    n_samples: int = 1

    @property
    def draws(self) -> int:
        """How many draws are side by side in a vector."""
        return self.n_samples

    def place(self, parameters: Parameters, rows: sparse.csr_array, side: Side, toward: Toward | None = None) -> Placed:
        """Draw vectors and biases for new rows, each given a draw of the other side; see `Objective.place`.

        Newcomers without a rating get zeros and the bias of the average row, or what their attributes say, as in the
        training.
        """
        from cofactor.model.bayesian.packing import draws_of, levels_of, prior_means  # loads the sampler's kernels

        draws = draws_of(parameters)
        if levels_of(parameters, draws) is not None and (rows.nnz or toward is None):
            raise SettingError(
                "a model with likelihood='probit' cannot place newcomers, whose opinions only a chain can draw: "
                "train it again with them, or with likelihood='gaussian'"
            )
        sides = (draws.users, draws.items) if side == "user" else (draws.items, draws.users)
        means = None if toward is None else prior_means(toward.vectors, self.draws)
        return Placed(*_placed(rows, *sides, draws, f"{side}s", means))

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
        from cofactor.model.bayesian.packing import draws_of, prior_means

        draws = draws_of(parameters)
        pulls = [_effect(draws, met, user_row, int(item)).pull for item in item_rows]  # each (draws, size)
        said = prior_means(parts, self.draws)
        found: np.ndarray = np.einsum("pdk,idk->pi", said, np.array(pulls)) / self.draws
        return found

    def check_parameters(self, parameters: Parameters) -> None:
        """Check every array of the draws; see `Objective.check_parameters`."""
        need_biases(parameters, "user", "item")
        extras, draws = parameters.extras, self.n_samples
        if parameters.user_vectors.shape[1] % draws:
            raise DataError(f"vectors of {parameters.user_vectors.shape[1]} columns cannot hold {draws} draws")
        size = parameters.user_vectors.shape[1] // draws + 1
        _check_positive("draws.noise", need(extras, "draws.noise", np.float64, (draws,)))
        for side, vectors in (("users", parameters.user_vectors), ("items", parameters.item_vectors)):
            name = f"draws.{side}."
            need(extras, f"{name}bias", np.float32, (len(vectors), draws))
            need(extras, f"{name}mean", np.float64, (draws, size))
            _check_positive(f"{name}weights", need(extras, f"{name}weights", np.float32, (len(vectors), draws)))
            _check_positive(f"{name}freedom", need(extras, f"{name}freedom", np.float64, (draws,)))
            _check_definite(f"{name}precision", need(extras, f"{name}precision", np.float64, (draws, size, size)))
            if (linked := extras.get(f"{name}loadings.0")) is not None:
                need(extras, f"{name}loadings.0", np.float32, (max(len(linked), 1), draws, size))
        _check_levels(extras, draws)

    def grown(self, parameters: Parameters, n_users: int, n_items: int) -> Mapping[str, np.ndarray]:
        """Return the extras with more rows, which have no bias and the noise of the average row."""
        extras = dict(parameters.extras)
        for side, length, other in (("users", n_users, n_items), ("items", n_items, n_users)):
            wanted = {"bias": (length, 0.0), "weights": (length, 1.0), "loadings.0": (other, 0.0)}
            for part, (rows, filler) in wanted.items():
                if (old := extras.get(f"draws.{side}.{part}")) is not None:
                    new = np.full((max(rows - len(old), 0), *old.shape[1:]), filler, old.dtype)
                    extras[f"draws.{side}.{part}"] = np.concatenate([old, new])
        return extras

    def shrunk(self, parameters: Parameters, users: np.ndarray) -> Mapping[str, np.ndarray]:
        """Return the extras with only some rows of the users."""
        extras = dict(parameters.extras)
        for name in ("draws.users.bias", "draws.users.weights", "draws.items.loadings.0"):
            if (old := extras.get(name)) is not None:
                extras[name] = old[users[users < len(old)]]  # loadings stop at the users of the training
        return extras

    def shares(
        self,
        parameters: Parameters,
        met: np.ndarray,
        values: np.ndarray,
        user_row: int,
        item_rows: np.ndarray,
        toward: Toward | None = None,
    ) -> np.ndarray:
        """Split scores: in each draw, a user's posterior mean is a sum over the ratings; see `Objective.shares`.

        With the probit likelihood ratings stand for the opinions behind them. What is missing from a score is due to
        the mean, the item's own bias, what users have in common, and chance.
        """
        from cofactor.model.bayesian.packing import draws_of

        draws = draws_of(parameters)
        columns = [_shares(draws, met, values, user_row, int(item)) for item in item_rows]
        return np.asarray(columns).reshape(len(item_rows), len(met)).T


def _check_positive(name: str, array: np.ndarray) -> None:
    if array.size and array.min() <= 0:
        raise DataError(f"the model's {name} holds a number that is not above 0")


def _check_definite(name: str, matrices: np.ndarray) -> None:
    """Check that matrices of precisions are ones, so that rows can be drawn by them."""
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        raise DataError(f"the model's {name} is not positive definite") from None


def _check_levels(extras: Mapping[str, np.ndarray], draws: int) -> None:
    """Check the cut points and the levels of a probit model, which only together make sense."""
    cuts = extras.get("draws.cuts", np.zeros((draws, 0)))
    if cuts.ndim != 2 or cuts.shape[1] == 0:
        need(extras, "draws.cuts", np.float64, (draws, 0))
        if "draws.levels" in extras:
            raise DataError("the model has levels of ratings, and no cut points between them")
        return
    need(extras, "draws.cuts", np.float64, (draws, max(cuts.shape[1], 3)), finite=False)
    levels = need(extras, "draws.levels", np.float64, (cuts.shape[1] - 1,))
    ends = cuts[:, 0] == -np.inf, cuts[:, -1] == np.inf
    rising = np.isfinite(cuts[:, 1:-1]).all() and (np.diff(cuts[:, 1:-1]) >= 0).all() and (np.diff(levels) > 0).all()
    if not (rising and np.all(ends)):
        raise DataError("the cut points or the levels of the model's ratings are not in order")


def _placed(
    matrix: sparse.csr_array,
    rows: "KeptSide",
    columns: "KeptSide",
    draws: "Draws",
    side: str,
    means: "Array | None",
) -> "tuple[Array, Array, dict[str, Array]]":
    """Return the vectors, the biases, and what belongs below the model's extras of the same names."""
    from cofactor.model.bayesian.packing import average_bias, side_by_side
    from cofactor.model.bayesian.predictions import posterior_rows, without_opinion
    from cofactor.model.bayesian.row_system import Ratings

    if matrix.shape[1] != len(columns.bias):
        raise DataError(f"the newcomers' ratings have {matrix.shape[1]:,} columns, not {len(columns.bias):,}")
    if any(len(loadings) > len(columns.bias) for loadings in rows.loadings):
        raise DataError("a model of newcomers alone cannot place more: fold them into the whole model")
    ratings = Ratings.of(matrix)
    placed = posterior_rows(ratings, rows, columns, draws, seed=_SEEDS[side], spread=1.0, means=means)
    unrated = ratings.counts == 0
    without_opinion(placed, unrated, None if means is None else means[unrated])
    extras = {f"draws.{side}.bias": placed.bias, f"draws.{side}.weights": placed.weights}
    return side_by_side(placed.vectors), average_bias(placed), extras


def _shares(draws: "Draws", rows: "Array", values: "Array", user_row: int, item_row: int) -> "Array":
    """Return each rating's share of one score, averaged over the draws: (ratings,)."""
    rated, weights, effect, pull = _effect(draws, rows, user_row, item_row)
    targets = values - float(draws.mean) - draws.items.bias[rows].T  # (draws, ratings)
    found: np.ndarray = np.mean(weights * targets * (rated @ effect)[:, :, 0], axis=0)
    for loadings in draws.users.loadings:
        known = rows < len(loadings)
        found[known] += np.einsum("ndk,dk->n", loadings[rows[known]], pull) / len(pull) / np.sqrt(len(rows))
    return found


class _Effect(NamedTuple):
    """What there is to split in each draw: the rated items, their weights, a unit of the right side, of the mean."""

    rated: "Array"  # (draws, ratings, size)
    weights: "Array"  # (draws, ratings)
    effect: "Array"  # (draws, size, 1)
    pull: "Array"  # (draws, size)


def _effect(draws: "Draws", rows: "Array", user_row: int, item_row: int) -> _Effect:
    """Return what a user's ratings, and their prior mean, add to one score."""
    design = _design(draws.items, np.append(rows, item_row))  # (draws, ratings + 1, size)
    rated, asked = design[:, :-1], design[:, -1, :, None]
    weights = draws.items.weights[rows].T * (draws.noise * draws.users.weights[user_row])[:, None]
    matrix = draws.users.precision + np.swapaxes(rated, 1, 2) @ (weights[:, :, None] * rated)
    effect = np.linalg.solve(matrix, asked)
    return _Effect(rated, weights, effect, (draws.users.precision @ effect)[:, :, 0])


def _design(side: "KeptSide", rows: "Array") -> "Array":
    """Return [vector, 1] of some rows in each draw, (draws, rows, size), in double precision."""
    vectors = np.swapaxes(side.vectors[rows], 0, 1).astype(np.float64)
    ones: Any = np.ones((*vectors.shape[:2], 1))
    return np.concatenate([vectors * np.sqrt(len(vectors)), ones], axis=2)
