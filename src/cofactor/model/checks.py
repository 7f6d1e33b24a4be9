"""What vectors and their companions must be before they make a model: finite, of shapes that fit, not too long."""

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from scipy import sparse

from cofactor.data.interactions import Interactions
from cofactor.errors import DataError

if TYPE_CHECKING:
    from cofactor.model.state import FactorState

__all__ = ["canonical", "check_interactions", "check_shapes", "frozen"]

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


def check_shapes(model: "FactorState") -> None:
    """Raise DataError naming what does not fit what."""
    if model.user_vectors.ndim != 2 or model.item_vectors.ndim != 2:
        raise DataError("user_vectors and item_vectors must be two-dimensional: (rows, rank)")
    wanted = {
        "user_vectors": (len(model.users), model.item_vectors.shape[1]),
        "item_vectors": (len(model.items), model.user_vectors.shape[1]),
        "user_bias": (len(model.users),),
        "item_bias": (len(model.items),),
        "seen": (len(model.users), len(model.items)),
    }
    for name, shape in wanted.items():
        array = getattr(model, name)
        if array is not None and array.shape != shape:
            raise DataError(f"{name} has the shape {array.shape} where {shape} is needed")
    for name in ("titles", "genres"):
        texts = getattr(model.metadata, name)
        if texts is not None and len(texts) != len(model.items):
            raise DataError(f"there are {len(texts):,} {name} for {len(model.items):,} items: give one an item")
    if not abs(model.mean) <= _LARGEST:
        raise DataError(f"mean is {model.mean}: it must be a finite number")
