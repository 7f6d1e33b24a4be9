"""What was seen, and when: a table of raw values and, where they are known, the times of its entries."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from cofactor.data.passes import as_csr, rows_between

__all__ = ["Seen"]


@dataclass(frozen=True, eq=False)
class Seen:
    """Rows of raw values with their times.

    Parameters
    ----------
    table : scipy.sparse.csr_array of float32, shape (rows, columns)
        Sorted within each row, no pair stored twice.
    times : numpy.ndarray, shape (entries,), or None
        In seconds since 1970.
    """

    table: sparse.csr_array
    times: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        rows: np.ndarray,
        columns: np.ndarray,
        values: np.ndarray,
        times: np.ndarray | None,
        shape: tuple[int, int],
    ) -> "Seen":
        """Put entries in order; of those of one pair the last counts."""
        pairs = rows.astype(np.int64) * shape[1] + columns
        order = np.argsort(pairs, kind="stable")  # which is fast for a few sorted stretches, one after another
        last = np.append(np.diff(pairs[order]) != 0, True) if len(rows) else np.empty(0, bool)
        rows, columns = rows[order], columns[order]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(rows[last], minlength=shape[0]))])
        values = values[order][last].astype(np.float32, copy=False)
        table = as_csr(values, columns[last], indptr, shape)
        return cls(table, None if times is None else times[order][last])

    @property
    def transposed(self) -> "Seen":
        """The same with rows and columns exchanged."""
        if self.times is None:
            return Seen(self.table.T.tocsr())
        entries = self.table.tocoo()
        return Seen.of(entries.col, entries.row, entries.data, self.times, (self.table.shape[1], self.table.shape[0]))

    def take(self, rows: np.ndarray) -> "Seen":
        """Return some rows."""
        if len(rows) == 1:
            row = int(rows[0])
            entries = slice(*self.table.indptr[row : row + 2])
            return Seen(rows_between(self.table, row, row + 1), None if self.times is None else self.times[entries])
        if self.times is None:
            return Seen(self.table[rows])
        counts = np.diff(self.table.indptr)[rows]
        starts = np.repeat(self.table.indptr[rows] - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
        return Seen(self.table[rows], self.times[starts + np.arange(len(starts))])

    def laid_under(self, known: np.ndarray, news: "Seen") -> "Seen":
        """Lay new values over those that the rows ``known`` have already; rows of -1 have none."""
        old = self.take(np.maximum(known, 0))
        kept = np.repeat(known >= 0, np.diff(old.table.indptr))
        return _joined(old, kept, news, None, news.table.shape)

    def replaced(self, news: "Seen", places: np.ndarray, length: int) -> "Seen":
        """Put new rows at their places among ``length`` rows."""
        table, width = self.table, self.table.shape[1]
        if len(places) and places.min() >= table.shape[0] and np.all(np.diff(places) == 1):  # they simply come last
            counts = np.zeros(length, np.int64)
            counts[: table.shape[0]] = np.diff(table.indptr)
            counts[places] = np.diff(news.table.indptr)
            indptr = np.concatenate([[0], np.cumsum(counts)]).astype(table.indptr.dtype)
            columns = np.concatenate([table.indices, news.table.indices])
            values = np.concatenate([table.data, news.table.data])
            grown = sparse.csr_array((values, columns, indptr), shape=(length, width))
            return Seen(grown, _times_of(self, slice(None), news))
        kept = ~np.isin(np.repeat(np.arange(table.shape[0]), np.diff(table.indptr)), places)
        return _joined(self, kept, news, places, (length, width))


def _joined(old: Seen, kept: np.ndarray, news: Seen, places: np.ndarray | None, shape: tuple[int, int]) -> Seen:
    """Return the kept entries of one table and all of another, whose rows go to ``places``."""
    before, after = old.table.tocoo(), news.table.tocoo()
    rows = np.concatenate([before.row[kept], after.row if places is None else places[after.row]])
    columns = np.concatenate([before.col[kept], after.col])
    values = np.concatenate([before.data[kept], after.data])
    return Seen.of(rows, columns, values, _times_of(old, kept, news), shape)


def _times_of(old: Seen, kept: "np.ndarray | slice", news: Seen) -> np.ndarray | None:
    if old.times is None or news.times is None:
        return None
    times: np.ndarray = np.concatenate([old.times[kept], news.times])
    return times
