"""The arrays under `Interactions`: entries sorted by user and item, each pair once, as compressed rows."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
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
    "without_duplicates",
    "without_empty",
]

Duplicates = Literal["last", "first", "sum", "mean", "error"]


@dataclass(frozen=True)
class Entries:
    """Interactions as columns; ``rows`` holds the input row of each (None: in input order)."""

    user_rows: np.ndarray
    item_rows: np.ndarray
    values: np.ndarray
    timestamps: np.ndarray | None
    rows: np.ndarray | None = None

    def take(self, positions: np.ndarray, user_rows: np.ndarray, item_rows: np.ndarray) -> "Entries":
        """Return some of the entries, in the order given, whose pairs are known."""
        return Entries(
            user_rows,
            item_rows,
            self.values[positions],
            None if self.timestamps is None else self.timestamps[positions],
            positions if self.rows is None else self.rows[positions],
        )

    @property
    def reading_order(self) -> np.ndarray | None:
        """The stored position of each input row, first row first; None if they are stored in input order."""
        if self.rows is None or np.all(self.rows[1:] > self.rows[:-1]):
            return None
        stored = np.full(int(self.rows.max()) + 1, -1, _index_type(len(self.rows)))
        stored[self.rows] = np.arange(len(self.rows), dtype=stored.dtype)
        return stored if len(stored) == len(self.rows) else stored[stored >= 0]


@dataclass(frozen=True)
class _Pairs:
    """Pairs of user and item in their order, and the position of each before; equal ones stay in the order given."""

    user_rows: np.ndarray
    item_rows: np.ndarray
    positions: np.ndarray | None  # None: they were in order

    @classmethod
    def sorted(cls, user_rows: np.ndarray, item_rows: np.ndarray) -> "_Pairs":
        if _in_order(user_rows, item_rows):
            return cls(user_rows, item_rows, None)
        low_user, low_item = user_rows.min(), item_rows.min()
        shape = int(item_rows.max() - low_item) + 1, int(user_rows.max() - low_user) + 1
        if len(user_rows) < sum(shape):
            positions = np.lexsort((item_rows, user_rows))
            return cls(user_rows[positions], item_rows[positions], positions)
        # SciPy counts where it sorts, once by item and once by user: the fastest way, and a stable one
        numbers = np.arange(len(user_rows), dtype=_index_type(len(user_rows)))
        rows, columns = item_rows - low_item if low_item else item_rows, user_rows - low_user if low_user else user_rows
        matrix = sparse.coo_array((numbers, (rows, columns)), shape)
        matrix.has_canonical_format = True  # otherwise the positions of equal pairs are added
        del numbers, rows, columns
        matrix = matrix.tocsr()
        matrix = matrix.tocsc()
        users = np.repeat(np.arange(shape[1], dtype=user_rows.dtype), np.diff(matrix.indptr))
        items = matrix.indices.astype(item_rows.dtype, copy=False)
        users += low_user
        items += low_item
        return cls(users, items, matrix.data)

    @property
    def are_new(self) -> np.ndarray:
        """Whether each pair differs from the one before."""
        new = np.ones(len(self.user_rows), bool)
        np.not_equal(self.user_rows[1:], self.user_rows[:-1], out=new[1:])
        new[1:] |= self.item_rows[1:] != self.item_rows[:-1]
        return new


def _in_order(user_rows: np.ndarray, item_rows: np.ndarray) -> bool:
    if not np.all(user_rows[1:] >= user_rows[:-1]):
        return False
    return bool(np.all((item_rows[1:] >= item_rows[:-1]) | (user_rows[1:] > user_rows[:-1])))


def _index_type(count: int) -> type[np.signedinteger]:
    return np.int32 if count < 2**31 else np.int64


class RepeatedPair(DataError):
    """A pair appears more than once, which was not allowed."""

    def __init__(self, user_row: int, item_row: int) -> None:
        super().__init__("some pairs appear more than once")
        self.user_row, self.item_row = user_row, item_row


def without_duplicates(entries: Entries, duplicates: Duplicates) -> Entries:
    """Sort entries by user and item, and merge those of the same pair.

    Raises
    ------
    RepeatedPair
        If pairs are repeated and ``duplicates`` is "error".
    SettingError
        If ``duplicates`` is none of its choices.
    """
    check_choice("duplicates", duplicates, get_args(Duplicates))
    pairs = _Pairs.sorted(entries.user_rows, entries.item_rows)
    positions, new = pairs.positions, pairs.are_new
    if new.all():
        return entries if positions is None else entries.take(positions, pairs.user_rows, pairs.item_rows)
    if duplicates == "error":
        at = int(np.argmin(new))
        raise RepeatedPair(int(pairs.user_rows[at]), int(pairs.item_rows[at]))
    starts = np.flatnonzero(new).astype(_index_type(len(new)))
    sizes = np.diff(starts, append=starts.dtype.type(len(new)))
    chosen = starts if duplicates == "first" else starts + (sizes - 1)
    if entries.timestamps is not None and duplicates in ("last", "first"):
        chosen = chosen.copy()
        among = np.flatnonzero(np.repeat(sizes > 1, sizes))  # the repeated ones, often few
        times = entries.timestamps[among if positions is None else positions[among]]
        firsts = np.cumsum(sizes[sizes > 1]) - sizes[sizes > 1]
        chosen[sizes > 1] = among[_by_time(times, firsts, last=duplicates == "last")]
    kept = entries.take(
        chosen if positions is None else positions[chosen], pairs.user_rows[starts], pairs.item_rows[starts]
    )
    if duplicates in ("sum", "mean"):
        values = entries.values if positions is None else entries.values[positions]
        sums = np.add.reduceat(values.astype(np.float64), starts)
        return dataclasses.replace(kept, values=finite(sums if duplicates == "sum" else sums / sizes))
    return kept


def _by_time(times: np.ndarray, starts: np.ndarray, *, last: bool) -> np.ndarray:
    """Return the position of the latest (or earliest) time in each run; of equal ones the last (or first)."""
    best, none = (np.maximum, -1) if last else (np.minimum, len(times))
    sizes = np.diff(starts, append=len(times))
    is_best = times == np.repeat(best.reduceat(times, starts), sizes)
    positions = np.where(is_best, np.arange(len(times), dtype=_index_type(len(times))), none)
    found: np.ndarray = best.reduceat(positions, starts)
    return found


def distinct(entries: Entries, duplicates: Duplicates, users: "Vocabulary", items: "Vocabulary") -> Entries:
    """Like `without_duplicates`, but an error names the user and the item."""
    try:
        return without_duplicates(entries, duplicates)
    except RepeatedPair as error:
        raise DataError(
            f"user {users[error.user_row]!r} and item {items[error.item_row]!r} appear more than once: "
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
    """Return values as 32-bit floats, not copied if they are; raises DataError naming the first that is not finite."""
    try:
        with np.errstate(over="ignore"):
            numbers = np.asarray(values).astype(np.float32, copy=False)
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
