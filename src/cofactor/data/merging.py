"""Merge the ratings of a range of users; or of one user, even of one pair, with more ratings than memory holds."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from cofactor.data.buckets import Records, Section
from cofactor.data.building import Duplicates, Entries, finite

__all__ = ["merged"]

_LEAF = 128  # numbers that NumPy adds in one go; it adds more by halves
Merge = Callable[[Entries], Entries]


def merged(
    section: Section, n_items: int, duplicates: Duplicates, merge: Merge, folder: Path, at_once: int
) -> Iterator[Entries]:
    """Yield the distinct entries of a range of users in the order of their keys, part by part.

    Parameters
    ----------
    section : Section
        Records of user, item and row, and value and time where they are known. More than ``at_once`` are of one user.
    n_items : int
    duplicates
        As in `Interactions.from_columns`.
    merge : callable
        Sorts entries and merges those with the same key.
    folder : path
        Where ratings are distributed again.
    at_once : int
        How many ratings may be in memory at once.
    """
    if len(section) <= at_once:
        yield merge(_entries(section[:]))
        return
    for _, _, smaller in section.split("item", n_items, folder, at_once):
        if len(smaller) > at_once:
            yield _pair(smaller, duplicates, merge, at_once)
        elif len(smaller):
            yield merge(_entries(smaller[:]))


def _pair(section: Section, duplicates: Duplicates, merge: Merge, at_once: int) -> Entries:
    """Merge the many ratings of one pair, as `merge` would if it had them all."""
    if duplicates in ("sum", "mean"):
        last = _entries(section[-1:])
        total = _sum(section, max(at_once, _LEAF))
        values = finite([total if duplicates == "sum" else total / len(section)])
        return dataclasses.replace(last, values=values)
    kept: Entries | None = None
    for records in section.parts(at_once):
        found = merge(_entries(records))
        kept = found if kept is None else merge(_joined(kept, found))
    assert kept is not None
    return kept


def _joined(one: Entries, other: Entries) -> Entries:
    def both(name: str) -> np.ndarray:
        return np.concatenate([getattr(one, name), getattr(other, name)])

    times = None if one.timestamps is None else both("timestamps")
    return Entries(both("user_rows"), both("item_rows"), both("values"), times, both("rows"))


def _sum(section: Section, leaf: int) -> np.float64:
    """Add up the values to the bit as NumPy's reduction does: the first, and the sum of the others by halves."""

    def by_halves(first: int, last: int) -> np.float64:
        if last - first <= leaf:
            values = np.zeros(last - first + 1)  # the reduction begins with the first, a zero
            values[1:] = _values(section[first:last])
            return np.add.reduce(values)
        half = (last - first) // 2
        half -= half % 8
        return by_halves(first, first + half) + by_halves(first + half, last)

    return np.float64(_values(section[:1])[0]) + by_halves(1, len(section))


def _entries(records: Records) -> Entries:
    names = records.dtype.names or ()
    times = np.array(records["time"]) if "time" in names else None
    user_rows, item_rows, rows = (np.array(records[name]) for name in ("user", "item", "row"))
    return Entries(user_rows, item_rows, _values(records), times, rows)


def _values(records: Records) -> np.ndarray:
    names = records.dtype.names or ()
    return np.array(records["value"]) if "value" in names else np.ones(len(records), np.float32)
