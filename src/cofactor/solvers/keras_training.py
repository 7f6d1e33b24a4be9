"""How `KerasMF` trains: batches of ratings and of items not chosen, progress after each epoch, several devices.

**Batches** come from memory or from disk, in an order that only the seed decides.

**Negatives**, what a user did not choose, are drawn again in each epoch. `UniformNegatives`
draws from all items that are no training positive of the user, each with the same chance. `InBatchNegatives` takes the
batch's other items, which costs nothing to look up but shows popular items more often. Either way each negative has a
weight, the number of times it was expected to be drawn to the power of ``-correction``: with 1, sums over the negatives
estimate sums over all items; with 0 popular items count for more.

**Devices**: a batch need not be divisible by the devices, so each device is given all of its row numbers, which are
little, and looks up its share. The tables are cut by rows, so that no device need hold a whole one: what a step then
sends around is the batch's rows, not a gradient as large as the table.

References
----------
Y. Bengio, J.-S. Senécal (2008), "Adaptive importance sampling to accelerate training of a neural probabilistic
language model".
X. Yi et al. (2019), "Sampling-bias-corrected neural modeling for large corpus item recommendations".
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from cofactor.data.interactions import Interactions
from cofactor.data.timing import Timing
from cofactor.kernels.compiling import readable
from cofactor.kernels.unmet import kth_unmet
from cofactor.model.keras_network import keras
from cofactor.model.objectives import Side
from cofactor.solvers.epochs import Arrays, Checkpoint, Progress
from cofactor.solvers.featured import Attributes

__all__ = [
    "Batches",
    "Drawn",
    "FixedBatches",
    "InBatchNegatives",
    "Keeper",
    "Negatives",
    "RankingBatches",
    "UniformNegatives",
    "all_devices",
]

log = logging.getLogger(__name__)

_BLOCK = 65_536  # neighbouring ratings that are shuffled as one block
_SHARD = 4_194_304  # ratings that are in memory at a time and are shuffled one by one

_AXIS = "batch"
_SHARED_OUT = (
    r"(.*/)?(user|item)_(vectors|bias)/output",  # of what is looked up, each device has some of the batch's rows
    r"(.*/)?(user|item)_(vectors|bias)/embeddings",  # of a table, and of what the optimizer keeps of it, some rows
    r"(.*/)?(user|item)_(vectors|bias)_decay/(row_weights|means)",
)


class Batches(keras.utils.PyDataset):
    """The ratings in batches of one size, in a new order each epoch.

    The order is drawn in two steps, so that no more than a few million ratings are read at a time: blocks of
    neighbours are permuted, then the ratings of 64 blocks at a time are. Up to four million ratings that is one
    permutation of all. It depends on the seed and the epoch, not on where the ratings lie: in memory or on disk, the
    same batches come. All batches have one size, since Keras compiles for each size; the few ratings left over
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
    timing : Timing, optional
        If it lets old ratings weigh less, batches hold their weights too.
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
        timing: Timing | None = None,
        seed: int | None,
    ) -> None:
        super().__init__()
        self._matrix = ratings.matrix
        self._times = ratings.timestamps
        self._timing = None if timing is None or timing.half_life is None else timing
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

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return (users, items), values, each of shape (ratings, 1), and perhaps weights (ratings,)."""
        per_shard = max(_SHARD // self._size, 1)
        shard, within = divmod(index, per_shard)
        if self._loaded is None or self._loaded[:2] != (self._epoch, shard):
            self._loaded = self._epoch, shard, self._load(shard, per_shard * self._size)
        users, items, *others = (column[within * self._size :][: self._size] for column in self._loaded[2])
        return (users, items), *others

    def _load(self, shard: int, length: int) -> tuple[np.ndarray, ...]:
        """Read one shard: user rows, item rows and values, each (ratings, 1), and perhaps weights (ratings,)."""
        taken, order = self._sequence(shard * length, min((shard + 1) * length, self._n))
        if self._positions is not None:
            taken = self._positions[taken]
        users = np.searchsorted(self._matrix.indptr, taken, side="right") - 1  # neighbours first, while they are
        columns = users.astype(np.int32), self._matrix.indices[taken].astype(np.int32), self._matrix.data[taken]
        read = tuple(column[order][:, None] for column in columns)
        if self._timing is None or self._times is None:
            return read
        return *read, self._timing.decay(self._times[taken])[order]

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

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return (users, items[, negatives]) and weights of shape (batch, 1 + negatives), the positive's first.

        Where old pairs weigh less, a third part is what each row weighs.
        """
        (users, items), _, *decayed = self._positives[index]
        random = np.random.default_rng([self._seed, 1, self._positives.epoch, index])
        rows, weights = self._negatives.draw(users[:, 0], items[:, 0], random)
        inputs = (users, items) if rows is None else (users, items, rows)
        return inputs, np.concatenate([np.ones((len(users), 1), np.float32), weights], axis=1), *decayed


class FixedBatches(RankingBatches):
    """The same batches with the same negatives each time, to watch a loss on."""

    def on_epoch_end(self) -> None:
        """Stay."""


class Drawn(keras.callbacks.Callback):
    """Before each epoch, let the decay of rows be to what their attributes say, by the tables so far.

    Parameters
    ----------
    attributes : mapping of side to Attributes
    """

    def __init__(self, attributes: Mapping[Side, Attributes]) -> None:
        super().__init__()
        self._attributes = attributes

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        layers = {layer.name: layer for layer in self.model.layers}
        for side, one in self._attributes.items():
            names = [name for name in (f"{side}_vectors", f"{side}_bias") if name in layers]
            tables = [layers[name].get_weights()[0][: len(one.strengths)] for name in names]
            said = np.split(one.said(np.concatenate(tables, axis=1)), [tables[0].shape[1]], axis=1)
            for name, means in zip(names, said, strict=False):
                if (decay := layers.get(f"{name}_decay")) is not None:
                    decay.means.assign(_of_height(means, decay.means.shape))


class Keeper(keras.callbacks.Callback):
    """Store the progress after each epoch, stop where the watched figure no longer falls, and report.

    Keras's own early stopping forgets what was best when a process dies, so a resumed run could end elsewhere.

    Parameters
    ----------
    checkpoint : Checkpoint
    watch : str, optional
        The figure whose least value is the best.
    patience : int, optional
        Stop after so many epochs without a better one.
    loss_unit : float
        One unit of the network's loss, in the unit of the loss that is reported.
    report : callable, optional
        Called with an epoch's number and its figures.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        watch: str | None = None,
        patience: int | None = None,
        *,
        loss_unit: float = 1.0,
        report: Callable[[int, Mapping[str, float]], None] | None = None,
    ) -> None:
        super().__init__()
        self.progress = Progress({})
        self._checkpoint = checkpoint
        self._watch = watch
        self._patience = patience
        self._units = {"loss": loss_unit, "val_loss": loss_unit}
        self._report = report

    def resume(self, network: Any, batches: Batches | RankingBatches) -> int:
        """Put a checkpoint's weights and optimizer state into a network; return how many epochs it has had."""
        found = self._checkpoint.load(lambda arrays: _fitting(network, arrays))
        if found is None:
            return 0
        _put(network, found.arrays)
        batches.skip_to(found.epochs)
        self.progress = found
        return found.epochs

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        arrays = {f"{k:03d}": np.array(variable) for k, variable in enumerate(_variables(self.model))}
        figures = {name: self._units.get(name, 1.0) * float(value) for name, value in (logs or {}).items()}
        self.progress = self.progress.after(arrays, figures, self._watch)
        self._checkpoint.save(self.progress)
        if self.progress.waited(self._patience):
            self.model.stop_training = True
        if self._report is not None:
            self._report(epoch + 1, figures)

    def restore_best(self, network: Any) -> None:
        """Put back the best epoch's weights, where one was watched."""
        if self.progress.best is not None:
            _put(network, self.progress.best)


def _put(network: Any, arrays: Arrays) -> None:
    """Put into a network what `Keeper.on_epoch_end` took out of one, perhaps on another number of devices."""
    for variable, (_, array) in zip(_variables(network), sorted(arrays.items()), strict=True):
        variable.assign(_of_height(array, variable.shape))


def _fitting(network: Any, arrays: Arrays) -> Arrays:
    """Return a checkpoint's arrays, once they are known to be those of a network; the spare rows of tables may differ.

    Raises
    ------
    ValueError
        Naming what does not fit.
    """
    network.optimizer.build(network.trainable_variables)
    variables = _variables(network)
    if sorted(arrays) != [f"{k:03d}" for k in range(len(variables))]:
        raise ValueError(f"it has {len(arrays)} arrays where the network has {len(variables)}")
    for name, variable in zip(sorted(arrays), variables, strict=True):
        found, wanted = arrays[name], np.array(variable)
        if found.shape != wanted.shape and (found.ndim != 2 or found.shape[1:] != wanted.shape[1:]):
            raise ValueError(f"{name} has the shape {found.shape}, not {wanted.shape}")
        if found.dtype != wanted.dtype or not np.isfinite(found).all():
            raise ValueError(f"{name} holds {found.dtype}, not finite {wanted.dtype}")
    return {name: array.copy() for name, array in arrays.items()}


def _of_height(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Cut or fill up the spare rows of a table, whose number is another on another number of devices."""
    if array.shape == shape:
        return array
    fitted = np.zeros(shape, array.dtype)
    rows = min(len(array), len(fitted))
    fitted[:rows] = array[:rows]
    return fitted


def _variables(network: Any) -> list[Any]:
    """Return all that training changes: weights, then the optimizer's own state."""
    return [*network.trainable_variables, *network.optimizer.variables]


@contextmanager
def all_devices() -> Iterator[int]:
    """Let networks that are made and trained in this block use all devices, as far as Keras can.

    Yields
    ------
    int
        What the number of rows of each table has to be a multiple of. It is 1 where nothing is shared out: with one
        device, inside a distribution of the caller's own, and with other backends than JAX.
    """
    names = _devices()
    if len(names) < 2 or keras.distribution.distribution() is not None:
        yield 1
        return
    if keras.backend.backend() != "jax":
        log.warning("training on one of %d devices: KERAS_BACKEND=jax uses them all", len(names))
        yield 1
        return
    with _shared_out(names).scope():
        yield len(names)


def _devices() -> Sequence[str]:
    try:
        return keras.distribution.list_devices()
    except AttributeError:  # Keras cannot tell with this backend
        return ()


def _shared_out(names: Sequence[str]) -> Any:
    layouts = keras.distribution.LayoutMap(keras.distribution.DeviceMesh((len(names),), (_AXIS,), names))
    for pattern in _SHARED_OUT:
        layouts[pattern] = (_AXIS,)
    return _SharedOut(layout_map=layouts, batch_dim_name=_AXIS)


class _SharedOut(keras.distribution.ModelParallel):
    def get_data_layout(self, data_shape: Sequence[int]) -> Any:
        """Give every device all inputs: Keras's own layout would only take batches that are divisible."""
        return keras.distribution.TensorLayout((), self.device_mesh)
