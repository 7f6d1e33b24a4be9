"""Tables of interactions made of sparse matrices, compared, and joined."""

import numpy as np
import polars as pl
import pytest
from scipy import sparse

import cofactor as cf
from cofactor.errors import DataError

MATRIX = sparse.csr_array(np.array([[5.0, 0, 3], [0, 0, 0], [1, 2, 0]]))


def table(users, items, values=None, times=None):
    return cf.Interactions.from_columns(users, items, None if values is None else np.array(values), times)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil"])
def test_a_sparse_matrix_becomes_a_table_and_is_given_back(form):
    made = cf.Interactions.from_sparse(MATRIX.asformat(form))
    assert (made.n_users, made.n_items, len(made)) == (3, 3, 4)
    assert np.array_equal(made.matrix.toarray(), MATRIX.toarray())
    assert made.users.ids.to_list() == [0, 1, 2]
    named = cf.Interactions.from_sparse(MATRIX, users=["a", "b", "c"], items=[10, 20, 30])
    assert named.to_frame().rows() == [("a", 10, 5.0), ("a", 30, 3.0), ("c", 10, 1.0), ("c", 20, 2.0)]


def test_values_of_one_pair_are_added_and_stored_zeros_are_kept():
    entries = np.array([1.0, 2.0, 0.0]), (np.array([0, 0, 1]), np.array([0, 0, 1]))
    made = cf.Interactions.from_sparse(sparse.coo_array(entries, shape=(2, 2)))
    assert made.to_frame().rows() == [(0, 0, 3.0), (1, 1, 0.0)]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"matrix": np.eye(2)}, "is a ndarray: give a two-dimensional one of scipy.sparse"),
        ({"matrix": MATRIX, "users": ["a"]}, "1 user ids for 3 users: give one for each"),
        ({"matrix": MATRIX, "items": ["a", "a", "b"]}, "'a' is duplicated"),
        ({"matrix": sparse.csr_array(np.array([[np.nan]]))}, "finite"),
    ],
)
def test_what_is_no_table_is_refused(given, told):
    with pytest.raises(DataError, match=told):
        cf.Interactions.from_sparse(**given)


def test_tables_are_equal_where_all_that_they_say_is():
    one, same = table([1, 2], ["x", "y"], [5.0, 3.0], [10, 20]), table([1, 2], ["x", "y"], [5.0, 3.0], [10, 20])
    assert one == same
    assert hash(one) == hash(same)
    assert one != table([1, 2], ["x", "y"], [5.0, 4.0], [10, 20])
    assert one != table([1, 2], ["x", "y"], [5.0, 3.0], [10, 21])
    assert one != table([1, 2], ["x", "y"], [5.0, 3.0])
    assert one != table([1, 2], ["x", "z"], [5.0, 3.0], [10, 20])
    assert one != table([2, 1], ["y", "x"], [3.0, 5.0], [20, 10])  # read in another order
    assert one != one.with_items(pl.DataFrame({"item": ["x"], "title": ["Film"]}))
    assert one != "a table"


def test_joined_tables_are_the_table_of_all_rows():
    whole = cf.load_dataset("synthetic:60x40x600")
    halves = whole.split_random(test_fraction=0.5, seed=1)
    joined = cf.concat(halves)
    assert np.array_equal(joined.matrix.toarray(), whole.matrix.toarray())
    assert joined.item_table.equals(whole.item_table)
    frames = pl.concat([half.to_frame() for half in halves])
    assert joined.to_frame().drop("title", strict=False).equals(frames.drop("title", strict=False))


def test_ids_that_only_one_table_has_follow_those_of_the_first():
    joined = cf.concat([table([3, 5], ["b", "c"]), table([1, 5], ["a", "c"])])
    assert joined.users.ids.to_list() == [3, 5, 1]
    assert joined.items.ids.to_list() == ["b", "c", "a"]
    assert len(joined) == 3


@pytest.mark.parametrize(("duplicates", "value"), [("last", 2.0), ("first", 4.0), ("sum", 6.0), ("mean", 3.0)])
def test_a_pair_of_two_tables_is_one_pair(duplicates, value):
    joined = cf.concat([table([1], [1], [4.0]), table([1], [1], [2.0])], duplicates=duplicates)
    assert joined.to_frame()["value"].to_list() == [value]


def test_the_latest_value_counts_whatever_table_it_is_in():
    joined = cf.concat([table([1], [1], [4.0], [200]), table([1], [1], [2.0], [100])])
    assert joined.to_frame()["value"].to_list() == [4.0]


def test_later_tables_say_more_of_items():
    first = table([1], ["x"]).with_items(pl.DataFrame({"item": ["x"], "title": ["Old"], "year": [1990]}))
    second = table([1], ["x"]).with_items(pl.DataFrame({"item": ["x"], "title": ["New"]}))
    assert cf.concat([first, second]).item_table.rows() == [("x", "New", 1990)]


@pytest.mark.parametrize(
    ("tables", "told"),
    [
        ([], "no table to join"),
        ([table([1], [1]), "plays.csv"], "a str cannot be joined"),
        ([table([1], [1]), table(["a"], [1])], "the user ids here are integers"),
        ([table([1], [1]), table([1], [1], None, [5])], "only some of the tables have times"),
    ],
)
def test_what_cannot_be_joined_is_refused(tables, told):
    with pytest.raises(DataError, match=told):
        cf.concat(tables)


def test_a_repeated_pair_can_be_an_error():
    with pytest.raises(DataError, match="duplicates"):
        cf.concat([table([1], [1]), table([1], [1])], duplicates="error")
    assert cf.concat(table([1], [1])) == table([1], [1])
