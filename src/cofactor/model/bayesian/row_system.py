"""Form, solve and sample the small system of linear equations that each row of a rating matrix poses.

Model: target y_j = x_j . v + noise for each rating j of the row, x_j the vector of the rating's column.

Loss: (v - m)' P (v - m) + scale * sum_j (y_j - x_j . v)^2, whose minimum solves A v = b with A = P + scale
X'X and b = P m + scale X'y, and whose exponential is the normal density of mean A^-1 b and covariance A^-1.

Algorithm: sums of outer products of [x_j, y_j], eight ratings at a time; elimination without square roots;
back substitution, to which a normal added at each step turns the solution into an exact draw.

Reference: Golub and Van Loan (2013), "Matrix computations", section 4.1 (the LDL' factorization).

Relies on compressed rows that are sound (`cofactor.data.sound_rows`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

from cofactor.kernels.compiling import Array, fast_kernel, kernel, readable
from cofactor.kernels.threads import share_out, task_bounds

__all__ = [
    "TOGETHER",
    "Array",
    "Ratings",
    "accumulate",
    "eliminate",
    "even_tasks",
    "padded_width",
    "row_sums",
    "share_rows",
    "squared_error",
    "substitute",
]

TOGETHER = 8  # ratings whose outer products are added at once
_LANES = 8  # working matrices have rows of a multiple of this many numbers, so that loops fill registers
_WORTH_SHARING = 30_000_000  # operations: about four milliseconds
_FLUSH = 256  # ratings that are summed up in float32 before their sum goes on in float64


@kernel
def padded_width(size: int) -> int:
    """Return the length that a row of `size` numbers is stored with."""
    return -(-size // _LANES) * _LANES


def share_rows(kernel: Callable[..., None], ratings: "Ratings", effort: int, *arguments: Any) -> None:
    """Call a kernel for all rows, on several threads where the work is worth waking them.

    ``effort`` says how many operations a rating takes. A thread that shares its processor with others is late by
    some milliseconds, which is more than a small table takes in all.
    """
    small = len(ratings.indices) * effort < _WORTH_SHARING
    share_out(kernel, ratings.tasks[[0, -1]] if small else ratings.tasks, *arguments)


def even_tasks(count: int, most: int = 1024) -> Array:
    """Return boundaries (tasks + 1,) that cut so many equal pieces of work into runs of no more than ``most``."""
    return np.linspace(0, count, -(-count // most) + 1).astype(np.int64)


@dataclass(frozen=True)
class Ratings:
    """One side's ratings in compressed rows, each row's columns in ascending order."""

    indptr: Array  # (rows + 1,) int64
    indices: Array  # (ratings,) int32
    values: Array  # (ratings,) float32
    tasks: Array = field(init=False, repr=False)  # (tasks + 1,) where to cut the rows into runs that threads take

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", task_bounds(self.indptr))

    @classmethod
    def of(cls, matrix: sparse.csr_array) -> "Ratings":
        """Take the rows of a scipy matrix."""
        parts = (matrix.indptr, np.int64), (matrix.indices, np.int32), (matrix.data, np.float32)
        return cls(*(readable(part, kind) for part, kind in parts))

    @property
    def counts(self) -> Array:
        """Number of ratings of each row."""
        return np.diff(self.indptr)

    def part(self, rows: slice) -> "Ratings":
        """Return some rows that follow each other."""
        if (rows.start, rows.stop) == (0, len(self.indptr) - 1):
            return self
        bounds = self.indptr[rows.start : rows.stop + 1]
        span = slice(bounds[0], bounds[-1])
        return Ratings(readable(bounds - bounds[0]), self.indices[span], self.values[span])


@fast_kernel
def accumulate(block: Array, gram: Array, size: int) -> None:
    """Add to `gram` (size, width) the outer products of the eight rows of `block` (8, width)."""
    for a in range(size):
        x0, x1, x2, x3 = block[0, a], block[1, a], block[2, a], block[3, a]
        x4, x5, x6, x7 = block[4, a], block[5, a], block[6, a], block[7, a]
        for c in range(block.shape[1]):
            first = x0 * block[0, c] + x1 * block[1, c] + x2 * block[2, c] + x3 * block[3, c]
            second = x4 * block[4, c] + x5 * block[5, c] + x6 * block[6, c] + x7 * block[7, c]
            gram[a, c] += first + second


@fast_kernel
def flush(part: Array, gram: Array) -> None:
    """Move the sums in `part` (size, width) over to `gram`, which is more precise."""
    for a in range(part.shape[0]):
        for c in range(part.shape[1]):
            gram[a, c] += part[a, c]
            part[a, c] = 0.0


@fast_kernel
def gather(
    block: Array,
    indices: Array,
    values: Array,
    design: Array,
    offsets: Array,
    start: int,
    stop: int,
    size: int,
) -> None:
    """Fill `block` with [x_j, y_j] of eight ratings from `start` on, and with zeros from `stop` on.

    A design row holds the root of the column's weight, by which its x_j is scaled, in the target's place.
    """
    for q in range(TOGETHER):
        if start + q < stop:
            j = indices[start + q]
            for c in range(block.shape[1]):
                block[q, c] = design[j, c]
            block[q, size] *= values[start + q] - offsets[j]
        else:
            for c in range(block.shape[1]):
                block[q, c] = 0.0


@fast_kernel
def row_sums(
    indptr: Array,  # (rows + 1,)
    indices: Array,  # (ratings,)
    values: Array,  # (ratings,)
    design: Array,  # (columns, width) float32
    offsets: Array,  # (columns,)
    row: int,
    block: Array,  # (8, width) float32, for use here only
    part: Array,  # (size + 1, width) float32, zeros, for use here only
    gram: Array,  # (size + 1, width) out: [X, y]'[X, y] over the row's ratings
) -> None:
    """Sum up a row's ratings: in float32, which is fast, but only a few hundred at a time."""
    size = gram.shape[0] - 1
    for a in range(gram.shape[0]):
        for c in range(gram.shape[1]):
            gram[a, c] = 0.0
    for first in range(indptr[row], indptr[row + 1], _FLUSH):
        stop = min(first + _FLUSH, indptr[row + 1])
        for start in range(first, stop, TOGETHER):
            gather(block, indices, values, design, offsets, start, stop, size)
            accumulate(block, part, size + 1)
        flush(part, gram)


@fast_kernel
def eliminate(system: Array, size: int) -> None:
    """Turn [A | b] into [U | c]: U upper triangular with diagonal D, A = U' D^-1 U; A v = b is U v = c."""
    for k in range(size):
        inverse = 1.0 / system[k, k]
        for a in range(k + 1, size):
            factor = system[k, a] * inverse
            for c in range(system.shape[1]):
                system[a, c] -= factor * system[k, c]


@fast_kernel
def substitute(system: Array, size: int, normals: Array, vector: Array) -> None:
    """Solve U v = c + D^0.5 normals: A^-1 b where they are zero, else a draw that has covariance A^-1."""
    for k in range(size - 1, -1, -1):
        total = system[k, size] + np.sqrt(system[k, k]) * normals[k]
        for c in range(k + 1, size):
            total -= system[k, c] * vector[c]
        vector[k] = total / system[k, k]


@fast_kernel
def squared_error(gram: Array, vector: Array, size: int) -> float:
    """Return |y - X v|^2 from the sums [X, y]'[X, y]."""
    total = float(gram[size, size])
    for a in range(size):
        inner = 0.0
        for c in range(size):
            inner += gram[a, c] * vector[c]
        total += vector[a] * (inner - 2.0 * gram[a, size])
    return max(total, 0.0)
