"""The arrays under `Interactions`: entries sorted by user and item, each pair once, as compressed rows."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from cofactor.data.arguments import check_choice
from cofactor.data.array_store import ArrayStore
from cofactor.data.passes import as_csr, row_runs
from cofactor.errors import DataError

if TYPE_CHECKING:
    from cofactor.data.vocabulary import Vocabulary

__all__ = [
    "Duplicates",
    "Entries",
    "check_lengths",
    "checked_rows",
    "core",
    "csr",
    "distinct",
    "finite",
    "sorted_entries",
    "without_duplicates",
    "without_empty",
]

Duplicates = Literal["last", "first", "sum", "mean", "error"]


@dataclass(frozen=True)
class Entries:
    """Interactions as columns; ``rows`` holds the input row of each (None: in input order)."""

    keys: np.ndarray  # user row * number of items + item row, int64
    values: np.ndarray  # float32
    timestamps: np.ndarray | None
    rows: np.ndarray | None = None

    def take(self, positions: np.ndarray) -> "Entries":
        """Return some of the entries, in the order given."""
        return Entries(
            self.keys[positions],
            self.values[positions],
            None if self.timestamps is None else self.timestamps[positions],
            positions if self.rows is None else self.rows[positions],
        )

    @property
    def reading_order(self) -> np.ndarray | None:
        """The stored position of each input row, first row first; None if they are stored in input order."""
        if self.rows is None or np.all(np.diff(self.rows) > 0):
            return None
        order = np.argsort(self.rows, kind="stable")
        return order.astype(np.int32) if len(order) < 2**31 else order


def sorted_entries(entries: Entries, *, by_time: bool = False) -> Entries:
    """Sort entries by key, and entries of the same key by time or in reading order."""
    steps = np.diff(entries.keys)
    if np.all(steps > 0) or (not by_time and np.all(steps >= 0)):
        return entries
    columns = {"key": entries.keys} | ({"time": entries.timestamps} if by_time else {})
    order = pl.DataFrame(columns).with_row_index("row").sort(*columns, maintain_order=True)["row"]
    return entries.take(order.to_numpy().astype(np.int64))


def without_duplicates(entries: Entries, duplicates: Duplicates) -> Entries:
    """Sort entries by key and merge those with the same key.

    Raises
    ------
    DataError
        If keys are repeated and ``duplicates`` is "error"; its ``args[1]`` is the key.
    SettingError
        If ``duplicates`` is none of its choices.
    """
    check_choice("duplicates", duplicates, get_args(Duplicates))
    ordered = sorted_entries(entries)
    first_of_key = np.diff(ordered.keys, prepend=-1) > 0
    if first_of_key.all():
        return ordered
    if duplicates == "error":
        raise DataError("some pairs appear more than once", int(ordered.keys[np.argmin(first_of_key)]))
    if entries.timestamps is not None and duplicates in ("last", "first"):
        ordered = sorted_entries(entries, by_time=True)
    starts = np.flatnonzero(first_of_key)
    ends = np.append(starts[1:], len(first_of_key)) - 1
    kept = ordered.take(starts if duplicates == "first" else ends)
    if duplicates in ("sum", "mean"):
        sums = np.add.reduceat(ordered.values.astype(np.float64), starts)
        values = finite(sums if duplicates == "sum" else sums / (ends - starts + 1))
        return Entries(kept.keys, values, kept.timestamps, kept.rows)
    return kept


def distinct(entries: Entries, duplicates: Duplicates, users: "Vocabulary", items: "Vocabulary") -> Entries:
    """Like `without_duplicates`, but an error names the user and the item."""
    try:
        return without_duplicates(entries, duplicates)
    except DataError as error:
        if len(error.args) == 1:
            raise
        user, item = users[error.args[1] // max(len(items), 1)], items[error.args[1] % max(len(items), 1)]
        raise DataError(
            f"user {user!r} and item {item!r} appear more than once: "
            "choose what to keep with duplicates='last' (or 'first', 'sum', 'mean')"
        ) from None


def csr(values: np.ndarray, item_rows: np.ndarray, counts: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    """Assemble a matrix from sorted and distinct entries, given the number in each row."""
    indptr = np.concatenate([[0], np.cumsum(counts)])
    return as_csr(values.astype(np.float32, copy=False), item_rows, indptr, shape)


def core(
    matrix: sparse.csr_array, per_user: int, per_item: int, store: ArrayStore
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Remove users and items with too few entries until all remaining ones have enough.

    Returns
    -------
    three numpy.ndarray of bool
        Which entries, users and items are kept. Users and items without entries never are.
    """
    kept = store.zeros(matrix.nnz, bool)
    kept[:] = True
    while True:
        users, items = (np.zeros(n, np.int64) for n in matrix.shape)
        for span, user_rows in row_runs(matrix, store):
            users += np.bincount(user_rows[kept[span]], minlength=len(users))
            items += np.bincount(matrix.indices[span][kept[span]], minlength=len(items))
        gone = 0
        for span, user_rows in row_runs(matrix, store):
            enough = kept[span] & (users[user_rows] >= per_user) & (items[matrix.indices[span]] >= per_item)
            gone += int(np.count_nonzero(kept[span])) - int(np.count_nonzero(enough))
            kept[span] = enough
        if not gone:
            return kept, users >= max(per_user, 1), items >= max(per_item, 1)


def without_empty(
    matrix: sparse.csr_array, rows: np.ndarray, columns: np.ndarray, store: ArrayStore
) -> sparse.csr_array:
    """Keep some rows and columns of a matrix; all others must be empty."""
    place = np.zeros(matrix.shape[1], matrix.indices.dtype)
    place[columns] = np.arange(len(columns))
    indices = store.zeros(matrix.nnz, matrix.indices.dtype)
    for part in store.parts(matrix.nnz):
        indices[part] = place[matrix.indices[part]]
    indptr = np.concatenate([[0], np.cumsum(np.diff(matrix.indptr)[rows], dtype=np.int64)])
    return as_csr(matrix.data, indices, indptr, (len(rows), len(columns)))


def finite(values: npt.ArrayLike) -> np.ndarray:
    """Return values as 32-bit floats; raises DataError naming the first that is not finite."""
    try:
        with np.errstate(over="ignore"):
            numbers = np.asarray(values).astype(np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"the values are not numbers ({error}): give integers or floats") from error
    if numbers.ndim != 1:
        raise DataError(f"the values have the shape {numbers.shape}: give one value for each interaction")
    bad = np.flatnonzero(~np.isfinite(numbers))
    if len(bad):
        found = np.asarray(values)[bad[0]]
        raise DataError(f"the value at row {bad[0]:,} is {found}: values must be finite 32-bit numbers")
    return numbers


def checked_rows(rows: npt.ArrayLike, vocabulary: "Vocabulary", kind: str) -> np.ndarray:
    """Return row numbers into a vocabulary as an array; raises DataError where some are none."""
    array = np.asarray(rows)
    if not hasattr(vocabulary, "find"):
        raise DataError(
            f"the {kind}s are a {type(vocabulary).__name__}: give a Vocabulary, or raw ids to from_columns()"
        )
    if array.ndim != 1 or (len(array) and array.dtype.kind not in "iu"):
        raise DataError(f"the {kind} rows are of type {array.dtype} and shape {array.shape}: give whole numbers")
    if len(array) and not 0 <= array.min() <= array.max() < len(vocabulary):
        raise DataError(
            f"the {kind} rows reach from {array.min()} to {array.max()}: there are {len(vocabulary):,} {kind}s"
        )
    return array


def check_lengths(*columns: np.ndarray | None) -> None:
    """Raise DataError where columns differ in length."""
    lengths = {len(column) for column in columns if column is not None}
    if len(lengths) > 1:
        raise DataError(f"the columns have different lengths: {sorted(lengths)}")
