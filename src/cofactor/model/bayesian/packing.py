"""Kept draws as the arrays of a `Factors`, and back."""

from collections.abc import Mapping, Sequence

import numpy as np

from cofactor.errors import DataError
from cofactor.kernels.compiling import readable
from cofactor.model.bayesian.row_system import Array
from cofactor.model.bayesian.state import Draws, KeptSide, to_arrays
from cofactor.model.objectives.objective import Parameters

__all__ = ["attribute_weights", "average_bias", "draws_of", "extras_of", "levels_of", "prior_means", "side_by_side"]

_IN_FACTORS = ("mean", "users.vectors", "items.vectors")


def side_by_side(vectors: Array) -> Array:
    """Return all draws of each row (rows, draws, rank) as one long vector (rows, draws * rank)."""
    return vectors.reshape(len(vectors), -1)


def average_bias(side: KeptSide) -> Array:
    """Return each row's bias, averaged over the draws (rows,)."""
    return side.bias.mean(axis=1, dtype=np.float64).astype(np.float32)


def attribute_weights(side: KeptSide, loadings: Sequence[Array]) -> Array:
    """Return what attributes say as a model keeps it: a row for each of their columns, and last for every row alike.

    A row has the vectors of all draws side by side, and then their biases.
    """
    every = np.concatenate([*loadings, side.mean[None].astype(np.float32)])  # (columns + 1, draws, size)
    vectors = every[..., :-1] / np.float32(np.sqrt(len(side.mean)))
    return np.concatenate([side_by_side(vectors), every[..., -1]], axis=1)


def prior_means(said: Array, draws: int) -> Array:
    """Return the prior means (rows, draws, size) of rows of which attributes say this, laid out as the weights are."""
    vectors, bias = said[:, :-draws], said[:, -draws:]
    parts = vectors.reshape(len(said), draws, vectors.shape[1] // draws).astype(np.float64) * np.sqrt(draws)
    return np.concatenate([parts, bias[..., None]], axis=2)


def extras_of(draws: Draws) -> dict[str, Array]:
    """Return what a `Factors` has to keep of the draws besides its own arrays, by dotted names."""
    return {f"draws.{name}": array for name, array in to_arrays(draws).items() if name not in _IN_FACTORS}


def draws_of(model: Parameters) -> Draws:
    """Return the draws that a model is made of; its arrays are looked at, not copied.

    Raises
    ------
    DataError
        If what it has kept of them does not fit together.
    """
    extras, draws = model.extras, model.draws
    cuts = extras.get("draws.cuts", np.zeros((0, 0)))
    return Draws(
        mean=np.array(model.mean),
        noise=_shaped(extras, "draws.noise", (draws,), np.float64),
        cuts=_shaped(extras, "draws.cuts", (draws, cuts.shape[-1]), np.float64),
        users=_side(extras, "users", model.user_vectors, draws),
        items=_side(extras, "items", model.item_vectors, draws),
    )


def _side(extras: Mapping[str, Array], side: str, vectors: Array, draws: int) -> KeptSide:
    rows, columns = vectors.shape
    if columns % draws:
        raise DataError(f"the model's vectors of {columns} columns cannot hold {draws} draws")
    size = columns // draws + 1
    name = f"draws.{side}."
    linked = extras.get(f"{name}loadings.0")
    return KeptSide(
        vectors=readable(vectors.reshape(rows, draws, size - 1)),
        bias=_shaped(extras, f"{name}bias", (rows, draws), np.float32),
        weights=_shaped(extras, f"{name}weights", (rows, draws), np.float32),
        mean=_shaped(extras, f"{name}mean", (draws, size), np.float64),
        precision=_shaped(extras, f"{name}precision", (draws, size, size), np.float64),
        freedom=_shaped(extras, f"{name}freedom", (draws,), np.float64),
        loadings=()
        if linked is None
        else (_shaped(extras, f"{name}loadings.0", (len(linked), draws, size), np.float32),),
    )


def _shaped(extras: Mapping[str, Array], name: str, shape: tuple[int, ...], kind: type) -> Array:
    """Return an array of the extras, which kernels will read without asking where it ends."""
    array = extras.get(name)
    if array is None or array.shape != shape or array.dtype != kind:
        found = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
        raise DataError(f"the model's {name} is {found}, where {np.dtype(kind)} of shape {shape} is needed")
    return readable(array)


def levels_of(model: Parameters, draws: Draws) -> Array | None:
    """Return what the levels of a probit model are worth; None for numbers with normal noise."""
    if draws.cuts.shape[1] == 0:
        return None
    return _shaped(model.extras, "draws.levels", (draws.cuts.shape[1] - 1,), np.float64)
