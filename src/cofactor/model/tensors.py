"""The arrays of a safetensors file where they are, mapped into memory, and the checks that read them part by part."""

import json
from pathlib import Path

import numpy as np

__all__ = ["check_rows", "mapped_tensors"]

_TYPES: dict[str, type[np.generic]] = {
    "BOOL": np.bool_, "F16": np.float16, "F32": np.float32, "F64": np.float64, "C64": np.complex64,
    "I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64,
    "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64,
}  # fmt: skip
"""What safetensors calls NumPy's types."""
_AT_ONCE = 2**22


def mapped_tensors(path: Path) -> dict[str, np.ndarray]:
    """Map the arrays of a file; none can be written to.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the file's header does not fit what comes after it, or names a type that models do not have.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        whole: np.ndarray = np.memmap(file, np.uint8, "r").view(np.ndarray)
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        first, last = (8 + length + int(offset) for offset in entry["data_offsets"])
        array = whole[first:last].view(_TYPES[entry["dtype"]]).reshape(entry["shape"])
        tensors[name] = array if array.flags.aligned else array.copy()
    return tensors


def check_rows(indptr: np.ndarray, indices: np.ndarray, values: np.ndarray, n_columns: int) -> None:
    """Check that compressed rows are sorted, distinct, within their columns and finite.

    Raises
    ------
    ValueError
        Saying what is wrong.
    """
    for first in range(0, len(indices), _AT_ONCE):
        some = indices[first : first + _AT_ONCE + 1]
        if some.min() < 0 or some.max() >= n_columns:
            raise ValueError("the table of seen items names an item that is not there")
        rising = np.diff(some) > 0
        begins = indptr[slice(*np.searchsorted(indptr, (first + 1, first + len(some))))]  # lower than the row before
        rising[begins - first - 1] = True
        if not rising.all() or not np.isfinite(values[first : first + _AT_ONCE]).all():
            raise ValueError("the table of seen items is not in order or not finite")
