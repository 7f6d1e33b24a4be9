"""What a user chose is to score above what they did not: the epochs of BPR, shared out to threads.

**Model.** ``bias_i + x_u.y_i``; vectors are padded to whole registers.

**Loss.** ``sum log(1 + exp(-(s_ui - s_uj)))`` over the pairs ``(u, i)`` that were seen, with ``j`` drawn anew each time
from what the user has not seen, plus ``regularization / 2`` times the squares of every row and bias that a pair
touches.

**Algorithm.** Stochastic descent in `cofactor.model.blocks`.

References
----------
S. Rendle, C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme (2009), "BPR: Bayesian personalized ranking from implicit
feedback".
W. Zhang, T. Chen, J. Wang, Y. Yu (2013), "Optimizing top-n collaborative filtering via dynamic negative item sampling".
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cofactor.model.blocks import Blocks, compressed
from cofactor.model.kernels import pair_rows, pairs
from cofactor.model.kernels.threads import share_out, task_bounds
from cofactor.model.least_squares import Doubles, Floats

if TYPE_CHECKING:
    from cofactor.model.state import FactorState

__all__ = ["Pairs", "Steps", "Told", "place_items", "place_users", "shares"]

PASSES = 50
"""How often a newcomer's pairs are gone through."""

_PLACING_KEY = np.uint64(0)


@dataclass(frozen=True, slots=True)
class Steps:
    """How a pair moves its rows: the steps' length, the penalty, of how many unseen items the hardest is taken."""

    learning_rate: float
    regularization: float
    drawn: int


@dataclass(frozen=True, slots=True)
class Told:
    """An epoch's mean loss, and the share of its pairs that were in the right order, before each was trained on."""

    loss: float
    in_order: float


class Pairs(Blocks):
    """The pairs of a table, in blocks; one epoch after another trains on them."""

    def train(self, steps: Steps, users: Floats, items: Floats, bias: Floats, seed: int, epoch: int) -> Told:
        """Move vectors and biases in place by one pass over the pairs."""
        rate = np.float32(steps.learning_rate)
        settings = (rate, np.float32(1 - steps.learning_rate * steps.regularization), steps.drawn)
        loss, right, count = self.epoch(pairs.descend, seed, epoch, users, items, bias, settings, figures=3)
        return Told(float(loss / max(count, 1)), float(right / max(count, 1)))


def place_users(model: "FactorState", matrix: sparse.csr_array) -> tuple[Floats, None]:
    """Return the vectors of newcomers by what they met (newcomers, items); users have no bias."""
    return _placed_users(model, matrix, np.empty((0, 0)))[:, : model.rank], None


def place_items(model: "FactorState", matrix: sparse.csr_array) -> tuple[Floats, Floats]:
    """Return the vectors and biases of new items by who met them (newcomers, users)."""
    users, items = model.lanes_of("user"), model.lanes_of("item")
    placed, bias = np.zeros((matrix.shape[0], items.shape[1]), np.float32), np.zeros(matrix.shape[0], np.float32)
    turns = round(model.objective.negatives * model.seen.nnz / max(model.n_items, 1))
    indptr, indices = compressed(matrix)
    tasks, fixed = task_bounds((indptr + turns * np.arange(len(indptr))) * PASSES), (users, items, model.item_bias)
    share_out(
        pair_rows.place_items,
        tasks,
        _PLACING_KEY,
        indptr,
        indices,
        compressed(model.seen),
        fixed,
        _settings(model),
        turns,
        placed,
        bias,
    )
    return placed[:, : model.rank], bias


def shares(model: "FactorState", item_rows: npt.NDArray[np.int32], target: int) -> Doubles:
    """Return what each of the items that a user met adds to an item's score, were the user placed by them."""
    met = sparse.csr_array(
        (np.ones(len(item_rows), np.float32), item_rows, [0, len(item_rows)]), shape=(1, model.n_items)
    )
    items = model.lanes_of("item")
    parts = np.zeros((len(item_rows), items.shape[1]))
    _placed_users(model, met, parts)
    added: Doubles = parts @ items[target].astype(np.float64)
    return added


def _placed_users(model: "FactorState", matrix: sparse.csr_array, parts: Doubles) -> Floats:
    items = model.lanes_of("item")
    placed = np.zeros((matrix.shape[0], items.shape[1]), np.float32)
    indptr, indices = compressed(matrix)
    tasks, fixed = task_bounds(indptr * PASSES), (items, model.item_bias)
    share_out(pair_rows.place_users, tasks, _PLACING_KEY, indptr, indices, fixed, _settings(model), placed, parts)
    return placed


def _settings(model: "FactorState") -> tuple[Floats, float, int]:
    """Return the falling lengths of the steps, one for each pass, the penalty, and how many items are drawn."""
    objective = model.objective
    rates = objective.learning_rate * (1 - np.arange(PASSES) / PASSES)
    return rates.astype(np.float32), objective.regularization, objective.negatives
