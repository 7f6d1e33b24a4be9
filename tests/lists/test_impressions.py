"""What was shown often and not taken stays out of the next lists."""

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.errors import DataError, SettingError
from cofactor.lists import shown_in_vain


def test_pairs_shown_often_enough_and_not_taken_are_found():
    random = np.random.default_rng(0)
    users, items = random.integers(0, 6, 300), random.integers(0, 9, 300)
    shown = pl.DataFrame({"user": users, "item": items})
    taken = cf.from_frame(pl.DataFrame({"user": [0, 1, 2], "item": [0, 1, 2]}), value=None)
    for k in (1, 5, 9):
        expected = {
            (user, item)
            for user in range(6)
            for item in range(9)
            if np.sum((users == user) & (items == item)) >= k and not (user == item and user < 3)
        }
        found = shown_in_vain(shown, k, taken=taken)
        assert set(found.rows()) == expected
        assert found.is_unique().all()
    counted = shown.group_by("user", "item").len("times")
    assert set(shown_in_vain(counted, 5).rows()) == set(shown_in_vain(shown, 5).rows())


def test_lists_do_without_them_and_stay_as_long():
    model = cf.Factors.from_arrays(np.ones((2, 1)), np.arange(8.0)[:, None], users=["ann", "bob"])
    lists = model.recommend(["ann", "bob"], n=3)
    twice = pl.concat([lists, lists.filter(pl.col("user") == "ann")])
    again = model.recommend(["ann", "bob"], n=3, exclude=shown_in_vain(twice, 2))
    assert again["item"].to_list() == [4, 3, 2, 7, 6, 5]


def test_a_frame_of_pandas_will_do():
    pandas = pytest.importorskip("pandas")
    assert shown_in_vain(pandas.DataFrame({"user": [1, 1], "item": [2, 2]}), 2).rows() == [(1, 2)]


@pytest.mark.parametrize(
    ("frame", "taken", "said"),
    [
        ({"user": [1], "item": [2], "times": [-1]}, None, "whole numbers of at least 0"),
        ({"user": [1], "item": [2], "times": [1.5]}, None, "whole numbers of at least 0"),
        ({"user": [1], "item": [2], "times": [5]}, {"user": ["1"], "item": ["2"]}, "give ids of one type"),
        ({"user": [None], "item": [2]}, None, "missing"),
    ],
)
def test_what_says_nothing_is_refused(frame, taken, said):
    with pytest.raises(DataError, match=said):
        shown_in_vain(pl.DataFrame(frame), 1, taken=None if taken is None else pl.DataFrame(taken))


@pytest.mark.parametrize("k", [0, 1.5, "2"])
def test_k_is_a_whole_number(k):
    with pytest.raises(SettingError, match="k is"):
        shown_in_vain(pl.DataFrame({"user": [1], "item": [2]}), k)
