"""Decide which interactions are held out: each function returns a mask over the rows of the data.

All of them work in reading order, so anyone with the file and NumPy can reproduce a split.
"""

import logging
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from cofactor.data.arguments import check_count, check_fraction, check_seed
from cofactor.data.array_store import MEMORY, ArrayStore
from cofactor.data.times import duration, moment, shown_length
from cofactor.errors import DataError, SettingError

__all__ = [
    "Mask",
    "contiguous_masks",
    "disjoint_parts",
    "fold_masks",
    "horizon_of",
    "item_mask",
    "last_mask",
    "per_user_mask",
    "random_mask",
    "rolling_masks",
    "time_mask",
    "user_mask",
]

logger = logging.getLogger(__name__)

_NOTABLE = 0.1
"""From which relative difference on the log says that a share is not the one asked for."""

Mask: TypeAlias = np.ndarray[tuple[int], np.dtype[np.bool_]]


def random_mask(n: int, test_fraction: float, seed: int, store: ArrayStore = MEMORY) -> Mask:
    """Hold out the first part of ``default_rng(seed).permutation(n)``."""
    check_fraction("test_fraction", test_fraction)
    check_seed(seed)
    return _mask_of(_shuffled(n, seed, store)[: round(n * test_fraction)], n, store)


def _shuffled(n: int, seed: int, store: ArrayStore) -> np.ndarray:
    """Return ``default_rng(seed).permutation(n)`` in a store."""
    places: np.ndarray = store.zeros(n, np.int64)
    for part in store.parts(n):
        places[part] = np.arange(part.start, part.stop)
    np.random.default_rng(seed).shuffle(places)
    return places


def _mask_of(places: np.ndarray, n: int, store: ArrayStore) -> Mask:
    mask: Mask = store.zeros(n, bool)
    for part in store.parts(len(places)):
        mask[places[part]] = True
    return mask


def per_user_mask(user_rows: np.ndarray, test_fraction: float, seed: int) -> Mask:
    """Hold out the same share of every user's interactions.

    Each interaction gets a number from ``default_rng(seed).random(n)``; those whose rank within their user,
    divided by the user's count, exceeds ``1 - test_fraction`` are held out. A user with one interaction
    therefore has it in the test part.
    """
    check_fraction("test_fraction", test_fraction)
    check_seed(seed)
    chance = np.random.default_rng(seed).random(len(user_rows))
    rank, count = _rank_within_user(user_rows, chance)
    return (rank + 1) / count > 1 - test_fraction


def disjoint_parts(groups: np.ndarray, fraction: float, parts: int, seed: int) -> list[np.ndarray]:
    """Return the rows of several disjoint held-out parts, each with the same share of every group.

    With users as groups, the first part is that of `per_user_mask`; the others precede it in the same random order.
    """
    check_fraction("fraction", fraction)
    check_seed(seed)
    if parts * fraction > 1 + 1e-9:
        raise SettingError(f"{parts} parts of {fraction:g} each exceed the whole: hold out fewer or smaller parts")
    rank, count = _rank_within_user(groups, np.random.default_rng(seed).random(len(groups)))
    place = (rank + 1) / count
    return [np.flatnonzero((place > 1 - (k + 1) * fraction) & (place <= 1 - k * fraction)) for k in range(parts)]


def last_mask(user_rows: np.ndarray, timestamps: np.ndarray, n: int) -> Mask:
    """Hold out each user's last ``n`` interactions in time; users with no more than ``n`` keep them all."""
    check_count("n", n)
    rank, count = _rank_within_user(user_rows, timestamps)
    return (rank >= count - n) & (count > n)


def time_mask(timestamps: np.ndarray, test_fraction: float | None, at: object) -> Mask:
    """Hold out what happened at or after a point in time, given directly or as the share of interactions after it.

    What happened at the same moment stays together, in the held-out part, which so may be larger than asked for.
    """
    if (at is None) == (test_fraction is None):
        raise SettingError("give either test_fraction or at (a moment), not both")
    if at is not None:
        return np.asarray(timestamps >= moment(at))
    assert test_fraction is not None
    check_fraction("test_fraction", test_fraction)
    if not len(timestamps):
        return np.zeros(0, bool)
    first = np.sort(timestamps)[min(round(len(timestamps) * (1 - test_fraction)), len(timestamps) - 1)]
    mask: Mask = np.asarray(timestamps >= first)
    reached = np.count_nonzero(mask) / len(mask)
    if abs(reached - test_fraction) > _NOTABLE * test_fraction:
        logger.info(
            "the test part holds %.3g of the interactions, not %.3g: those of one moment stay together",
            reached,
            test_fraction,
        )
    return mask


def horizon_of(times: np.ndarray | None, fraction: float, parts: int, store: ArrayStore = MEMORY) -> float:
    """Return how many seconds each of several test parts lasts that together hold the latest share of interactions.

    Raises
    ------
    DataError
        If there are no times, or that share happened at one moment.
    """
    if times is None:
        raise DataError("a split by time needs timestamps: name their column when reading (time=…)")
    check_fraction("fraction", fraction)
    store.require(17 * len(times), "the times of all ratings")
    ordered = np.sort(times)
    first = ordered[min(round(len(ordered) * (1 - fraction)), len(ordered) - 1)] if len(ordered) else 0
    length = float(ordered[-1] - first) / parts if len(ordered) else 0.0
    if not length:
        raise DataError(
            f"the latest {fraction:.3g} of the interactions happened at one moment: say how long a test part lasts, "
            "with horizon=…"
        )
    return length


def rolling_masks(
    times: np.ndarray, n: int, horizon: object, store: ArrayStore = MEMORY
) -> Iterator[tuple[Mask, Mask]]:
    """Return masks of what to train on and what to test on, for several stretches of time, the earliest first.

    The stretches are equally long and follow each other up to the latest time, which the last one includes. Each is
    tested after training on everything before it.

    Raises
    ------
    DataError
        If there is nothing before the first stretch, or nothing in one of them.
    SettingError
        If ``n`` or the horizon is out of range.
    """
    length = duration(horizon, "horizon")
    check_count("n", n)
    latest = float(times.max()) if len(times) else 0.0
    cuts = [latest - (n - k) * length for k in range(n)] + [latest]
    until = [sum(int(np.count_nonzero(times[part] <= cut)) for part in store.parts(len(times))) for cut in cuts]
    if not until[0]:
        span = shown_length(latest - float(times.min())) if len(times) else "no time"
        raise DataError(
            f"{n} test parts of {shown_length(length)} leave nothing to train on, since the interactions span "
            f"{span}: give a shorter horizon, or fewer parts"
        )
    for number, (before, after) in enumerate(pairwise(until), 1):
        if before == after:
            raise DataError(
                f"nothing happened in test part {number} of {n}, which lasts {shown_length(length)}: give a longer "
                "horizon"
            )
    return ((_between(times, -np.inf, cut, store), _between(times, cut, end, store)) for cut, end in pairwise(cuts))


def _between(times: np.ndarray, cut: float, end: float, store: ArrayStore) -> Mask:
    """Return which times are after one moment and not after another."""
    mask: Mask = store.zeros(len(times), bool)
    for part in store.parts(len(times)):
        mask[part] = (times[part] > cut) & (times[part] <= end)
    return mask


def user_mask(n: int, wanted: int | None, test_fraction: float | None, seed: int) -> Mask:
    """Hold out a number or a share of users: the first of ``default_rng(seed).permutation(n)``."""
    return _rows_mask("user", n, wanted, test_fraction, seed)


def item_mask(n: int, wanted: int | None, test_fraction: float | None, seed: int) -> Mask:
    """Hold out a number or a share of items: the first of ``default_rng(seed).permutation(n)``."""
    return _rows_mask("item", n, wanted, test_fraction, seed)


def _rows_mask(what: str, n: int, wanted: int | None, test_fraction: float | None, seed: int) -> Mask:
    if (wanted is None) == (test_fraction is None):
        raise SettingError(f"give either n_{what}s or test_fraction, not both")
    check_seed(seed)
    if wanted is None:
        assert test_fraction is not None
        check_fraction("test_fraction", test_fraction)
        wanted = round(n * test_fraction)
    check_count(f"n_{what}s", wanted, 0)
    if not 0 < wanted < n:
        raise SettingError(f"n_{what}s is {wanted}: hold out at least one of the {n:,} {what}s, and not all of them")
    mask = np.zeros(n, dtype=bool)
    mask[np.random.default_rng(seed).permutation(n)[:wanted]] = True
    return mask


def fold_masks(n: int, folds: int, seed: int, store: ArrayStore = MEMORY) -> Iterator[Mask]:
    """Yield ``folds`` masks that together hold out every interaction exactly once."""
    _check_folds(folds, n)
    check_seed(seed)
    for places in np.array_split(_shuffled(n, seed, store), folds):
        yield _mask_of(places, n, store)


def contiguous_masks(n: int, folds: int, store: ArrayStore = MEMORY) -> Iterator[Mask]:
    """Yield ``folds`` masks, each of consecutive rows, of about equal length."""
    _check_folds(folds, n)
    sizes = [n // folds + (k < n % folds) for k in range(folds)]
    for first, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True):
        mask: Mask = store.zeros(n, bool)
        mask[first : first + size] = True
        yield mask


def _check_folds(folds: int, n: int) -> None:
    check_count("folds", folds)
    if not 2 <= folds <= n:
        raise SettingError(f"folds is {folds}: it must lie between 2 and the number of interactions, {n:,}")


def _rank_within_user(user_rows: np.ndarray, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each interaction's rank within its user by ``key`` (ties in reading order), and the user's count."""
    order = np.lexsort((key, user_rows))
    counts = np.bincount(user_rows)
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(user_rows), dtype=np.int64)
    rank[order] = np.arange(len(user_rows)) - np.repeat(starts, counts)
    return rank, counts[user_rows]
