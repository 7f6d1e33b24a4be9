"""What happens after each epoch of a training on Keras: the progress is stored, and reported."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cofactor.model.keras_network import keras
from cofactor.solvers.epochs import Arrays, Checkpoint, Progress
from cofactor.solvers.keras_batches import Batches
from cofactor.solvers.keras_negatives import RankingBatches

__all__ = ["Keeper"]


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
        found = self._checkpoint.load()
        if found is None:
            return 0
        network.optimizer.build(network.trainable_variables)
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
