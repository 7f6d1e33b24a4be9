"""Ratings in batches for Keras, from memory or from disk, in an order that only the seed decides."""

import numpy as np

from cofactor.data.interactions import Interactions
from cofactor.model.keras_network import keras

__all__ = ["Batches"]

_BLOCK = 65_536  # ratings that stand together and are shuffled as one block
_SHARD = 4_194_304  # ratings that are in memory at a time and are shuffled one by one


class Batches(keras.utils.PyDataset):
    """The ratings in batches of one size, in a new order each epoch.

    The order is drawn in two steps, so that no more than a few million ratings are read at a time: blocks of
    neighbours are permuted, then the ratings of 64 blocks at a time are. Up to four million ratings that is one
    permutation of all. It depends on the seed and the epoch, not on where the ratings lie: in memory or on disk, the
    same batches come. All batches have one size, since Keras compiles anew for each; the few ratings left over
    are others in every epoch.

    Parameters
    ----------
    ratings : Interactions
    batch_size : int
        The most ratings in a batch.
    positions : numpy.ndarray of int, optional
        Which stored ratings take part; all if not given.
    multiple : int
        Every batch's size is a multiple of this; there must be so many ratings.
    seed : int, optional
        Without it the order stays as stored and the last batch is shorter.
    """

    def __init__(
        self,
        ratings: Interactions,
        batch_size: int,
        *,
        positions: np.ndarray | None = None,
        multiple: int = 1,
        seed: int | None,
    ) -> None:
        super().__init__()
        self._matrix = ratings.matrix
        self._positions = positions
        self._seed = seed
        self._epoch = 0
        self._n = len(ratings) if positions is None else len(positions)
        self._count = -(-self._n // batch_size)
        self._size = batch_size if seed is None else self._n // self._count
        if multiple > 1:
            self._size = min(batch_size, self._n) // multiple * multiple
            self._count = self._n // self._size
        self._loaded: tuple[int, int, tuple[np.ndarray, ...]] | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def epoch(self) -> int:
        """Which epoch's order it is, from 0."""
        return self._epoch

    def on_epoch_end(self) -> None:
        """Move on to the next epoch's order."""
        self._epoch += 1

    def skip_to(self, epoch: int) -> None:
        """Go on as after so many epochs."""
        self._epoch = epoch

    def __getitem__(self, index: int) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        per_shard = max(_SHARD // self._size, 1)
        shard, within = divmod(index, per_shard)
        if self._loaded is None or self._loaded[:2] != (self._epoch, shard):
            self._loaded = self._epoch, shard, self._load(shard, per_shard * self._size)
        users, items, values = (column[within * self._size :][: self._size] for column in self._loaded[2])
        return (users, items), values

    def _load(self, shard: int, length: int) -> tuple[np.ndarray, ...]:
        """Read one shard: user rows, item rows and values, each of shape (ratings, 1)."""
        taken, order = self._sequence(shard * length, min((shard + 1) * length, self._n))
        if self._positions is not None:
            taken = self._positions[taken]
        users = np.searchsorted(self._matrix.indptr, taken, side="right") - 1  # neighbours first, while they are
        columns = users.astype(np.int32), self._matrix.indices[taken].astype(np.int32), self._matrix.data[taken]
        return tuple(column[order][:, None] for column in columns)

    def _sequence(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Return places ``start`` to ``end`` of the epoch: runs of neighbours, and the order to take them in."""
        if self._seed is None:
            return np.arange(start, end), np.arange(end - start)
        random = np.random.default_rng([self._seed, self._epoch])
        if self._n <= _SHARD:
            return np.arange(self._n), random.permutation(self._n)[start:end]
        blocks = random.permutation(-(-self._n // _BLOCK))
        ends = np.cumsum(np.minimum((blocks + 1) * _BLOCK, self._n) - blocks * _BLOCK)
        first, last = np.searchsorted(ends, start, side="right"), np.searchsorted(ends, end, side="left")
        places = [np.arange(block * _BLOCK, min((block + 1) * _BLOCK, self._n)) for block in blocks[first : last + 1]]
        skipped = start - (ends[first - 1] if first else 0)
        taken = np.concatenate(places)[skipped:][: end - start]
        return taken, np.random.default_rng([self._seed, self._epoch, start]).permutation(len(taken))
