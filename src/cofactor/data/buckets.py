"""External sorting: entries are distributed to key ranges on disk, then sorted range by range."""

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cofactor.data.array_store import edges_of

__all__ = ["Buckets", "Transposing", "sums_between"]

Records = npt.NDArray[Any]
"""A structured array with one record per entry."""


def sums_between(edges: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sum the counts of each range."""
    ends = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
    return np.diff(ends[edges])


class Buckets:
    """Records in one unnamed file, in which each key range has its own section.

    The file is read and written rather than mapped, so it does not count as memory of the process.

    Parameters
    ----------
    folder : path
        Where the file is; it is gone when the process ends.
    edges : numpy.ndarray of int, rising
        Where the ranges begin, and the end of the last.
    counts : numpy.ndarray of int, shape (ranges,)
        The maximal number of records in each range.
    record : numpy.dtype
        Of a record.
    """

    def __init__(self, folder: Path, edges: np.ndarray, counts: np.ndarray, record: np.dtype[Any]) -> None:
        self.edges = edges
        self._record = record
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self._ends = self._starts[:-1].copy()
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed when it is garbage-collected)

    def add(self, keys: np.ndarray, records: Records) -> None:
        """Append records, in the given order, to the ranges of their keys.

        Raises
        ------
        OverflowError
            If a range gets more records than announced.
        """
        numbers = np.searchsorted(self.edges, keys, side="right") - 1
        if len(self._ends) < 2**16:
            numbers = numbers.astype(np.uint16)  # sorted as fast as counting
        order = np.argsort(numbers, kind="stable")
        counts = np.bincount(numbers, minlength=len(self._ends))
        ends = np.cumsum(counts)
        if (self._ends + counts > self._starts[1:]).any():
            raise OverflowError("a range has more records than were counted")
        for number in np.flatnonzero(counts):
            self._file.seek(int(self._ends[number]) * self._record.itemsize)
            self._file.write(records[order[ends[number] - counts[number] : ends[number]]].tobytes())
        self._ends += counts

    def __iter__(self) -> Iterator[tuple[int, int, Records]]:
        """Yield each range, first to last, with its records in the order in which they were added."""
        for number, (first, last) in enumerate(pairwise(self.edges.tolist())):
            records = np.empty(int(self._ends[number] - self._starts[number]), self._record)
            self._file.seek(int(self._starts[number]) * self._record.itemsize)
            self._file.readinto(records.view(np.uint8).data)
            yield first, last, records


class Transposing:
    """Transposes a table on disk: entries are added user by user and returned item by item.

    Parameters
    ----------
    folder : path
        Where the temporary file is.
    counts : numpy.ndarray of int, shape (items,)
        The maximal number of entries of each item.
    most : int
        The maximal number of entries in memory at once.
    """

    RECORD = np.dtype([("item", np.int32), ("user", np.int32), ("value", np.float32)])

    def __init__(self, folder: Path, counts: np.ndarray, most: int) -> None:
        edges = edges_of(counts, most)
        self._buckets = Buckets(folder, edges, sums_between(edges, counts), self.RECORD)

    def add(self, user_rows: np.ndarray, item_rows: np.ndarray, values: np.ndarray) -> None:
        """Add the entries of further users, sorted."""
        records = np.empty(len(user_rows), self.RECORD)
        records["item"], records["user"], records["value"] = item_rows, user_rows, values
        self._buckets.add(item_rows, records)

    def parts(self) -> Iterator[tuple[slice, np.ndarray, np.ndarray, np.ndarray]]:
        """Yield for each range of items: the range, the number of entries of each item, their user rows and values."""
        for first, last, records in self._buckets:
            item = records["item"] - np.int32(first)
            small = item.astype(np.uint16) if last - first < 2**16 else item  # sorted as fast as counting
            order = np.argsort(small, kind="stable")
            counts = np.bincount(item, minlength=last - first)
            yield slice(first, last), counts, records["user"][order], records["value"][order]
