"""What was measured of each user, and how precise the average over users is: the bootstrap."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from scipy import sparse

from cofactor.data.vocabulary import Vocabulary
from cofactor.evaluation.metrics import finished

__all__ = ["RESAMPLES", "Column", "Pairs", "PerUser", "percentiles", "sums_of"]

RESAMPLES = 1000
SEED = 20_260_101


class Column(NamedTuple):
    """A metric of each user as a fraction, both parts of shape (users,), so that averages are ratios of sums.

    An error is a sum over the user's ratings, over their number; a metric of a list is its value, over 1, or 0 over 0
    where the user has none.
    """

    total: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "Column":
        """Make a column of plain values, NaN where a user has none."""
        there = ~np.isnan(values)
        return cls(np.where(there, values, 0.0), there.astype(np.float64))

    def followed_by(self, other: "Column") -> "Column":
        """Return the column of these users and then others."""
        return Column(*(np.concatenate(both) for both in zip(self, other, strict=True)))


@dataclass(frozen=True, eq=False)
class Pairs:
    """The held-out ratings that a report is of: the items, and a row for each user."""

    items: Vocabulary
    matrix: sparse.csr_array


@dataclass(frozen=True, eq=False)
class PerUser:
    """The measured users: their ids, how many held-out ratings each has, the columns of the metrics, the ratings."""

    users: pl.Series
    n_test: np.ndarray
    columns: Mapping[str, Column]
    pairs: Pairs | None = None

    def averages(self) -> dict[str, float]:
        """Return each metric over all users, NaN if no user has it."""
        sums = {name: (column.total.sum(), column.weight.sum()) for name, column in self.columns.items()}
        return {name: float(finished(name, *both)) for name, both in sums.items()}

    def to_frame(self) -> pl.DataFrame:
        """Return one row per user: user, n_test and each metric, null where the user has none."""
        columns = {name: pl.Series(finished(name, *column)).fill_nan(None) for name, column in self.columns.items()}
        return pl.DataFrame({"user": self.users, "n_test": self.n_test, **columns})

    @functools.cached_property
    def resampled(self) -> Mapping[str, np.ndarray]:
        """Each metric's averages over users drawn with replacement, many times (Efron and Tibshirani 1993)."""
        parts = {id(part): part for column in self.columns.values() for part in column}
        sums = dict(zip(parts, sums_of(np.column_stack(list(parts.values()))).T, strict=True))
        return {
            name: finished(name, sums[id(column.total)], sums[id(column.weight)])
            for name, column in self.columns.items()
        }


def sums_of(columns: np.ndarray) -> np.ndarray:
    """Sum columns (users, columns) over as many users, drawn with replacement: (resamples, columns)."""
    n_users, turned = len(columns), np.ascontiguousarray(columns.T)
    random, sums = np.random.default_rng(SEED), np.empty((RESAMPLES, len(turned)))
    for drawn in sums:
        times = np.bincount(random.integers(0, n_users, n_users), minlength=n_users)
        drawn[:] = np.einsum("cu,u->c", turned, times.astype(np.float64))  # no BLAS: threads must not change a bit
    return sums


def percentiles(resampled: np.ndarray, level: float) -> tuple[float, float]:
    """Return the bounds that the middle share ``level`` of resampled values lies between."""
    low, high = np.nanquantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
