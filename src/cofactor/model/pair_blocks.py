"""The pairs of a table in blocks of users and items, so that threads train on rows that no other thread touches.

**Algorithm.** Each epoch puts the items in ``B`` blocks at random; users are in ``B`` blocks too. In the turn ``s`` of
an epoch the block ``t`` of users meets the block ``t + s`` of items, and items that they did not choose are drawn from
the same block. So the tasks of a turn touch no row in common: they may run in any order, on any number of threads, and
give the same bits.

Reference: R. Gemulla, E. Nijkamp, P. Haas, Y. Sismanis (2011), "Large-scale matrix factorization with distributed
stochastic gradient descent".
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cofactor.data.array_store import MEMORY, ArrayStore
from cofactor.data.passes import counts_of
from cofactor.kernels import pairs
from cofactor.kernels.assembly import padded
from cofactor.kernels.compiling import readable
from cofactor.kernels.counter_random import subkey
from cofactor.kernels.threads import share_out
from cofactor.model.least_squares import Doubles, Floats

__all__ = ["Blocks", "compressed", "pad"]

MOST_BLOCKS = 16
PAIRS_IN_TASK = 4096
ITEMS_IN_BLOCK = 64


class Blocks:
    """The pairs of a table, and room to put them in blocks.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (users, items)
        Its values do not matter.
    store : ArrayStore
        Where the blocks are.
    weights : numpy.ndarray of float32, shape (pairs,), optional
        What each pair counts; all alike if not given.
    """

    def __init__(
        self, matrix: sparse.csr_array, store: ArrayStore = MEMORY, *, weights: npt.NDArray[np.float32] | None = None
    ) -> None:
        self.indptr, self.indices = compressed(matrix)
        self.counts = counts_of(matrix.indices, matrix.shape[1])
        self.met = np.flatnonzero(self.counts)
        n_users = matrix.shape[0]
        self.blocks = max(
            1, min(MOST_BLOCKS, math.isqrt(matrix.nnz // PAIRS_IN_TASK), len(self.met) // ITEMS_IN_BLOCK, n_users)
        )
        shares = np.searchsorted(self.indptr, np.arange(1, self.blocks) * (matrix.nnz / self.blocks))
        self.cuts = np.concatenate([[0], shares, [n_users]])
        self._ends = store.zeros((self.blocks, n_users), np.int64)
        self._bases = np.empty((self.blocks, self.blocks), np.int64)
        self._entries = store.zeros(matrix.nnz, np.int32)
        self._weights = readable(np.empty(0) if weights is None else weights, np.float32)
        self._arranged = store.zeros(len(self._weights), np.float32)

    def epoch(
        self,
        descend: Callable[..., None],
        seed: int,
        number: int,
        users: Floats,
        items: Floats,
        *arguments: Any,
        figures: int,
    ) -> Doubles:
        """Go once through the pairs with a kernel; return the sums, (figures,), that it leaves in its last argument."""
        for vectors in (users, items):
            if vectors.shape[1] != padded(vectors.shape[1]):  # the kernels would write beside them
                raise ValueError(f"vectors of length {vectors.shape[1]} end within a register: pad them with zeros")
        members = np.random.default_rng([seed, number]).permutation(self.met)
        edges = np.arange(self.blocks + 1) * len(members) // self.blocks
        self._arrange(members, edges)
        blocks = (self._ends, self._bases, self._entries, self._arranged, members, edges)
        key, sums = subkey(subkey(np.uint64(seed), number), 0), np.zeros((self.blocks, figures))
        tasks = np.arange(self.blocks + 1)
        for turn in range(self.blocks):
            share_out(descend, tasks, turn, key, self.cuts, blocks, users, items, *arguments, sums)
        total: Doubles = sums.sum(axis=0)
        return total

    def least_for_unmet(self, bias: Floats) -> Floats:
        """Return item biases, (items,), where items without a pair have that of the item that is chosen least."""
        own = bias.copy()
        own[self.counts == 0] = bias[self.met].min()
        return own

    def _arrange(self, members: npt.NDArray[np.int64], edges: npt.NDArray[np.int64]) -> None:
        block_of = np.zeros(len(self.counts), np.uint8)
        block_of[members] = np.repeat(np.arange(self.blocks), np.diff(edges))
        place_of = np.zeros(len(self.counts), np.int32)
        place_of[members] = np.arange(len(members)) - np.repeat(edges[:-1], np.diff(edges))
        what = (self.cuts, self.indptr, self.indices, self._weights)
        where, room = (block_of, place_of), (self._ends, self._bases, self._entries, self._arranged)
        share_out(pairs.bucket, np.arange(self.blocks + 1), *what, *where, *room)


def compressed(matrix: sparse.csr_array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Return where each row starts and its columns, as the kernels take them."""
    return readable(matrix.indptr, np.int64), readable(matrix.indices, np.int32)


def pad(vectors: Floats, store: ArrayStore = MEMORY) -> Floats:
    """Return a copy with zeros up to whole registers."""
    wide = store.zeros((len(vectors), padded(vectors.shape[1])), np.float32)
    wide[:, : vectors.shape[1]] = vectors
    return wide
