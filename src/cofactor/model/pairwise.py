"""What a user chose is to score above what they did not: the epochs of BPR, shared out to threads.

**Model.** ``bias_i + x_u.y_i``; vectors are padded to whole registers.

**Loss.** ``sum log(1 + exp(-(s_ui - s_uj)))`` over the pairs ``(u, i)`` that were seen, with ``j`` drawn anew each time
from what the user has not seen, plus ``regularization / 2`` times the squares of every row and bias that a pair
touches.

**Algorithm.** Stochastic descent in blocks. Each epoch puts the items in ``B`` blocks at random; users are in ``B``
blocks too. In the turn ``s`` of an epoch the block ``t`` of users meets the block ``t + s`` of items, and items that
they did not choose are drawn from the same block. So the tasks of a turn touch no row in common: they may run in any
order, on any number of threads, and give the same bits.

References
----------
S. Rendle, C. Freudenthaler, Z. Gantner, L. Schmidt-Thieme (2009), "BPR: Bayesian personalized ranking from implicit
feedback".
R. Gemulla, E. Nijkamp, P. Haas, Y. Sismanis (2011), "Large-scale matrix factorization with distributed stochastic
gradient descent".
W. Zhang, T. Chen, J. Wang, Y. Yu (2013), "Optimizing top-n collaborative filtering via dynamic negative item sampling".
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cofactor.model.bayesian.counter_random import subkey
from cofactor.model.kernels import pair_rows, pairs
from cofactor.model.kernels.assembly import padded
from cofactor.model.kernels.threads import share_out, task_bounds
from cofactor.model.least_squares import Doubles, Floats

if TYPE_CHECKING:
    from cofactor.model.state import FactorState

__all__ = ["Pairs", "Steps", "Told", "pad", "place_items", "place_users", "shares"]

MOST_BLOCKS = 16
PASSES = 50
"""How often a newcomer's pairs are gone through."""

_PLACING_KEY = np.uint64(0)
PAIRS_IN_TASK = 4096
ITEMS_IN_BLOCK = 64


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


class Pairs:
    """The pairs of a table, and room to put them in blocks; one epoch after another trains on them.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (users, items)
        Its values do not matter.
    """

    def __init__(self, matrix: sparse.csr_array) -> None:
        self.indptr, self.indices = _compressed(matrix)
        self.counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        self.met = np.flatnonzero(self.counts)
        n_users = matrix.shape[0]
        self.blocks = max(
            1, min(MOST_BLOCKS, math.isqrt(matrix.nnz // PAIRS_IN_TASK), len(self.met) // ITEMS_IN_BLOCK, n_users)
        )
        shares = np.searchsorted(self.indptr, np.arange(1, self.blocks) * (matrix.nnz / self.blocks))
        self.cuts = np.concatenate([[0], shares, [n_users]])
        self._ends = np.empty((self.blocks, n_users), np.int64)
        self._bases = np.empty((self.blocks, self.blocks), np.int64)
        self._entries = np.empty(matrix.nnz, np.int32)

    def train(self, steps: Steps, users: Floats, items: Floats, bias: Floats, seed: int, epoch: int) -> Told:
        """Move vectors and biases in place by one pass over the pairs."""
        members = np.random.default_rng([seed, epoch]).permutation(self.met)
        edges = np.arange(self.blocks + 1) * len(members) // self.blocks
        self._arrange(members, edges)
        blocks = (self._ends, self._bases, self._entries, members, edges)
        rate = np.float32(steps.learning_rate)
        settings = (rate, np.float32(1 - steps.learning_rate * steps.regularization), steps.drawn)
        key, sums = subkey(subkey(np.uint64(seed), epoch), 0), np.zeros((self.blocks, 3))
        tasks = np.arange(self.blocks + 1)
        for turn in range(self.blocks):
            share_out(pairs.descend, tasks, turn, key, self.cuts, blocks, users, items, bias, settings, sums)
        loss, right, count = sums.sum(axis=0)
        return Told(float(loss / max(count, 1)), float(right / max(count, 1)))

    def _arrange(self, members: npt.NDArray[np.int64], edges: npt.NDArray[np.int64]) -> None:
        block_of = np.zeros(len(self.counts), np.uint8)
        block_of[members] = np.repeat(np.arange(self.blocks), np.diff(edges))
        place_of = np.zeros(len(self.counts), np.int32)
        place_of[members] = np.arange(len(members)) - np.repeat(edges[:-1], np.diff(edges))
        where, room = (block_of, place_of), (self._ends, self._bases, self._entries)
        share_out(pairs.bucket, np.arange(self.blocks + 1), self.cuts, self.indptr, self.indices, *where, *room)


def place_users(model: "FactorState", matrix: sparse.csr_array) -> tuple[Floats, None]:
    """Return the vectors of newcomers by what they met (newcomers, items); users have no bias."""
    return _placed_users(model, matrix, np.empty((0, 0)))[:, : model.rank], None


def place_items(model: "FactorState", matrix: sparse.csr_array) -> tuple[Floats, Floats]:
    """Return the vectors and biases of new items by who met them (newcomers, users)."""
    users, items = model.lanes_of("user"), model.lanes_of("item")
    placed, bias = np.zeros((matrix.shape[0], items.shape[1]), np.float32), np.zeros(matrix.shape[0], np.float32)
    turns = round(model.objective.negatives * model.seen.nnz / max(model.n_items, 1))
    indptr, indices = _compressed(matrix)
    tasks, fixed = task_bounds((indptr + turns * np.arange(len(indptr))) * PASSES), (users, items, model.item_bias)
    share_out(
        pair_rows.place_items,
        tasks,
        _PLACING_KEY,
        indptr,
        indices,
        _compressed(model.seen),
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
    indptr, indices = _compressed(matrix)
    tasks, fixed = task_bounds(indptr * PASSES), (items, model.item_bias)
    share_out(pair_rows.place_users, tasks, _PLACING_KEY, indptr, indices, fixed, _settings(model), placed, parts)
    return placed


def _compressed(matrix: sparse.csr_array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    return np.ascontiguousarray(matrix.indptr, np.int64), np.ascontiguousarray(matrix.indices, np.int32)


def _settings(model: "FactorState") -> tuple[Floats, float, int]:
    """Return the falling lengths of the steps, one for each pass, the penalty, and how many items are drawn."""
    objective = model.objective
    rates = objective.learning_rate * (1 - np.arange(PASSES) / PASSES)
    return rates.astype(np.float32), objective.regularization, objective.negatives


def pad(vectors: Floats) -> Floats:
    """Return a copy with zeros up to whole registers."""
    wide = np.zeros((len(vectors), padded(vectors.shape[1])), np.float32)
    wide[:, : vectors.shape[1]] = vectors
    return wide
