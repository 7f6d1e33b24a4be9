"""What tests of tables that lie in files ask of them."""

import numpy as np

__all__ = ["is_mapped", "same_matrix", "same_table"]


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
