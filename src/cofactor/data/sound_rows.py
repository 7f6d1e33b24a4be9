"""What arrays must be before any compiled kernel sees them: the one place where it is checked.

Kernels check no bounds. They rely on this of a table's compressed rows: ``indptr`` begins at 0, never falls and ends at
the number of entries; the columns of a row rise and lie within the table; values are finite. Tables that cofactor makes
are so by construction; those from files pass here, a part at a time, so that they may be larger than memory.
"""

from collections.abc import Iterator

import numpy as np

__all__ = ["check_finite", "check_places", "check_rows"]

_AT_ONCE = 2**22


def check_rows(
    indptr: np.ndarray,
    indices: np.ndarray,
    values: np.ndarray,
    n_columns: int,
    *,
    what: str = "seen items",
    column: str = "an item",
) -> None:
    """Check compressed rows: where they begin and end, that their columns rise and are there, that values are finite.

    Parameters
    ----------
    indptr, indices, values : numpy.ndarray
        One-dimensional; ``indices`` and ``values`` of one length.
    n_columns : int
    what, column : str
        What the table is of, and what a column stands for, in errors.

    Raises
    ------
    ValueError
        Saying what is wrong.
    """
    if not len(indptr) or indptr[0] != 0 or indptr[-1] != len(indices):
        raise ValueError(f"the table of {what} has rows that overlap")
    for part in _parts(len(indptr)):
        some = indptr[part.start : part.stop + 1]
        if np.any(some[1:] < some[:-1]):
            raise ValueError(f"the table of {what} has rows that overlap")
    for part in _parts(len(indices)):
        some = indices[part.start : part.stop + 1]
        if some.min() < 0 or some.max() >= n_columns:
            raise ValueError(f"the table of {what} names {column} that is not there")
        rising = some[1:] > some[:-1]
        ends = np.searchsorted(indptr, (part.start + 1, part.start + len(some)))
        rising[indptr[slice(*ends)] - part.start - 1] = True  # a row's first column may be lower than the row before
        if not rising.all() or not _finite(values[part]):
            raise ValueError(f"the table of {what} is not in order or not finite")


def check_finite(values: np.ndarray, what: str) -> None:
    """Raise ValueError where a number is not finite."""
    if values.dtype.kind == "f" and not all(_finite(values[part]) for part in _parts(len(values))):
        raise ValueError(f"{what} are not finite")


def check_places(order: np.ndarray, what: str) -> None:
    """Raise ValueError where an array is not the numbers from 0 on, each once, in some order."""
    met = np.zeros(len(order), bool)
    for part in _parts(len(order)):
        some = order[part]
        if some.min() < 0 or some.max() >= len(order):
            raise ValueError(f"{what} names a rating that is not there")
        met[some] = True
    if not met.all():
        raise ValueError(f"{what} leaves ratings out")


def _finite(values: np.ndarray) -> bool:
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(np.isfinite(values.sum()) or np.isfinite(values).all())  # the sum of finite numbers rarely is not


def _parts(n: int) -> Iterator[slice]:
    return (slice(first, min(first + _AT_ONCE, n)) for first in range(0, n, _AT_ONCE))
