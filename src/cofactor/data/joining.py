"""Several tables of interactions as one."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from cofactor.data.building import Duplicates
from cofactor.data.interactions import Interactions
from cofactor.data.metadata import Metadata
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError

__all__ = ["concat"]


def concat(tables: Iterable[Interactions], *, duplicates: Duplicates = "last") -> Interactions:
    """Return one table of the interactions of several, such as the files of several months.

    Users and items with the same id are the same. What is known of them is kept; where two tables say something
    different, the later table counts.

    Parameters
    ----------
    tables : iterable of Interactions
    duplicates : {"last", "first", "sum", "mean", "error"}
        What to do where tables have the same pair of user and item: keep the latest (or earliest) value in time (of the
        last or first table, without times), the sum or the mean, or raise an error.

    Raises
    ------
    DataError
        If there is no table, ids are integers in one and strings in another, only some have times, or a pair is
        repeated and ``duplicates="error"``.

    Examples
    --------
    >>> import cofactor as cf
    >>> march = cf.Interactions.from_columns(["ann", "bob"], ["tea", "tea"])
    >>> april = cf.Interactions.from_columns(["ann"], ["rye"])
    >>> cf.concat([march, april])
    2 users × 2 items, 3 interactions, 75 %
    """
    given = [tables] if isinstance(tables, Interactions) else list(tables)
    if not given:
        raise DataError("there is no table to join: give a list of Interactions")
    for table in given:
        if not isinstance(table, Interactions):
            raise DataError(f"a {type(table).__name__} cannot be joined: read it with cofactor.from_frame or read_csv")
    timed = [table.timestamps is not None for table in given if len(table)]
    if any(timed) and not all(timed):
        raise DataError("only some of the tables have times: read all of them with the column of times, or none")
    users, items = _united([table.users for table in given]), _united([table.items for table in given])
    parts = [table.triplets() for table in given]
    joined = Interactions.from_rows(
        users,
        items,
        np.concatenate([users.find(table.users.ids)[part.user_rows] for table, part in zip(given, parts, strict=True)]),
        np.concatenate([items.find(table.items.ids)[part.item_rows] for table, part in zip(given, parts, strict=True)]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.timestamps for part in parts if part.timestamps is not None]) if any(timed) else None,
        duplicates=duplicates,
        name=given[0].name,
    )
    metadata = Metadata()
    for table in given:
        for ids, theirs in ((items, table.items), (users, table.users)):
            metadata = metadata.updated(ids, table.metadata, theirs)
    return dataclasses.replace(joined, metadata=metadata)


def _united(parts: list[Vocabulary]) -> Vocabulary:
    """Return all ids, those of the first table first."""
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.extended(part.ids) if len(whole) else part
    return whole
