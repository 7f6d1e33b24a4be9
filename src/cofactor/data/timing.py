"""What time makes of choices: old ones weigh less, the latest of a user count most, and some items are rising.

**Decay.** A choice of age ``a`` weighs ``max(2^(-a / half-life), FLOOR)``, over the mean of that in training, so that
the average weight is 1 and regularization means what it means without decay.

**Latest first.** The choice that is ``k`` places from the end of a user's history weighs ``recency^k``, over the mean
of that in the history.

**Rising.** An item's level is ``log(1 + sum of 2^(-a / trend))`` over all who chose it.

Ages are counted from `Timing.now`, the latest time in the training data. What comes later has an age of 0.

References
----------
Y. Ding, X. Li (2005), "Time weight collaborative filtering".
J. De Pauw, B. Goethals (2025), arXiv:2508.04221, on adjusting for popularity after training.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from cofactor.data.array_store import MEMORY, ArrayStore
from cofactor.errors import SettingError

__all__ = ["FLOOR", "Timing", "check_recency", "latest_first", "timing_from"]

FLOOR = 0.05
"""What the oldest choices weigh, the latest weighing 1: they still say what items have in common."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How a model heeds time; a record that is stored with it.

    Parameters
    ----------
    now : float
        The time that ages are counted from, in seconds since 1970.
    half_life : float, optional
        The age, in seconds, at which a choice weighs half as much as the latest.
    mean : float
        The mean of the decayed weights in training.
    recency : float
        What each choice of a user weighs against the one after it; 1 lets all count alike.
    trend : float, optional
        The age, in seconds, at which a choice counts half as much for what is rising.
    trend_weight : float
        Weight of an item's level against the rest of a score, which is in standard deviations over the users.
    """

    now: float
    half_life: float | None = None
    mean: float = 1.0
    recency: float = 1.0
    trend: float | None = None
    trend_weight: float = 0.0

    def measured(self, times: np.ndarray, store: ArrayStore = MEMORY) -> Self:
        """Return it with the mean weight of the choices of a training table."""
        if self.half_life is None:
            return self
        total = sum(float(self._faded(times[part]).sum()) for part in store.parts(len(times)))
        return replace(self, mean=total / max(len(times), 1))

    def decay(self, times: np.ndarray) -> np.ndarray:
        """Return what choices weigh by their age: float32, of the same shape."""
        if self.half_life is None:
            return np.ones(len(times), np.float32)
        return (self._faded(times) / self.mean).astype(np.float32)

    def levels(self, item_rows: np.ndarray, times: np.ndarray, n_items: int) -> np.ndarray:
        """Return how much each item is on the rise: float32, shape (items,)."""
        sums = np.zeros(n_items)
        for part in MEMORY.parts(len(times)):
            fresh = np.exp2(-self._ages(times[part]) / self.trend)
            sums += np.bincount(item_rows[part], weights=fresh, minlength=n_items)
        return np.log1p(sums).astype(np.float32)

    def _faded(self, times: np.ndarray) -> np.ndarray:
        assert self.half_life is not None
        faded: np.ndarray = np.maximum(np.exp2(-self._ages(times) / self.half_life), FLOOR)
        return faded

    def _ages(self, times: np.ndarray) -> np.ndarray:
        return np.maximum(self.now - times.astype(np.float64), 0.0)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)


_SHORTEST, _LATEST, _HEAVIEST = 1e-9, 1e18, 1e9  # of what files may say


def latest_first(indptr: np.ndarray, times: np.ndarray, recency: float) -> np.ndarray:
    """Return what each entry of a table weighs by its place from the end of its row, in time.

    Parameters
    ----------
    indptr : numpy.ndarray of int, shape (rows + 1,)
        Where each row begins.
    times : numpy.ndarray, shape (entries,)
        Equal times are in the order of the entries.
    recency : float
        The ratio of each weight to the next later one.

    Returns
    -------
    numpy.ndarray of float32, shape (entries,)
        With a mean of 1 in each row.

    Examples
    --------
    >>> latest_first(np.array([0, 3]), np.array([30, 10, 20]), 0.5).astype(float).round(3).tolist()
    [1.714, 0.429, 0.857]
    """
    counts = np.diff(indptr)
    rows = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((times, rows))
    from_end = np.empty(len(times), np.int64)
    from_end[order] = np.repeat(np.asarray(indptr[1:]), counts) - 1 - np.arange(len(times))
    weights = np.power(recency, from_end, dtype=np.float64)
    sums = np.bincount(rows, weights=weights, minlength=len(counts))
    return (weights * (counts / np.where(sums > 0, sums, 1.0))[rows]).astype(np.float32)


def check_recency(recency: object, name: str) -> None:
    """Refuse what is no ratio of a choice's weight to the next later one.

    Raises
    ------
    SettingError
        If it is not a number above 0 and at most 1.
    """
    if isinstance(recency, bool) or not isinstance(recency, int | float | np.number) or not 0 < recency <= 1:
        raise SettingError(f"{name} is {recency!r}: it must be a number above 0 and at most 1, such as 0.8")


def timing_from(stored: Mapping[str, Any] | None) -> Timing | None:
    """Read what `Timing.to_dict` wrote; raises TypeError or ValueError where it does not fit."""
    if stored is None:
        return None
    for name, value in stored.items():
        optional = name in ("half_life", "trend") and value is None
        if not optional and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise TypeError(f"{name} should be a number")
    made = Timing(**stored)
    ages = [one for one in (made.half_life, made.trend) if one is not None]
    if not (
        abs(made.now) <= _LATEST
        and all(_SHORTEST <= one <= _LATEST for one in ages)
        and 0.9 * FLOOR <= made.mean <= 1.1
        and _SHORTEST <= made.recency <= 1
        and 0 <= made.trend_weight <= _HEAVIEST
    ):
        raise ValueError("the settings of time are out of their range")
    return made
