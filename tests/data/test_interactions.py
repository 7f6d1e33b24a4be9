"""The table of interactions: repeated pairs, thresholds, filters, titles, histories, weights."""

from collections import Counter

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
    with pytest.raises(cf.DataError, match="user 1 and item 7 appear more than once"):
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
    for none in ("4", None, float("nan")):
        with pytest.raises(cf.SettingError, match="give a number, the least value to keep"):
            ratings.at_least(none)
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
    table = pl.DataFrame({"item": ["i3", "i1", "zz"], "title": ["Three", "One", "None"]})
    titles = ratings.with_items(table).metadata.titles
    assert titles[int(ratings.items.rows(["i3"])[0])] == "Three"
    assert titles[int(ratings.items.rows(["i2"])[0])] is None
    assert "title" in ratings.with_items(table).to_frame().columns


def test_a_filter_keeps_what_its_conditions_allow(titled):
    late = titled.filter(pl.col("timestamp") > 1_000_000_450, pl.col("value") >= 3)
    expected = titled.to_frame().filter(pl.col("timestamp") > 1_000_000_450, pl.col("value") >= 3)
    assert late.to_frame().equals(expected)
    assert late.users == titled.users


@given(events, st.integers(1, 4), st.integers(1, 4))
def test_all_that_are_left_have_enough(rows, per_user, per_item):
    table = build(rows, "last")
    left = table.min_counts(per_user=per_user, per_item=per_item)
    assert (np.diff(left.matrix.indptr) >= per_user).all()
    assert (np.diff(left.by_item.indptr) >= per_item).all()
    pairs = set(zip(left.to_frame()["user"], left.to_frame()["item"], strict=True))
    remaining = set(zip(table.to_frame()["user"], table.to_frame()["item"], strict=True))
    while True:  # the naive k-core: drop one offender after the other
        users, items = (Counter(pair[k] for pair in remaining) for k in (0, 1))
        offenders = {(u, i) for u, i in remaining if users[u] < per_user or items[i] < per_item}
        if not offenders:
            break
        remaining -= offenders
    assert pairs == remaining


def test_titles_stay_with_their_items(titled):
    left = titled.min_counts(per_item=23)
    assert 0 < left.n_items < titled.n_items
    frame = left.to_frame()
    whole = dict(zip(titled.items, titled.metadata.titles, strict=True))
    assert frame["title"].to_list() == [whole[item] for item in frame["item"]]
    assert frame.equals(titled.to_frame().filter(pl.col("item").is_in(left.items.ids.to_list())))


def test_a_description_counts_users_and_items(ratings):
    described = ratings.describe()
    row = {name: described.filter(pl.col("statistic") == name) for name in ("count", "mean", "max")}
    assert row["count"].row(0)[1:] == (900.0, 60.0, 40.0)
    assert row["mean"]["per user"][0] == pytest.approx(15)
    assert row["mean"]["per item"][0] == pytest.approx(22.5)
    assert row["max"]["value"][0] == 5
