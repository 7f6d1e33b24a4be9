"""The state of a Gibbs chain, and its plain arrays for storing and resuming it.

A chain that is stored after any sweep, read back and run on ends in the same bits as one that was never
stopped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from cofactor.model.bayesian.row_system import Array

__all__ = ["Chain", "Draws", "KeptSide", "Side", "empty_kept", "fill_from", "keep_side", "to_arrays"]


@dataclass
class Side:
    """The present draw of everything that belongs to users, or to items."""

    vectors: Array  # (rows, size) the row's vector, then its bias
    links: Array  # (rows, size) what the row's features add to its prior mean
    mean: Array  # (size,)
    precision: Array  # (size, size)
    weights: Array  # (rows,) the noise precision relative to the average
    errors: Array  # (rows,) squared errors, weighted by the other side's weights
    freedom: Array  # () degrees of freedom of the weights
    loadings: tuple[Array, ...]  # a feature set's (features, size)


@dataclass
class KeptSide:
    """The kept draws of one side.

    Vectors are divided by the root of the number of draws, so that all of a row's, side by side, have the
    average over draws as their dot product. A size is a rank and one for the bias.
    """

    vectors: Array  # (rows, draws, rank) float32
    bias: Array  # (rows, draws) float32
    weights: Array  # (rows, draws) float32
    mean: Array  # (draws, size)
    precision: Array  # (draws, size, size)
    freedom: Array  # (draws,)
    loadings: tuple[Array, ...]  # a feature set's (features, draws, size) float32


@dataclass
class Draws:
    """The kept draws: all that predictions, and placing new users and items, need."""

    mean: Array  # () global mean, fixed
    noise: Array  # (draws,) noise precision
    cuts: Array  # (draws, levels + 1) cut points of an ordered probit, or (draws, 0)
    users: KeptSide
    items: KeptSide


@dataclass
class Chain:
    """All that a run needs to go on: the present draw, and the draws kept so far."""

    sweep: Array  # () number of sweeps done
    mean: Array  # () global mean, fixed
    noise: Array  # () noise precision
    cuts: Array  # (levels + 1,) cut points of an ordered probit, or none
    step: Array  # () size of the proposals for cut points
    users: Side
    items: Side
    kept: Draws


def empty_kept(side: Side, draws: int) -> KeptSide:
    """Return room for the kept draws of a side."""
    count, size = side.vectors.shape
    return KeptSide(
        vectors=np.zeros((count, draws, size - 1), np.float32),
        bias=np.zeros((count, draws), np.float32),
        weights=np.ones((count, draws), np.float32),
        mean=np.zeros((draws, size)),
        precision=np.zeros((draws, size, size)),
        freedom=np.zeros(draws),
        loadings=tuple(np.zeros((len(block), draws, size), np.float32) for block in side.loadings),
    )


def keep_side(kept: KeptSide, side: Side, place: int) -> None:
    """Store the present draw of a side."""
    root = np.sqrt(kept.bias.shape[1])
    np.divide(side.vectors[:, :-1], root, out=kept.vectors[:, place], casting="same_kind")
    kept.bias[:, place] = side.vectors[:, -1]
    kept.weights[:, place] = side.weights
    kept.mean[place], kept.precision[place], kept.freedom[place] = side.mean, side.precision, side.freedom
    for block, loadings in zip(kept.loadings, side.loadings, strict=True):
        block[:, place] = loadings


def to_arrays(state: Any, prefix: str = "") -> dict[str, Array]:
    """Return all arrays of a chain, or of its kept draws, by dotted names such as `users.loadings.0`."""
    if isinstance(state, np.ndarray):
        return {prefix: state}
    names = range(len(state)) if isinstance(state, tuple) else [part.name for part in fields(state)]
    arrays: dict[str, Array] = {}
    for name in names:
        part = state[name] if isinstance(name, int) else getattr(state, name)
        arrays |= to_arrays(part, f"{prefix}.{name}".lstrip("."))
    return arrays


def fill_from(state: Any, arrays: Mapping[str, Array], prefix: str = "") -> None:
    """Let a chain of the same problem and settings have these arrays, named as by `to_arrays`."""
    for part in fields(state):
        name, value = f"{prefix}.{part.name}".lstrip("."), getattr(state, part.name)
        if is_dataclass(value):
            fill_from(value, arrays, name)
        elif isinstance(value, tuple):
            setattr(state, part.name, tuple(_like(arrays[f"{name}.{k}"], own) for k, own in enumerate(value)))
        else:
            setattr(state, part.name, _like(arrays[name], value))


def _like(array: Array, own: Array) -> Array:
    """Give a stored array its shape back, which files lose where it has no axis; copy what cannot be written to."""
    return np.require(array, requirements="W").reshape(own.shape)
