"""What a user chose is to score above what they did not: the objective of `BPR`, and its epochs in threads.

**Model.** ``bias_i + x_u.y_i``; vectors are padded to whole registers.

**Loss.** ``sum log(1 + exp(-(s_ui - s_uj)))`` over the pairs ``(u, i)`` that were chosen, with ``j`` drawn anew each
time from what the user did not choose, plus ``regularization / 2`` times the squares of every row and bias that a pair
touches. Where pairs have weights, such as those by their age, these multiply the logarithms.

**Algorithm.** Stochastic gradient descent in `cofactor.model.pair_blocks`; newcomers are placed by the same steps.

References
----------
S. Rendle, C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme (2009), "BPR: Bayesian personalized ranking from implicit
feedback".
W. Zhang, T. Chen, J. Wang, Y. Yu (2013), "Optimizing top-n collaborative filtering via dynamic negative item sampling".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import sparse

from cofactor.model.objectives.objective import Objective, Parameters, Placed, Side, Toward, need_biases

if TYPE_CHECKING:
    from cofactor.model.least_squares import Doubles, Floats
    from cofactor.model.pair_blocks import Blocks

__all__ = ["EpochStats", "Pairwise"]

PASSES = 50
"""How often a newcomer's pairs are gone through."""

_PLACING_KEY = np.uint64(0)


@dataclass(frozen=True, slots=True)
class EpochStats:
    """An epoch's mean loss, and the share of its pairs that were in the right order, before each was trained on."""

    loss: float
    in_order: float


@dataclass(frozen=True, kw_only=True)
class Pairwise(Objective):
    """A chosen item is to score above one of the same user that was not chosen (Rendle et al. 2009).

    Parameters
    ----------
    learning_rate : float
        Length of the first steps.
    regularization : float
        Weight of the squares of vectors and biases.
    negatives : int
        How many items that were not chosen are drawn for each that was, to take the one of highest score.
    """

    kind: ClassVar[str] = "pairwise"
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {
        "learning_rate": (0.0, 1e3), "regularization": (0.0, 1e20), "negatives": (1, 1_000),
    }  # fmt: skip

    learning_rate: float = 0.0
    regularization: float = 0.0
    negatives: int = 1

    @property
    def heeds_weights(self) -> bool:
        """Whether some choices of a user can count more than others: their values are the weights of their pairs."""
        return True

    def train(
        self, blocks: "Blocks", rate: float, users: "Floats", items: "Floats", bias: "Floats", seed: int, epoch: int
    ) -> EpochStats:
        """Move vectors and biases in place by one pass over the chosen pairs, with steps of length ``rate``."""
        from cofactor.kernels import pairs

        settings = (np.float32(rate), np.float32(1 - rate * self.regularization), self.negatives)
        loss, right, count = blocks.epoch(pairs.descend, seed, epoch, users, items, bias, settings, figures=3)
        return EpochStats(float(loss / max(count, 1)), float(right / max(count, 1)))

    def place(self, parameters: Parameters, rows: sparse.csr_array, side: Side, toward: Toward | None = None) -> Placed:
        """Place rows by the steps of the training; see `Objective.place`."""
        if side == "item":
            return self._placed_items(parameters, rows, toward)
        vectors = self._placed_users(parameters, rows, np.empty((0, 0)), toward)
        return Placed(vectors[:, : parameters.item_vectors.shape[1]])

    def _placed_items(self, parameters: Parameters, rows: sparse.csr_array, toward: Toward | None) -> Placed:
        from cofactor.kernels import pair_rows
        from cofactor.kernels.compiling import readable
        from cofactor.kernels.threads import share_out, task_bounds
        from cofactor.model.pair_blocks import compressed

        users, items, learnt = _lanes(parameters, "user"), _lanes(parameters, "item"), parameters.learnt()
        rank, count = parameters.item_vectors.shape[1], rows.shape[0]
        placed, bias = np.zeros((count, items.shape[1]), np.float32), np.zeros(count, np.float32)
        turns = np.full(count, round(self.negatives * learnt.nnz / max(learnt.shape[1], 1)))
        indptr, indices = compressed(rows)
        means = np.zeros((0, items.shape[1]), np.float32), np.zeros(0, np.float32)
        if toward is not None:
            placed[:, :rank], bias = toward.vectors[:, :rank], toward.vectors[:, rank].copy()
            means = placed.copy(), bias.copy()
            turns[toward.fresh | (np.diff(indptr) == 0)] = 0  # nothing else is known of them
        share_out(
            pair_rows.place_items,
            task_bounds((indptr + np.append(0, np.cumsum(turns))) * PASSES),
            _PLACING_KEY,
            indptr,
            indices,
            readable(rows.data, np.float32),
            (*compressed(learnt), readable(learnt.data, np.float32)),
            (users, items, parameters.item_bias),
            self._steps(),
            turns,
            means,
            placed,
            bias,
        )
        return Placed(placed[:, :rank], bias)

    def _placed_users(
        self, parameters: Parameters, rows: sparse.csr_array, parts: "Doubles", toward: Toward | None
    ) -> "Floats":
        from cofactor.kernels import pair_rows
        from cofactor.kernels.compiling import readable
        from cofactor.kernels.threads import share_out, task_bounds
        from cofactor.model.pair_blocks import compressed

        items = _lanes(parameters, "item")
        placed = np.zeros((rows.shape[0], items.shape[1]), np.float32)
        indptr, indices = compressed(rows)
        tasks, fixed = task_bounds(indptr * PASSES), (items, parameters.item_bias)
        pairs = (indptr, indices, readable(rows.data, np.float32))
        means = placed[:0]
        if toward is not None:
            placed[:, : parameters.item_vectors.shape[1]] = toward.vectors
            means = placed.copy()
        share_out(pair_rows.place_users, tasks, _PLACING_KEY, *pairs, fixed, self._steps(), means, placed, parts)
        return placed

    def shares(
        self,
        parameters: Parameters,
        met: np.ndarray,
        values: np.ndarray,
        user_row: int,
        item_rows: np.ndarray,
        toward: Toward | None = None,
    ) -> np.ndarray:
        """Return what each chosen item adds to scores, were the user placed by them; see `Objective.shares`."""
        items = _lanes(parameters, "item")
        row = sparse.csr_array((values.astype(np.float32), met, [0, len(met)]), shape=(1, len(items)))
        parts = np.zeros((len(met), items.shape[1]))
        self._placed_users(parameters, row, parts, toward)
        added: np.ndarray = parts @ items[item_rows].astype(np.float64).T
        return added

    def check_parameters(self, parameters: Parameters) -> None:
        """Check that items have biases; see `Objective.check_parameters`."""
        need_biases(parameters, "item")

    def _steps(self) -> tuple["Floats", float, int]:
        """Return the falling lengths of the steps, one for each pass, the penalty, and how many items are drawn."""
        rates = self.learning_rate * (1 - np.arange(PASSES) / PASSES)
        return rates.astype(np.float32), self.regularization, self.negatives


def _lanes(parameters: Parameters, side: Side) -> "Floats":
    """Return a side's vectors with zeros up to whole registers, as the steps take them."""
    from cofactor.model.pair_blocks import pad

    return parameters.once("lanes", side, lambda: pad(parameters.vectors(side)))
