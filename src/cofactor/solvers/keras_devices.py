"""Several devices of the JAX backend at work on one training: each batch and each table shared out among them.

A batch need not be divisible by the devices, so each device is given all of its row numbers, which are little, and
looks up its share. The tables lie cut by rows, so that no device need hold one whole: what a step then sends around is
the batch's rows, not a gradient as large as the table.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cofactor.model.keras_network import keras

__all__ = ["all_devices"]

log = logging.getLogger(__name__)

_AXIS = "batch"
_SHARED_OUT = (
    r"(.*/)?(user|item)_(vectors|bias)/output",  # of what is looked up, each device has some of the batch's rows
    r"(.*/)?(user|item)_(vectors|bias)/embeddings",  # of a table, and of what the optimizer keeps of it, some rows
    r"(.*/)?(user|item)_(vectors|bias)_decay/row_weights",
)


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
