"""A safetensors file, checked before it is believed: its header, its arrays mapped into memory, their checksums."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cofactor.errors import DataError
from cofactor.gate import MOST_OF_A_CARD, checksum, ordinary

__all__ = ["TensorFile", "opened_tensors", "write_tensors"]

MOST_OF_A_HEADER = 2 * MOST_OF_A_CARD
"""Bytes of the names, types and places of all arrays, and of the description among them."""

SUMS = "checksums"
"""Under which name the description holds the checksum of each array; older files have none."""

_TYPES: dict[str, type[np.generic]] = {
    "BOOL": np.bool_, "F16": np.float16, "F32": np.float32, "F64": np.float64, "C64": np.complex64,
    "I8": np.int8, "I16": np.int16, "I32": np.int32, "I64": np.int64,
    "U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64,
}  # fmt: skip
"""What safetensors calls NumPy's types."""
_MOST_AXES = 8
_MOST_REMEMBERED = 1_000
_sound: set[tuple[int, ...]] = set()  # states of files whose checksums were right


@dataclass(frozen=True)
class TensorFile:
    """What a file's header says, and its arrays: mapped, so that none has been read yet, and not writable."""

    metadata: Mapping[str, str]
    arrays: Mapping[str, np.ndarray]
    state: tuple[int, ...] = ()
    """Which file it is, in which state: its device, number, size and time of change."""

    def check_sums(self, card: Mapping[str, Any]) -> None:
        """Check the arrays that a description has checksums of, once for each state of the file in a process.

        Files that are older than checksums have none.

        Raises
        ------
        ValueError
            Naming the array that is not what was written.
        """
        if (sums := card.get(SUMS)) is None or self.state in _sound:
            return
        if not isinstance(sums, dict) or sums.keys() != self.arrays.keys():
            raise ValueError("its arrays are not those that were written")
        for name, array in self.arrays.items():
            if checksum(array) != sums[name]:
                raise ValueError(f"{name} is not what was written: the file was damaged")
        if len(_sound) >= _MOST_REMEMBERED:
            _sound.clear()
        _sound.add(self.state)


def opened_tensors(path: Path, error: type[Exception], remedy: str) -> TensorFile:
    """Open a safetensors file: its header is read and checked, and its arrays are mapped into memory.

    Parameters
    ----------
    path : path
    error : type
        What is raised where it is no whole safetensors file; the system's own errors pass.
    remedy : str
        What to do then, for the error's text.
    """
    with ordinary(path, error, remedy) as file:
        try:
            size = file.seek(0, 2)
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, MOST_OF_A_HEADER):
                raise ValueError(f"a header of {length:,} bytes in a file of {size:,}")
            header = _header(file.read(length))
            metadata = header.pop("__metadata__", {})
            if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
                raise TypeError("its metadata are not texts")
            places = {name: _Place.of(name, entry) for name, entry in header.items()}
            _check_places(places, size - 8 - length)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as reason:
            raise error(f"{path} is not a whole safetensors file ({_told(reason)}): {remedy}") from reason
        known = os.fstat(file.fileno())
        state = (known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns)
        whole = np.memmap(file, np.uint8, "r").view(np.ndarray) if size else np.empty(0, np.uint8)
    return TensorFile(metadata, {name: place.within(whole[8 + length :]) for name, place in places.items()}, state)


def write_tensors(
    path: Path, arrays: Mapping[str, np.ndarray], name: str, card: Mapping[str, Any], *, allow_nan: bool = False
) -> None:
    """Write arrays with a description of them, to which their checksums are added.

    Parameters
    ----------
    path : path
    arrays : mapping of str to numpy.ndarray
    name : str
        What the description is called; it is all of the metadata, since safetensors shuffles several.
    card : mapping
    allow_nan : bool
        Whether its numbers may be none, as the figures of a training may be.

    Raises
    ------
    DataError
        If the description is longer than what is read again.
    """
    from safetensors.numpy import save_file

    rows = {one: np.asarray(array, order="C") for one, array in arrays.items()}
    text = json.dumps({**card, SUMS: {one: checksum(array) for one, array in rows.items()}}, allow_nan=allow_nan)
    if len(text) > MOST_OF_A_CARD:
        raise DataError(f"a description takes {len(text):,} bytes, and {MOST_OF_A_CARD:,} are the most")
    save_file(rows, path, {name: text})


@dataclass(frozen=True)
class _Place:
    """Where an array is in a file, and what it is."""

    kind: type[np.generic]
    shape: tuple[int, ...]
    first: int
    last: int

    @classmethod
    def of(cls, name: str, entry: Mapping[str, Any]) -> "_Place":
        shape, offsets = entry["shape"], entry["data_offsets"]
        numbers = [*shape, *offsets]
        if not all(type(number) is int and 0 <= number < 2**62 for number in numbers) or len(shape) > _MOST_AXES:
            raise ValueError(f"{name[:40]!r} has no place and shape")
        kind, (first, last), entries = _TYPES[entry["dtype"]], offsets, 1
        for axis in shape:
            entries *= axis
        if last - first != entries * np.dtype(kind).itemsize:
            raise ValueError(f"{name[:40]!r} is of another size than its shape")
        return cls(kind, tuple(shape), first, last)

    def within(self, data: np.ndarray) -> np.ndarray:
        array = data[self.first : self.last].view(self.kind).reshape(self.shape)
        return array if array.flags.aligned else array.copy()


def _check_places(places: Mapping[str, _Place], size: int) -> None:
    end = 0
    for first, last in sorted((place.first, place.last) for place in places.values()):
        if first != end:
            raise ValueError("its arrays overlap, or there is something between them")
        end = last
    if end != size:
        raise ValueError(f"arrays of {end:,} bytes in {size:,}")


def _header(text: bytes) -> dict[str, Any]:
    header = json.loads(text)
    if not isinstance(header, dict):
        raise TypeError("its header is no object")
    return header


def _told(reason: Exception) -> str:
    return f"{type(reason).__name__}: {reason}" if isinstance(reason, KeyError) else str(reason)
