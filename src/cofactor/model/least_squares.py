"""The small problem of each row that ALS, implicit ALS, NMF and fold-in share.

**Model.** Row ``u`` of a sparse matrix has ratings of some rows ``i`` of the other side, whose vectors
``y_i`` are held fixed. A rating's weight ``w`` and target ``t`` are linear functions of its value; where the function
for ``w`` is negative, the weight is its absolute value and the target is 0. So with ``w = value`` a negative value says
how sure it is that a pair is *not* to be chosen. Ratings may have factors besides, which multiply their weights.

**Loss.** ``sum_i w (t - offset_i - x.y_i)^2 + x.G x + scale_u sum_f penalty_f x_f^2 - 2 prior.x``

**Algorithm.** The minimum solves ``(G + scale_u diag(penalty) + sum_i w y_i y_i') x = prior + sum_i w (t -
offset_i) y_i``, one equation of the vectors' rank for each row. `solve_rows` does so exactly;
`improve_rows`, `improve_blocks` and `improve_nonnegative_rows` start from known vectors.

**Shapes.** Ratings: CSR. Vectors: (rows, rank), float32. The same call serves both sides::

    users = solve_rows(by_user, loss.equations(items))
    items = solve_rows(by_item, loss.equations(users))

References
----------
Y. Hu, Y. Koren, C. Volinsky (2008), "Collaborative filtering for implicit feedback datasets".
G. Takacs, I. Pilaszy, D. Tikk (2011), "Applications of the conjugate gradient method for implicit feedback
collaborative filtering".
S. Rendle, W. Krichene, L. Zhang, Y. Koren (2021), "iALS++: speeding up matrix factorization with subspace
optimization".
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from cofactor.errors import DataError, SettingError
from cofactor.kernels import row_methods
from cofactor.kernels.assembly import NOT_FINITE, SINGULAR, SOLVED, kept_ratings, padded
from cofactor.kernels.compiling import readable
from cofactor.kernels.coordinate_blocks import blocks
from cofactor.kernels.threads import share_out, share_ranges, task_bounds

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

BLOCK = 64
GRAM_PARTS = 16
GRAM_PART_ROWS = 4096

_ALIKE: Floats = np.empty(0, np.float32)
_KINDS = {"indptr": np.int64, "indices": np.int32, "values": np.float32, "factors": np.float32}


@dataclass(frozen=True, slots=True)
class Rows:
    """Ratings by row, in compressed sparse row form.

    Parameters
    ----------
    indptr : numpy.ndarray of int64
        Where each row's ratings begin, and the end of the last: (rows + 1,).
    indices : numpy.ndarray of int32
        The other side's row of each rating: (ratings,).
    values : numpy.ndarray of float32
        Each rating: (ratings,).
    factors : numpy.ndarray of float32
        What multiplies each rating's weight: (ratings,), or empty where all count alike.
    """

    indptr: npt.NDArray[np.int64]  # (rows + 1,)
    indices: npt.NDArray[np.int32]  # (ratings,)
    values: Floats  # (ratings,)
    factors: Floats = field(default_factory=lambda: _ALIKE)  # (ratings,) or (0,)

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            object.__setattr__(self, name, readable(getattr(self, name), kind))

    @classmethod
    def of(cls, matrix: sparse.csr_array, factors: Floats = _ALIKE) -> "Rows":
        """Take the rows of a scipy matrix, and perhaps what multiplies their weights."""
        return cls(matrix.indptr, matrix.indices, matrix.data, factors)

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Ratings in each row: (rows,)."""
        return np.diff(self.indptr)


@dataclass(frozen=True, slots=True)
class Equations:
    """All that the normal equations of one side have in common.

    Parameters
    ----------
    vectors
        The fixed side: (n, rank).
    penalty
        Penalty of each coordinate's square, before a row's scale: (rank,).
    gram
        What every row adds to its matrix: (rank, rank).
    prior
        What is added to the right-hand side: (1, rank), the same for every row, or (rows, rank).
    offsets
        What is taken off the target of each of the fixed side's rows: (n,).
    weight, target
        Constant and slope of a rating's weight, and of its target, as functions of its value. A negative weight stands
        for its absolute value with a target of 0.
    count_offset, nu
        A row of ``m`` ratings scales its penalty by ``(m + count_offset) ** nu``.
    """

    vectors: Floats  # (n, rank)
    penalty: Floats  # (rank,)
    gram: Floats  # (rank, rank)
    prior: Floats  # (1 or rows, rank)
    offsets: Floats  # (n,)
    weight: tuple[float, float] = (1.0, 0.0)
    target: tuple[float, float] = (0.0, 1.0)
    count_offset: float = 0.0
    nu: float = 0.0
    _padded: dict[int, tuple[Floats, Floats, Floats]] = field(default_factory=dict, init=False, repr=False)

    @property
    def rank(self) -> int:
        """Unknowns of each equation."""
        return int(self.vectors.shape[1])

    def scale(self, counts: npt.NDArray[np.int64]) -> Floats:
        """Scale of each row's penalty, from its number of ratings: (rows,)."""
        return ((counts + self.count_offset) ** self.nu).astype(np.float32)

    def disliked(self, values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Whether a rating's weight is negative: the pair is to score zero, with the weight's absolute value."""
        signed: npt.NDArray[np.bool_] = self.weight[0] + self.weight[1] * np.asarray(values, np.float64) < 0
        return signed

    def weights_and_targets(self, values: npt.ArrayLike, columns: npt.ArrayLike) -> tuple[Doubles, Doubles]:
        """Weight and target of ratings, in float64; the offsets of the fixed side's rows ``columns`` are taken off."""
        values = np.asarray(values, np.float64)
        targets = np.where(self.disliked(values), 0.0, self.target[0] + self.target[1] * values)
        return np.abs(self.weight[0] + self.weight[1] * values), targets - self.offsets[np.asarray(columns)]

    def shared(self, size: int) -> tuple[Floats, Floats, Floats]:
        """Gram, penalty and prior padded to ``size``; a padded coordinate's equation is ``x = 0``.

        Kept for the next newcomer, unless there is a prior for every row, which would take as much memory as they.
        """
        if size not in self._padded:
            parts = self._pad(size)
            if len(self.prior) > 1:
                return parts
            self._padded[size] = parts
        return self._padded[size]

    def _pad(self, size: int) -> tuple[Floats, Floats, Floats]:
        gram = np.eye(size, dtype=np.float32)
        gram[: self.rank, : self.rank] = self.gram
        penalty = np.zeros(size, np.float32)
        penalty[: self.rank] = self.penalty
        prior = np.zeros((len(self.prior), size), np.float32)
        prior[:, : self.rank] = self.prior
        return gram, penalty, prior


@dataclass(frozen=True, slots=True)
class Losses:
    """Sums: weighted squared errors, weighted errors (target less prediction), the rows' penalties."""

    squares: float
    errors: float
    penalties: float


def equations(
    vectors: Floats,
    penalty: npt.ArrayLike,
    *,
    gram: npt.ArrayLike | None = None,
    prior: npt.ArrayLike | None = None,
    offsets: npt.ArrayLike | None = None,
    weight: tuple[float, float] = (1.0, 0.0),
    target: tuple[float, float] = (0.0, 1.0),
    count_offset: float = 0.0,
    nu: float = 0.0,
) -> Equations:
    """Equations with zeros for what is left out; a number as penalty is that of every coordinate."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    n, rank = vectors.shape
    zeros = np.zeros
    return Equations(
        vectors=vectors,
        penalty=np.broadcast_to(np.asarray(penalty, np.float32), rank),
        gram=zeros((rank, rank), np.float32) if gram is None else np.asarray(gram, np.float32),
        prior=np.atleast_2d(zeros(rank, np.float32) if prior is None else np.asarray(prior, np.float32)),
        offsets=zeros(n, np.float32) if offsets is None else np.ascontiguousarray(offsets, np.float32),
        weight=weight,
        target=target,
        count_offset=count_offset,
        nu=nu,
    )


def solve_rows(rows: Rows, system: Equations, *, out: Floats | None = None) -> Floats:
    """Solve every row's equation exactly.

    Rows without ratings (and without prior) get zeros. A row that float32 cannot solve is solved once more in
    float64.

    Parameters
    ----------
    rows : Rows
    system : Equations
    out : numpy.ndarray of float32, shape (rows, rank), optional
        Where the solutions go; a new array if not given.

    Raises
    ------
    SettingError
        If a row's matrix is singular in float64 too.
    DataError
        If a row's ratings, or the vectors they refer to, are not finite.
    """
    out = np.empty((len(rows), system.rank), np.float32) if out is None else out
    _solve(rows, system, out)
    return out


def improve_rows(rows: Rows, system: Equations, vectors: Floats, *, steps: int = 3) -> Floats:
    """Take a few steps of conjugate gradients from known vectors, in place, which is cheaper than solving.

    A row too long to be kept near is read once only, to form its matrix, and solved exactly.
    """
    _improve(row_methods.conjugate_gradient, rows, system, vectors, steps)
    long = np.flatnonzero(rows.counts > kept_ratings(padded(system.rank))).tolist()
    if long:
        _solve(rows, system, vectors, [(row, row + 1) for row in long])
    return vectors


def improve_blocks(rows: Rows, system: Equations, vectors: Floats) -> Floats:
    """Solve for 64 coordinates at a time, the others held (iALS++), in place; cheaper than solving a large rank."""
    return _improve(blocks, rows, system, vectors, BLOCK, multiple=BLOCK)


def improve_nonnegative_rows(
    rows: Rows, system: Equations, vectors: Floats, *, sweeps: int = 2, free: int = 0
) -> Floats:
    """Lower the loss in place by coordinate descent, no coordinate becoming negative but the last ``free`` ones."""
    return _improve(row_methods.nonnegative, rows, system, vectors, (sweeps, system.rank - free))


def gram(vectors: Floats) -> Doubles:
    """``vectors' vectors``, summed in an order that does not depend on the number of threads."""
    n, rank = vectors.shape
    part = max(GRAM_PART_ROWS, -(-n // GRAM_PARTS))
    bounds = np.unique(np.append(np.arange(0, n, part), n))
    parts = np.zeros((max(1, len(bounds) - 1), padded(rank), padded(rank)))
    share_out(row_methods.gram_part, bounds, np.ascontiguousarray(vectors, np.float32), part, parts)
    upper = np.triu(parts.sum(axis=0)[:rank, :rank])
    product: Doubles = upper + np.triu(upper, 1).T
    return product


def singular_values(users: Floats, items: Floats) -> Doubles:
    """Singular values of the table of all scores, ``users items'``, the largest first: (rank,)."""
    values, axes = np.linalg.eigh(gram(users))
    root = axes * np.sqrt(np.maximum(values, 0))
    squares = np.linalg.eigvalsh(root.T @ gram(items) @ root)[::-1]
    found: Doubles = np.sqrt(np.maximum(squares, 0))
    return found


def sum_of_losses(rows: Rows, system: Equations, vectors: Floats) -> Losses:
    """Add up the errors and penalties of every row, in float64; without the terms of gram and prior."""
    out = np.empty((len(rows), 3))
    ratings = _ratings(rows, system)
    scale = system.scale(rows.counts)
    share_out(
        row_methods.losses,
        task_bounds(rows.indptr),
        rows.indptr,
        ratings,
        system.vectors,
        np.array(system.penalty),  # a copy, since kernels would be compiled once more for what is readable only
        scale,
        np.ascontiguousarray(vectors, np.float32),
        out,
    )
    return Losses(*(float(total) for total in out.sum(axis=0)))


def sum_of_penalties(rows: Rows, system: Equations, vectors: Floats) -> float:
    """Penalties of every row alone, in float64."""
    squares = np.einsum("uf,uf,f->u", vectors, vectors, system.penalty, dtype=np.float64, casting="same_kind")
    return float(squares @ system.scale(rows.counts).astype(np.float64))


def _solve(rows: Rows, system: Equations, out: Floats, ranges: Sequence[tuple[int, int]] | None = None) -> None:
    status = _run(row_methods.exact, rows, system, out, ranges=ranges)
    for row in np.flatnonzero(status == SINGULAR) if status.any() else ():
        out[row] = _solve_in_float64(rows, system, int(row))
        status[row] = SOLVED
    _check(status)


def _ratings(rows: Rows, system: Equations) -> tuple[Any, ...]:
    line = _singles(system.weight), _singles(system.target)
    return rows.indices, rows.values, system.offsets, *line, rows.factors


@functools.lru_cache(maxsize=100)
def _singles(pair: tuple[float, float]) -> tuple[np.float32, np.float32]:
    return np.float32(pair[0]), np.float32(pair[1])


def _improve(
    method: Callable[..., None], rows: Rows, system: Equations, vectors: Floats, amount: Any, multiple: int = 1
) -> Floats:
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    _check(_run(method, rows, system, amount, vectors, multiple=multiple))
    return vectors


def _run(
    method: Callable[..., None],
    rows: Rows,
    system: Equations,
    *last: Any,
    multiple: int = 1,
    ranges: Sequence[tuple[int, int]] | None = None,
) -> npt.NDArray[np.int8]:
    """Run a method over all rows, or over some ranges of them, and return each row's status."""
    size = -(-padded(system.rank) // multiple) * multiple
    status = np.zeros(len(rows), np.int8)
    share_ranges(
        method,
        list(itertools.pairwise(task_bounds(rows.indptr).tolist())) if ranges is None else ranges,
        rows.indptr,
        _ratings(rows, system),
        system.vectors,
        system.shared(size),
        system.scale(rows.counts) if system.nu else np.ones(len(rows), np.float32),
        *last,
        status,
    )
    return status


def _check(status: npt.NDArray[np.int8]) -> None:
    if not status.any():
        return
    for code, error, reason in (
        (NOT_FINITE, DataError, "its ratings, or the vectors they meet, are not finite"),
        (SINGULAR, SettingError, "its normal equation is singular: give a positive regularization"),
    ):
        bad = np.flatnonzero(status == code)
        if len(bad):
            raise error(f"cannot solve for row {bad[0]} ({len(bad)} such rows): {reason}")


def _solve_in_float64(rows: Rows, system: Equations, row: int) -> Doubles:
    """Solve one row plainly: slow, for the few whose matrix float32 cannot tell from a singular one."""
    chosen = slice(rows.indptr[row], rows.indptr[row + 1])
    seen = system.vectors[rows.indices[chosen]].astype(np.float64)  # (row's ratings, rank)
    weights, targets = system.weights_and_targets(rows.values[chosen], rows.indices[chosen])
    if len(rows.factors):
        weights = weights * rows.factors[chosen]
    scale = system.scale(rows.counts[row : row + 1])[0]
    matrix = system.gram + np.diag(scale * system.penalty.astype(np.float64)) + (seen.T * weights) @ seen
    right = system.prior[row % len(system.prior)] + seen.T @ (weights * targets)
    if np.linalg.cond(matrix) > 1e12:
        _check(np.where(np.arange(len(rows)) == row, SINGULAR, SOLVED).astype(np.int8))
    return np.linalg.solve(matrix, right)
