"""Every way to hold ratings out, against what NumPy or polars makes of the same rule."""

import dataclasses
import datetime
import tracemalloc

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tablesupport import in_files

import cofactor as cf
from cofactor.data import array_store, splits
from cofactor.data.interactions import Interactions
from cofactor.errors import SettingError


def keys(part):
    frame = part.to_frame()
    return list(zip(frame["user"], frame["item"], frame["value"], frame["timestamp"], strict=True))


def test_a_random_split_is_the_one_that_numpy_makes(ratings):
    train, test = ratings.split_random(test_fraction=0.2, seed=7)
    rows = np.random.default_rng(7).permutation(len(ratings))
    everything = keys(ratings)
    assert keys(test) == [everything[row] for row in sorted(rows[:180])]
    assert keys(train) == [everything[row] for row in sorted(rows[180:])]


def test_a_split_per_user_is_the_one_that_ranks_make(ratings):
    train, _ = ratings.split_per_user(test_fraction=0.25, seed=42)
    frame = ratings.to_frame().with_columns(chance=pl.Series(np.random.default_rng(42).random(len(ratings))))
    rank = pl.col("chance").rank().over("user") / pl.len().over("user")
    expected = frame.filter(rank <= 0.75)
    assert train.to_frame().equals(expected.drop("chance"))


def test_the_last_of_each_user_is_held_out(ratings):
    train, test = ratings.split_last(2)
    latest = ratings.to_frame().filter(pl.col("timestamp").rank(descending=True).over("user") <= 2)
    assert sorted(keys(test)) == sorted(zip(*(latest[c] for c in latest.columns), strict=True))
    assert len(train) + len(test) == len(ratings)


def test_users_with_too_few_interactions_are_kept_whole():
    few = Interactions.from_columns(["a", "b", "b"], ["x", "x", "y"], timestamps=np.array([1, 2, 3]))
    train, test = few.split_last()
    assert train.to_frame()["user"].to_list() == ["a", "b"]
    assert test.to_frame()["item"].to_list() == ["y"]


def test_a_split_by_time_holds_out_the_future(ratings):
    train, test = ratings.split_by_time(test_fraction=0.1)
    assert train.timestamps.max() < test.timestamps.min()
    assert len(test) == 90
    assert keys(ratings.split_by_time(at=float(test.timestamps.min()))[1]) == keys(test)


def timed(times):
    """Return one interaction at each time, of a user and an item of its own."""
    return Interactions.from_columns(range(len(times)), range(len(times)), timestamps=np.array(times))


def test_ties_at_the_cut_are_all_held_out_and_the_share_is_said(caplog):
    caplog.set_level("INFO")
    train, test = timed([1, 2, 3, 4, 5, 5, 5, 5, 5, 6]).split_by_time(test_fraction=0.2)
    assert train.timestamps.tolist() == [1, 2, 3, 4]
    assert test.timestamps.tolist() == [5, 5, 5, 5, 5, 6]
    assert "the test part holds 0.6 of the interactions, not 0.2" in caplog.text
    caplog.clear()
    timed(range(10)).split_by_time(test_fraction=0.2)
    assert not caplog.records


def test_a_rolling_split_tests_one_horizon_after_the_other_up_to_the_end():
    parts = list(timed([0, 5, 10, 15, 20, 25, 30, 35, 40]).split_rolling(3, horizon=10))
    assert [test.timestamps.tolist() for _, test in parts] == [[15, 20], [25, 30], [35, 40]]
    assert [train.timestamps.max() for train, _ in parts] == [10, 20, 30]
    assert [len(train) for train, _ in parts] == [3, 5, 7]


def test_a_rolling_split_keeps_users_items_and_the_reading_order(ratings):
    for horizon in ("100s", datetime.timedelta(seconds=100), 100):
        parts = list(ratings.split_rolling(2, horizon=horizon))
        latest = ratings.timestamps.max()
        for (train, test), end in zip(parts, (latest - 100, latest), strict=True):
            when = pl.col("timestamp")
            assert train.to_frame().equals(ratings.to_frame().filter(when <= end - 100))
            assert test.to_frame().equals(ratings.to_frame().filter((when > end - 100) & (when <= end)))
            assert train.users == test.users == ratings.users


def test_a_rolling_split_has_no_pair_on_both_sides():
    """A repeated pair is stored once, by default at its latest time."""
    plays = Interactions.from_columns(["a", "a", "b", "a"], ["x", "y", "x", "x"], timestamps=np.array([1, 2, 3, 9]))
    ((train, test),) = plays.split_rolling(1, horizon=5)
    assert train.to_frame().select("user", "item").rows() == [("a", "y"), ("b", "x")]
    assert test.to_frame().select("user", "item").rows() == [("a", "x")]


@pytest.mark.parametrize(
    ("times", "n", "horizon", "kind", "says"),
    [
        (range(10), 3, 5, cf.DataError, "3 test parts of 5 seconds leave nothing to train on, .* span 9 seconds"),
        ([0, 1, 2, 100], 2, 20, cf.DataError, "nothing happened in test part 1 of 2, .*20 seconds: give a longer"),
        (range(10), 0, 1, cf.SettingError, "n is 0"),
        (range(10), 1, "soon", cf.SettingError, "horizon is 'soon'"),
        ([], 1, 5, cf.DataError, "leave nothing to train on"),
    ],
)
def test_a_rolling_split_with_an_empty_part_is_refused_at_once(times, n, horizon, kind, says):
    with pytest.raises(kind, match=says):
        timed(times).split_rolling(n, horizon=horizon)


def test_a_rolling_split_needs_times():
    with pytest.raises(cf.DataError, match=r"split_rolling needs timestamps.*\(time=…\)"):
        Interactions.from_columns(["a"], ["x"]).split_rolling()


def test_folds_hold_out_everything_once(ratings):
    held_out = [key for _, test in ratings.folds(5, seed=3) for key in keys(test)]
    assert sorted(held_out) == sorted(keys(ratings))


def test_contiguous_folds_are_the_rows_in_reading_order(ratings):
    everything = keys(ratings)
    parts = np.array_split(np.arange(len(ratings)), 7)  # of 900: their lengths differ
    for part, (train, test) in zip(parts, ratings.contiguous_folds(7), strict=True):
        assert keys(test) == [everything[row] for row in part]
        assert keys(train) == everything[: part[0]] + everything[part[-1] + 1 :]


WITHIN_A_LIMIT = {
    "split_random": lambda table: [*table.split_random()],
    "split_users": lambda table: [*table.split_users(n_users=300, seed=1)],
    "split_rows": lambda table: [*table.split_rows(range(500))],
    "folds": lambda table: [part for parts in table.folds(3, seed=2) for part in parts],
    "contiguous_folds": lambda table: [part for parts in table.contiguous_folds(3) for part in parts],
    "min_counts": lambda table: [table.min_counts(per_user=20, per_item=30)],
    "at_least": lambda table: [table.at_least(4)],
    "split_per_user": lambda table: [*table.split_per_user(seed=3)],
    "split_last": lambda table: [*table.split_last()],
    "split_by_time": lambda table: [*table.split_by_time(test_fraction=0.1)],
    "split_rolling": lambda table: [part for parts in table.split_rolling(2, horizon="400d") for part in parts],
    "filter": lambda table: [table.filter(pl.col("value") > 3)],
    "split_rows, of unknown number": lambda table: [*table.split_rows(iter(range(9, 100)))],
}


@pytest.fixture(scope="module")
def many():
    """More ratings than ids, in no particular order."""
    frame = cf.load_dataset("synthetic:1000x800x60000:1").to_frame().sample(fraction=1.0, shuffle=True, seed=0)
    numbers = (frame[name].to_numpy() for name in ("value", "timestamp"))
    return Interactions.from_columns(frame["user"], frame["item"], *numbers)


@pytest.mark.parametrize("name", WITHIN_A_LIMIT)
def test_what_is_held_in_memory_asks_first(many, tmp_path, monkeypatch, name):
    asked = [0]
    monkeypatch.setattr(array_store.Disk, "require", lambda array_store, needed, *words: asked.append(needed))
    limited = dataclasses.replace(many, array_store=array_store.Disk(tmp_path, 16_000_000))
    with in_files(4_000):
        tracemalloc.start()
        found = WITHIN_A_LIMIT[name](limited)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    for one, other in zip(found, WITHIN_A_LIMIT[name](many), strict=True):
        assert one.to_frame().equals(other.to_frame())
        assert one.users == other.users
        assert one.matrix.indices.dtype == other.matrix.indices.dtype
    assert 0 < len(found[0]) < len(many)
    assert peak < max(asked) + 250_000, peak / len(many)  # bytes: the ids and what a part of 4,000 takes


def test_given_rows_are_held_out(ratings):
    train, test = ratings.split_rows(range(100))
    assert keys(test) == keys(ratings)[:100]
    assert keys(train) == keys(ratings)[100:]


@given(st.integers(1, 300), st.floats(0.01, 0.99), st.integers(0, 2**32))
def test_the_held_out_share_is_the_one_asked_for(n, fraction, seed):
    assert splits.random_mask(n, fraction, seed).sum() == round(n * fraction)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=80), st.sampled_from([0.1, 0.25, 0.5]), st.integers(0, 99))
def test_each_user_loses_the_share_asked_for(users, fraction, seed):
    users = np.array(users)
    mask = splits.per_user_mask(users, fraction, seed)
    for user in set(users.tolist()):
        count = (users == user).sum()
        assert mask[users == user].sum() == count - int(np.floor(count * (1 - fraction)))


def test_splitting_in_two_steps_keeps_the_reading_order(ratings):
    train, _ = ratings.split_random(test_fraction=0.3, seed=1)
    again, _ = train.split_random(test_fraction=0.3, seed=2)
    everything = keys(ratings)
    places = [everything.index(key) for key in keys(again)]
    assert places == sorted(places)


def test_both_parts_keep_all_users_and_items(ratings):
    for part in ratings.split_random(test_fraction=0.9, seed=0):
        assert part.users == ratings.users
        assert part.items == ratings.items


@pytest.mark.parametrize("fraction", [0, 1, -0.2, 1.5])
def test_a_fraction_outside_of_its_range_is_refused(ratings, fraction):
    with pytest.raises(cf.SettingError, match="between 0 and 1"):
        ratings.split_random(test_fraction=fraction)


def test_other_settings_out_of_range_are_refused(ratings):
    with pytest.raises(cf.SettingError, match="at least 1"):
        ratings.split_last(0)
    with pytest.raises(cf.SettingError, match="between 2 and"):
        list(ratings.folds(1))
    with pytest.raises(cf.SettingError, match="either test_fraction or at"):
        ratings.split_by_time()
    with pytest.raises(cf.SettingError, match="the table has 900 rows"):
        ratings.split_rows([900])
    with pytest.raises(cf.SettingError, match=r"test_rows is a mask: give row numbers, such as np.flatnonzero"):
        ratings.split_rows(np.ones(len(ratings), dtype=bool))


def test_a_split_in_time_needs_timestamps():
    with pytest.raises(cf.DataError, match="split_last needs timestamps"):
        Interactions.from_columns(["a"], ["x"]).split_last()


def test_the_official_folds_of_ml100k(ml100k):
    train, test = next(ml100k.contiguous_folds(5))
    assert (len(train), len(test)) == (80_000, 20_000)
    assert test.to_frame().equals(ml100k.to_frame().head(20_000))


def test_whole_users_are_held_out(ratings):
    train, theirs = ratings.split_users(n_users=12, seed=3)
    held_out = [f"u{row}" for row in sorted(np.random.default_rng(3).permutation(60)[:12])]
    assert list(theirs.users) == held_out
    assert set(train.users) | set(held_out) == set(ratings.users)
    assert train.n_users == 48
    assert train.items == theirs.items == ratings.items
    kept = ratings.to_frame().filter(pl.col("user").is_in(held_out))
    assert theirs.to_frame().equals(kept)
    assert train.to_frame().equals(ratings.to_frame().filter(~pl.col("user").is_in(held_out)))
    assert list(ratings.split_users(test_fraction=0.2, seed=3)[1].users) == held_out


@pytest.mark.parametrize("wanted", [{}, {"n_users": 3, "test_fraction": 0.1}, {"n_users": 0}, {"n_users": 60}])
def test_how_many_users_are_held_out_must_make_sense(ratings, wanted):
    with pytest.raises(cf.SettingError, match=r"n_users"):
        ratings.split_users(**wanted)


def test_items_are_held_out_whole_and_every_rating_is_in_one_part() -> None:
    ratings = cf.load_dataset("synthetic:60x40x600")
    train, new = ratings.split_items(test_fraction=0.25, seed=3)
    assert not set(train.items.ids) & set(new.items.ids)
    assert new.n_items == 10
    assert len(train) + len(new) == len(ratings)
    assert train.n_users == new.n_users == ratings.n_users
    held = np.random.default_rng(3).permutation(40)[:10]
    assert set(new.items.ids) == set(ratings.items.take(held))


def test_as_many_items_as_there_are_cannot_be_held_out() -> None:
    with pytest.raises(SettingError, match="n_items is 40"):
        cf.load_dataset("synthetic:60x40x600").split_items(n_items=40)
