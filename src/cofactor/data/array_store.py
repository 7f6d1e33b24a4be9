"""Where large arrays are kept: in memory, or in temporary memory-mapped files.

`Memory` is the usual store. A table that was opened with a limit has a `Disk` as its store: whatever is made of it that
grows with the data goes into files without a name, mapped into memory, and is worked on a part at a time. So a process
holds no more of the data than the limit, and one that is killed leaves nothing behind.
"""

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cofactor.errors import DataError, SettingError

__all__ = [
    "MEMORY",
    "ArrayStore",
    "Disk",
    "Memory",
    "bytes_of",
    "cache_folder",
    "copied",
    "edges_of",
    "scratch_folder",
    "shown_bytes",
]

BYTES_AN_ENTRY = 160
"""Bytes per entry while sorting: its columns, the keys, the order, and what polars needs."""

SHARE_OF_AN_ARRAY = 8
"""An array is kept in memory up to this fraction of the limit, since several are in use at a time."""

LEAST = 16_000_000
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


class ArrayStore(Protocol):
    """Allocates arrays, and determines how many entries are processed at a time."""

    def zeros(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an array of zeros that may be written to."""
        ...

    def parts(self, n: int) -> Iterator[slice]:
        """Split ``n`` entries into parts small enough to process at once."""
        ...

    def row_parts(self, counts: np.ndarray) -> Iterator[slice]:
        """Split rows into parts with few enough entries to process at once, given the number in each row."""
        ...

    def require(self, needed: int, what: str, otherwise: str = "") -> None:
        """Raise SettingError if ``needed`` bytes exceed the memory limit."""
        ...


@dataclass(frozen=True)
class Memory:
    """Keeps everything in memory and processes it at once."""

    def zeros(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an array of zeros in memory."""
        return np.zeros(shape, dtype)

    def parts(self, n: int) -> Iterator[slice]:
        """Return everything as one part."""
        yield slice(0, n)

    def row_parts(self, counts: np.ndarray) -> Iterator[slice]:
        """Return all rows as one part."""
        yield slice(0, len(counts))

    def require(self, needed: int, what: str, otherwise: str = "") -> None:
        """Allow everything: there is no limit."""


MEMORY = Memory()


@dataclass(frozen=True)
class Disk:
    """Keeps small arrays in memory and large ones in files of a folder.

    Parameters
    ----------
    folder : path
        On a file system with as much free space as the table takes.
    memory : int
        Bytes of data in memory at once, not counting Python, its libraries and the ids.
    """

    folder: Path
    memory: int

    @property
    def entries_at_once(self) -> int:
        """The number of entries processed at a time."""
        return max(self.memory // (2 * BYTES_AN_ENTRY), 1)

    def zeros(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an array of zeros: in memory if it is small relative to the limit, else in an unnamed file.

        Raises
        ------
        DataError
            If the disk has no room for it, or the folder cannot be written to.
        """
        kind = np.dtype(dtype)
        size = int(np.prod(shape)) * kind.itemsize
        if size * SHARE_OF_AN_ARRAY <= self.memory:
            return np.zeros(shape, kind)
        with self.writing(f"hold {shown_bytes(size)} more"), tempfile.TemporaryFile(dir=self.folder) as file:
            _reserve(file.fileno(), size)
            return np.memmap(file, kind, "r+", shape=shape).view(np.ndarray)  # it keeps the file open

    @contextlib.contextmanager
    def writing(self, what: str = "be written to") -> Iterator[None]:
        """Create the folder; turn errors of writing to it inside the block into one clear error.

        Raises
        ------
        DataError
            If the disk is full, or the folder cannot be created or written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            raise DataError(
                f"{self.folder} cannot {what} ({error.strerror or error}): make room, or give cache= a folder on "
                "another disk, or set COFACTOR_DATA to one"
            ) from error

    def parts(self, n: int) -> Iterator[slice]:
        """Split ``n`` entries into parts of `entries_at_once`."""
        step = self.entries_at_once
        return (slice(first, min(first + step, n)) for first in range(0, n, step))

    def row_parts(self, counts: np.ndarray) -> Iterator[slice]:
        """Split rows into parts of at most `entries_at_once` entries; rows stay whole."""
        return (slice(*pair) for pair in pairwise(edges_of(counts, self.entries_at_once).tolist()))

    def require(self, needed: int, what: str, otherwise: str = "") -> None:
        """Raise an error if ``needed`` bytes exceed the memory limit.

        Raises
        ------
        SettingError
            With the amount needed and the alternatives.
        """
        if needed > self.memory:
            raise SettingError(
                f"{what} must be in memory and take {shown_bytes(needed)}, but memory is {shown_bytes(self.memory)}: "
                f"give memory='{-(-needed // 10**9)}GB' or more{otherwise and f', or {otherwise}'}"
            )


def copied(array: npt.NDArray[Any], store: ArrayStore) -> npt.NDArray[Any]:
    """Return a copy of an array, allocated in a store."""
    new = store.zeros(array.shape, array.dtype)
    new[...] = array
    return new


def edges_of(counts: np.ndarray, most: int) -> np.ndarray:
    """Split rows into consecutive ranges of at most ``most`` entries, given the number in each row; rows stay whole.

    >>> edges_of(np.array([3, 1, 4, 9, 1]), most=5)
    array([0, 2, 3, 4, 5])
    """
    ends = np.cumsum(counts, dtype=np.int64)
    edges = [0]
    while edges[-1] < len(counts):
        before = ends[edges[-1] - 1] if edges[-1] else 0
        edges.append(max(int(np.searchsorted(ends, before + most, side="right")), edges[-1] + 1))
    return np.array(edges)


def bytes_of(memory: str | int) -> int:
    """Read an amount of memory: a number of bytes, or a text such as ``"4GB"``, ``"512 MB"``, ``"1.5GiB"``.

    Raises
    ------
    SettingError
        If it is not an amount, or less than 16 MB.

    Examples
    --------
    >>> bytes_of("4GB"), bytes_of("0.5GiB")
    (4000000000, 536870912)
    """
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,6})?)\s*(?:([KMGT]I?)B?|B?)\s*", str(memory).upper())
    if isinstance(memory, bool) or not match:
        raise SettingError(f"memory is {memory!r}: give an amount such as '4GB' or '512MB'")
    size = int(float(match[1]) * _UNITS[match[2] or ""])
    if size < LEAST:
        raise SettingError(f"memory is {memory!r}: give 16MB at least, and better '1GB' or more")
    return size


def cache_folder() -> Path:
    """Return the folder under which data sets are kept: COFACTOR_DATA, or one in the user's cache."""
    moved = os.environ.get("COFACTOR_DATA")
    if moved:
        return Path(moved).expanduser()
    import platformdirs  # rarely needed

    return platformdirs.user_cache_path("cofactor") / "datasets"


def scratch_folder() -> Path:
    """Return the default folder for large arrays: in the folder of data sets."""
    return cache_folder() / "interactions"


def shown_bytes(size: int) -> str:
    """Return an amount of memory as text.

    >>> shown_bytes(1_234_000_000), shown_bytes(20_000_000)
    ('1.23 GB', '20 MB')
    """
    unit, name = (10**9, "GB") if size >= 10**9 else (10**6, "MB")
    return f"{size / unit:.3g} {name}"


def _reserve(handle: int, size: int) -> None:
    """Reserve the disk space now: running out of it later, in a mapped file, would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
    else:
        os.ftruncate(handle, size)
