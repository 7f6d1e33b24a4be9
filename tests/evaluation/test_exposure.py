"""What share of the attention groups of items get in lists."""

import math

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.errors import DataError, SettingError
from cofactor.evaluation import exposure
from cofactor.solvers import Popularity

KINDS = ["a|b", "a", "b", None, "c|a"]


@pytest.fixture(scope="module")
def plays():
    random = np.random.default_rng(1)
    frame = pl.DataFrame({"user": random.integers(0, 30, 400), "item": random.integers(0, 25, 400)}).unique()
    table = cf.from_frame(frame, user="user", item="item", value=None)
    return table.with_items(pl.DataFrame({"item": range(25), "kind": [KINDS[k % 5] for k in range(25)]}))


def test_shares_are_those_of_a_count_by_hand(plays):
    lists = Popularity().fit(plays).recommend(plays.users.ids, n=5)
    shown, chosen, there = {}, {}, {}
    kinds = dict(plays.item_table.select("item", "kind").iter_rows())

    def add(sums, item, weight):
        parts = [None] if kinds[item] is None else kinds[item].split("|")
        for part in parts:
            sums[part] = sums.get(part, 0.0) + weight / len(parts)

    for item, position in lists.select("item", "position").iter_rows():
        add(shown, item, 1 / math.log2(1 + position))
    for item in plays.to_frame()["item"]:
        add(chosen, item, 1.0)
    for item in kinds:
        add(there, item, 1.0)
    found = exposure(lists, plays, by="kind")
    assert found["exposure"].is_sorted(descending=True)
    assert set(found["group"]) == {"a", "b", "c", None}
    for row in found.iter_rows(named=True):
        group = row["group"]
        for name, sums in (("exposure", shown), ("chosen", chosen), ("items", there)):
            assert row[name] == pytest.approx(sums.get(group, 0.0) / sum(sums.values()))
        assert row["ratio"] == pytest.approx(row["exposure"] / row["chosen"])


def test_items_that_training_lacks_get_none_and_lists_of_others_are_refused(plays):
    lists = pl.DataFrame({"item": [0, 999], "position": [1, 2]})
    assert exposure(lists, plays, by="kind")["exposure"].sum() == pytest.approx(1.0)
    with pytest.raises(DataError, match="none of them is in the training data"):
        exposure(lists.filter(pl.col("item") == 999), plays, by="kind")


@pytest.mark.parametrize(
    ("lists", "by", "error", "said"),
    [
        ({"item": [0]}, "kind", DataError, "no column 'position'"),
        ({"item": [0], "position": [0]}, "kind", DataError, "1 for the first item"),
        ({"item": [0], "position": [1]}, "maker", SettingError, "there is no column 'maker'"),
    ],
)
def test_what_cannot_be_measured_is_refused(plays, lists, by, error, said):
    with pytest.raises(error, match=said):
        exposure(pl.DataFrame(lists), plays, by=by)
