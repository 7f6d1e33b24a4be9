"""What vectors and their companions must be before they make a model: finite, of shapes that fit, not too long."""

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np
from scipy import sparse

from cofactor.data.interactions import Interactions
from cofactor.data.metadata import Metadata
from cofactor.errors import DataError

__all__ = ["canonical", "check_interactions", "check_metadata", "check_shapes", "frozen"]

_LARGEST = 1e16  # the product of two such entries, summed over any rank, is a 32-bit number still


def check_interactions(data: object) -> None:
    """Refuse what has not been read yet, such as a data frame or a file's name.

    Raises
    ------
    DataError
        Naming what reads it.
    """
    if not isinstance(data, Interactions):
        kind = type(data).__name__
        raise DataError(
            f"{kind} where Interactions are needed: make them with cofactor.from_frame or cofactor.read_csv"
        )


def frozen(array: np.ndarray, name: str) -> np.ndarray:
    """Return the array as float32 in row order, readable only; refuse what is not finite or could overflow."""
    view = np.ascontiguousarray(array, dtype=np.float32).view()
    with np.errstate(invalid="ignore"):
        least, most = view.min(initial=0), view.max(initial=0)  # NaN where there is one; no table beside the vectors
    if not (least >= -_LARGEST and most <= _LARGEST):
        _refuse(view, name)
    view.flags.writeable = False
    return view


def _refuse(array: np.ndarray, name: str) -> NoReturn:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        row = int(bad[0][0])
        raise DataError(
            f"{name} has a value that is not finite in row {row:,}, since the training diverged or its data are bad: "
            "train with shorter steps or more regularization, or look at the data of that row"
        )
    raise DataError(
        f"{name} is so long that scores would overflow, since the training diverged or the data are bad: "
        "train with shorter steps or more regularization"
    )


def canonical(seen: Any) -> sparse.csr_array:
    """Return a table of seen items in the one form that models keep it in."""
    if not sparse.issparse(seen):
        raise DataError(f"seen must be a scipy sparse matrix of shape (users, items), not {type(seen).__name__}")
    matrix = sparse.csr_array(seen, dtype=np.float32, copy=True)
    matrix.sum_duplicates()
    return matrix


def check_shapes(arrays: Mapping[str, Any], lengths: Mapping[str, int], mean: float) -> None:
    """Raise DataError naming the array of a model that does not fit the others.

    Parameters
    ----------
    arrays : mapping
        user_vectors, item_vectors, and user_bias, item_bias and seen, which may be None.
    lengths : mapping
        How many users and items there are.
    mean : float
    """
    users, items = arrays["user_vectors"], arrays["item_vectors"]
    if users.ndim != 2 or items.ndim != 2:
        raise DataError("user_vectors and item_vectors must be two-dimensional: (rows, rank)")
    wanted = {
        "user_vectors": (lengths["users"], items.shape[1]),
        "item_vectors": (lengths["items"], users.shape[1]),
        "user_bias": (lengths["users"],),
        "item_bias": (lengths["items"],),
        "seen": (lengths["users"], lengths["items"]),
    }
    for name, shape in wanted.items():
        if arrays[name] is not None and arrays[name].shape != shape:
            raise DataError(f"{name} has the shape {arrays[name].shape} where {shape} is needed")
    if not abs(mean) <= _LARGEST:
        raise DataError(f"mean is {mean}: it must be a finite number")


def check_metadata(metadata: Metadata, lengths: Mapping[str, int]) -> None:
    """Raise DataError where there is not a row of metadata for each user and each item."""
    for side in ("user", "item"):
        metadata.check(side, lengths[f"{side}s"])


def check_times(times: np.ndarray | None, seen: sparse.csr_array) -> None:
    """Refuse times that do not fit the pairs that were seen.

    Raises
    ------
    DataError
        Naming both lengths.
    """
    if times is not None and times.shape != (seen.nnz,):
        raise DataError(f"there are {len(times):,} times for {seen.nnz:,} seen pairs: give one for each")
