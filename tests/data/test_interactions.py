import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.data.vocabulary import Vocabulary

events = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(-4, 4), st.integers(0, 9)), min_size=1, max_size=60
)


def build(rows, duplicates):
    users, items, values, times = (np.array(column) for column in zip(*rows, strict=True))
    return Interactions.from_columns(users, items, values, times, duplicates=duplicates)


@given(events, st.sampled_from(["last", "first", "sum", "mean"]))
def test_repeated_pairs_become_what_was_asked_for(rows, duplicates):
    table = build(rows, duplicates)
    groups = {}
    for user, item, value, time in rows:
        groups.setdefault((user, item), []).append((time, value))
    pick = {
        "last": lambda g: [v for t, v in g if t == max(g)[0]][-1],
        "first": lambda g: next(v for t, v in g if t == min(g)[0]),
        "sum": lambda g: sum(v for _, v in g),
        "mean": lambda g: sum(v for _, v in g) / len(g),
    }[duplicates]
    expected = {pair: pytest.approx(pick(group), rel=1e-6) for pair, group in groups.items()}
    frame = table.to_frame()
    assert dict(zip(zip(frame["user"], frame["item"], strict=True), frame["value"], strict=True)) == expected


@given(events)
def test_the_matrix_is_sorted_and_its_transpose_agrees(rows):
    table = build(rows, "last")
    assert table.matrix.has_sorted_indices
    assert (np.diff(table.matrix.indptr) >= 0).all()
    assert np.array_equal(table.by_item.toarray(), table.matrix.toarray().T)
    columns = table.triplets()
    assert np.array_equal(table.matrix[columns.user_rows, columns.item_rows], columns.values)


@given(st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), min_size=1, max_size=40, unique=True))
def test_rows_come_back_in_the_order_they_were_read(pairs):
    users, items = zip(*pairs, strict=True)
    table = Interactions.from_columns(list(users), list(items))
    frame = table.to_frame()
    assert list(zip(frame["user"], frame["item"], strict=True)) == pairs
    assert table.is_binary


def test_a_repeated_pair_can_be_an_error():
    with pytest.raises(cf.DataError, match="user 1 and item 7 stand more than once"):
        build([(1, 7, 3, 0), (1, 7, 4, 1)], "error")
    with pytest.raises(cf.SettingError, match="duplicates is 'max'"):
        build([(1, 7, 3, 0), (1, 7, 4, 1)], "max")


def test_it_says_what_it_is(ratings):
    assert repr(ratings) == "60 users × 40 items, 900 ratings from 1 to 5, 38 %"
    assert repr(ratings.binary()) == "60 users × 40 items, 900 interactions, 38 %"
    empty = ratings.at_least(99)
    assert repr(empty) == "60 users × 40 items, 0 interactions, 0 %"
    assert empty.value_range == (0.0, 0.0)


def test_thresholds_keep_rows_and_vocabularies(ratings):
    likes = ratings.at_least(4)
    assert likes.users == ratings.users
    assert likes.matrix.data.min() == 4
    assert likes.to_frame().equals(ratings.to_frame().filter(pl.col("value") >= 4))
    assert set(likes.binary().matrix.data) == {1.0}
    assert ratings.matrix.data.max() == 5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
def test_values_must_be_finite(value):
    with pytest.raises(cf.DataError, match="the value at row 1 is"):
        Interactions.from_columns(["a", "b"], ["x", "y"], np.array([1.0, value]))


def test_columns_must_have_one_length():
    with pytest.raises(cf.DataError, match="different lengths"):
        Interactions.from_columns(["a", "b"], ["x", "y"], np.array([1.0]))


def test_users_and_items_without_interactions_are_kept():
    users, items = Vocabulary(["a", "b", "c"], kind="user"), Vocabulary(["x", "y"], kind="item")
    table = Interactions.from_rows(users, items, np.array([2]), np.array([0]))
    assert table.matrix.toarray().tolist() == [[0, 0], [0, 0], [1, 0]]
    nothing = Interactions.from_rows(users, items, np.array([], dtype=int), np.array([], dtype=int))
    assert nothing.matrix.shape == (3, 2)
    assert len(nothing) == 0


def test_a_users_history_is_best_first(titled):
    history = titled.user_history("u3")
    assert history["value"].is_sorted(descending=True)
    expected = titled.to_frame().filter(pl.col("user") == "u3")
    assert set(zip(history["item"], history["value"], strict=True)) == set(
        zip(expected["item"], expected["value"], strict=True)
    )
    assert history["title"][0].startswith("Film ")
    with pytest.raises(cf.UnknownIdError, match="unknown user 'nobody'"):
        titled.user_history("nobody")


def test_titles_are_matched_by_id(ratings):
    table = pl.DataFrame({"item": ["i3", "i1", "zz", "i3"], "title": ["Three", "One", "None", "again"]})
    titles = ratings.with_texts(table).texts.titles
    assert titles[int(ratings.items.rows(["i3"])[0])] == "Three"
    assert titles[int(ratings.items.rows(["i2"])[0])] is None
    assert "title" in ratings.with_texts(table).to_frame().columns
