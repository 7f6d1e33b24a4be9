"""Small tables for tests, and what is asked of tables that lie in files."""

import contextlib

import numpy as np
import pytest

from cofactor.data import array_store
from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Vocabulary

__all__ = ["in_files", "is_mapped", "row_pairs", "same_matrix", "same_table", "table_from", "tribes"]


def table_from(dense):
    """Make interactions of what is not zero in a dense table, whose ids are its rows and columns."""
    rows, columns = np.nonzero(dense)
    users, items = (Vocabulary(range(n), kind=kind) for n, kind in zip(dense.shape, ("user", "item"), strict=True))
    return Interactions.from_rows(users, items, rows, columns, dense[rows, columns])


def tribes(n_users=60, n_items=40, seed=0):
    """Return pairs of users with items of their own half, a third of them held out: (train, test)."""
    random = np.random.default_rng(seed)
    users, items = np.indices((n_users, n_items)).reshape(2, -1)
    chosen = ((users % 2) == (items % 2)) & (random.random(len(users)) < 0.6)
    pairs = Interactions.from_columns(users[chosen], items[chosen], np.ones(int(chosen.sum())))
    return pairs.split_random(test_fraction=0.3, seed=seed)


def is_mapped(array):
    """Return whether an array is a view, however many times removed, of a memory-mapped file."""
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


def row_pairs(table):
    """Return the set of a table's (user row, item row)."""
    columns = table.triplets()
    return set(zip(columns.user_rows.tolist(), columns.item_rows.tolist(), strict=True))


def same_matrix(one, other):
    """Assert that two sparse matrices are the same arrays, bit by bit."""
    for name in ("indptr", "indices", "data"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert mine.dtype == theirs.dtype, name
        assert np.array_equal(mine, theirs), name


def same_table(one, other):
    """Assert that two tables of interactions have the same ids and the same arrays, bit by bit."""
    assert one.users == other.users
    assert one.items == other.items
    same_matrix(one.matrix, other.matrix)
    same_matrix(one.by_item, other.by_item)
    for name in ("timestamps", "order"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert (mine is None) == (theirs is None), name
        assert mine is None or (mine.dtype == theirs.dtype and np.array_equal(mine, theirs)), name


@contextlib.contextmanager
def in_files(entries):
    """Let a limit of 16 MB mean so many entries at a time, and every array go to a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(array_store, "BYTES_AN_ENTRY", 8_000_000 // entries)
        patch.setattr(array_store, "SHARE_OF_AN_ARRAY", 10**9)
        yield
