"""What a user did not choose, drawn anew each epoch to set against what they did.

Two ways to draw. `UniformNegatives` draws from all items that are no training positive of the user, each with the
same chance. `InBatchNegatives` takes the batch's other items, which costs nothing to look up but shows popular items
more often. Either way each negative has a weight, the number of times it was expected to be drawn to the power of
``-correction``: with 1, sums over the negatives estimate sums over all items; with 0 popular items count for more.

References
----------
Y. Bengio, J.-S. Senécal (2008), "Adaptive importance sampling to accelerate training of a neural probabilistic
language model".
X. Yi et al. (2019), "Sampling-bias-corrected neural modeling for large corpus item recommendations".
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from cofactor.kernels.compiling import readable
from cofactor.kernels.unmet import kth_unmet
from cofactor.model.keras_network import keras
from cofactor.solvers.keras_batches import Batches

__all__ = ["FixedBatches", "InBatchNegatives", "Negatives", "RankingBatches", "UniformNegatives"]


class Negatives(Protocol):
    """A way to draw negatives for a batch of positives."""

    def draw(
        self, users: np.ndarray, items: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Return the negatives' item rows (batch, negatives), or None for the batch's own, and their weights."""
        ...


@dataclass(frozen=True)
class UniformNegatives:
    """Draw so many negatives for each positive, every item the user has not met being as likely.

    Parameters
    ----------
    met : scipy.sparse.csr_array, shape (users, items)
        What is never drawn for a user.
    each : int
        Negatives for each positive.
    correction : float
        How far the weights make up for drawing few of many.
    """

    met: sparse.csr_array
    each: int
    correction: float

    def draw(
        self, users: np.ndarray, items: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Return item rows (batch, negatives) and weights; a user who has met all items gets weights of 0."""
        unmet = self.met.shape[1] - (self.met.indptr[users + 1] - self.met.indptr[users])
        places = (random.random((len(users), self.each)) * unmet[:, None]).astype(np.int64)
        rows = np.empty(places.shape, np.int32)
        kth_unmet(readable(self.met.indptr), readable(self.met.indices), users, places, rows)
        weights = np.where(unmet > 0, np.maximum(unmet, 1) / self.each, 0) ** self.correction * (unmet > 0)
        rows[unmet == 0] = 0
        return rows, np.broadcast_to(weights.astype(np.float32)[:, None], rows.shape)


@dataclass(frozen=True)
class InBatchNegatives:
    """Take the items of the other positives in a group of the batch, but for those that the user has met.

    Parameters
    ----------
    met : scipy.sparse.csr_array, shape (users, items)
        What never counts as a user's negative.
    chances : numpy.ndarray of float64, shape (items,)
        How likely each item is to be a positive drawn at random.
    group : int
        Positives in a group; a batch holds whole groups.
    correction : float
        How far the weights make up for popular items being drawn more often.
    """

    met: sparse.csr_array
    chances: np.ndarray
    group: int
    correction: float

    def draw(
        self, users: np.ndarray, items: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray | None, np.ndarray]:
        """Return None and the weight of each of the group's items for each user, shape (batch, group)."""
        starts = range(0, len(users), self.group)
        parts = [
            self._weights(users[start : start + self.group], items[start : start + self.group]) for start in starts
        ]
        return None, np.concatenate(parts)

    def _weights(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return each item's weight for each user, 0 where the user has met it: (users, items)."""
        kinds, kind_of = np.unique(items, return_inverse=True)
        column = np.full(self.met.shape[1], -1)
        column[kinds] = np.arange(len(kinds))
        start, counts = self.met.indptr[users], self.met.indptr[users + 1] - self.met.indptr[users]
        before = np.cumsum(counts) - counts
        entries = np.arange(counts.sum()) + np.repeat(start - before, counts)  # all that these users have met
        row, found = np.repeat(np.arange(len(users)), counts), column[self.met.indices[entries]]
        weights = np.tile(((self.group * self.chances[kinds]) ** -self.correction).astype(np.float32), (len(users), 1))
        weights[row[found >= 0], found[found >= 0]] = 0
        return weights[:, kind_of]


class RankingBatches(keras.utils.PyDataset):
    """Batches of positives with their negatives: the inputs of a ranking network, and the weight of each score.

    What is drawn depends on the seed, the epoch and the batch's number alone.

    Parameters
    ----------
    positives : Batches
    negatives : Negatives
    seed : int
    """

    def __init__(self, positives: Batches, negatives: Negatives, seed: int) -> None:
        super().__init__()
        self._positives = positives
        self._negatives = negatives
        self._seed = seed

    def __len__(self) -> int:
        return len(self._positives)

    def on_epoch_end(self) -> None:
        """Move on to the next epoch's order and negatives."""
        self._positives.on_epoch_end()

    def skip_to(self, epoch: int) -> None:
        """Go on as after so many epochs."""
        self._positives.skip_to(epoch)

    def __getitem__(self, index: int) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Return (users, items[, negatives]) and weights of shape (batch, 1 + negatives), the positive's first."""
        (users, items), _ = self._positives[index]
        random = np.random.default_rng([self._seed, 1, self._positives.epoch, index])
        rows, weights = self._negatives.draw(users[:, 0], items[:, 0], random)
        inputs = (users, items) if rows is None else (users, items, rows)
        return inputs, np.concatenate([np.ones((len(users), 1), np.float32), weights], axis=1)


class FixedBatches(RankingBatches):
    """The same batches with the same negatives each time, to watch a loss on."""

    def on_epoch_end(self) -> None:
        """Stay."""
