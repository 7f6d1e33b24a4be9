"""What tests of tables that lie in files ask of them."""

import contextlib

import numpy as np
import pytest

from cofactor.data import rooms

__all__ = ["in_files", "is_mapped", "same_matrix", "same_table"]


def is_mapped(array):
    """Return whether an array is a view, however many times removed, of a memory-mapped file."""
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


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
        patch.setattr(rooms, "BYTES_AN_ENTRY", 8_000_000 // entries)
        patch.setattr(rooms, "SHARE_OF_AN_ARRAY", 10**9)
        yield
