"""External sorting: entries are distributed to key ranges on disk, then sorted range by range."""

import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from cofactor.data.array_store import edges_of

__all__ = ["Buckets", "Records", "Section", "Transposing", "sums_between"]

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

    def __iter__(self) -> Iterator[tuple[int, int, "Section"]]:
        """Yield each range, first to last, with its records in the order in which they were added."""
        for number, (first, last) in enumerate(pairwise(self.edges.tolist())):
            yield first, last, Section(self._file, self._record, int(self._starts[number]), int(self._ends[number]))


class Section:
    """The records of one range, which may be too many for memory if the range is a single key.

    Parameters
    ----------
    file : binary file
    record : numpy.dtype
    start, end : int
        The numbers of the first record and of the one after the last.
    """

    def __init__(self, file: IO[bytes], record: np.dtype[Any], start: int, end: int) -> None:
        self._file, self._record, self._start, self._end = file, record, start, end

    def __len__(self) -> int:
        return self._end - self._start

    def __getitem__(self, part: slice) -> Records:
        """Read some consecutive records."""
        first, last, _ = part.indices(len(self))
        records = np.empty(max(last - first, 0), self._record)
        self._file.seek((self._start + first) * self._record.itemsize)
        self._file.readinto(records.view(np.uint8).data)  # type: ignore[attr-defined]
        return records

    def parts(self, most: int) -> Iterator[Records]:
        """Read all records, so many at a time."""
        return (self[first : first + most] for first in range(0, len(self), most))

    def split(self, field: str, n: int, folder: Path, most: int) -> "Buckets":
        """Distribute the records again, by one of their fields, whose values are below ``n``."""
        counts = np.zeros(n, np.int64)
        for records in self.parts(most):
            counts += np.bincount(records[field], minlength=n)
        edges = edges_of(counts, most)
        smaller = Buckets(folder, edges, sums_between(edges, counts), self._record)
        for records in self.parts(most):
            smaller.add(records[field], records)
        return smaller


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
        self._buckets, self._most = Buckets(folder, edges, sums_between(edges, counts), self.RECORD), most

    def add(self, user_rows: np.ndarray, item_rows: np.ndarray, values: np.ndarray) -> None:
        """Add the entries of further users, sorted."""
        records = np.empty(len(user_rows), self.RECORD)
        records["item"], records["user"], records["value"] = item_rows, user_rows, values
        self._buckets.add(item_rows, records)

    def parts(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the user rows and the values of all entries, in the order of the items and, for each, of the users."""
        for first, last, section in self._buckets:
            if last - first == 1:  # one item, however many users have it: they were added in their order
                for records in section.parts(self._most):
                    yield records["user"], records["value"]
                continue
            records = section[:]
            item = records["item"] - np.int32(first)
            small = item.astype(np.uint16) if last - first < 2**16 else item  # sorted as fast as counting
            order = np.argsort(small, kind="stable")
            yield records["user"][order], records["value"][order]
