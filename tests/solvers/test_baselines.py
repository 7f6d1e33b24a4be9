"""Popularity, BiasOnly and PureSVD beyond the contract."""

import dataclasses
import datetime

import numpy as np
import polars as pl
import pytest
from tablesupport import in_files

import cofactor as cf
from cofactor.data import array_store
from cofactor.data.interactions import Interactions
from cofactor.evaluation import evaluate
from cofactor.solvers import BiasOnly, Popularity, PureSVD


def test_the_most_popular_items_come_first(ratings):
    model = Popularity().fit(ratings)
    counts = np.bincount(ratings.matrix.indices, minlength=ratings.n_items)
    order = np.lexsort((np.arange(ratings.n_items), -counts))
    lists = model.recommend(["u0"], n=5, exclude_seen=False)
    assert model.items.rows(lists["item"]).tolist() == order[:5].tolist()
    assert lists["score"].to_numpy() == pytest.approx(counts[order[:5]] / ratings.n_users)


def test_what_comes_later_is_as_popular_as_if_it_had_been_there(ratings):
    model = Popularity().fit(ratings)
    placed = model.fold_in_items({"new": dict.fromkeys(list(ratings.users)[:6], 5.0)})
    assert placed.item_bias[-1] == pytest.approx(6 / ratings.n_users)
    user, item = ratings.users[0], "fresh"
    updated = model.update(Interactions.from_columns([user], [item], np.array([4.0])))
    assert updated.item_bias[-1] == pytest.approx(1 / ratings.n_users)
    assert updated.item_bias[:-1] == pytest.approx(model.item_bias)


DAY = 86_400
WEEK = datetime.timedelta(days=7)


@pytest.fixture(scope="module")
def plays():
    """Half a year of plays, some of value 0, in no particular order."""
    random = np.random.default_rng(0)
    pairs = random.permutation(60 * 40)[:900]
    times = 1_700_000_000 + random.integers(0, 180 * DAY, 900)
    return Interactions.from_columns(pairs // 40, pairs % 40, random.integers(0, 6, 900).astype(float), times)


def shares_by_polars(plays, weight):
    """Return each item's share by the definition: its weight over the sum of each user's greatest."""
    frame = plays.to_frame().with_columns(weight=pl.when(pl.col("value") > 0).then(weight).otherwise(0.0))
    most = frame.group_by("user").agg(pl.col("weight").max())["weight"].sum()
    shares = frame.group_by("item").agg(pl.col("weight").sum() / most)
    return dict(shares.iter_rows())


AGE = pl.col("timestamp").max() - pl.col("timestamp")


@pytest.mark.parametrize(
    ("solver", "weight"),
    [
        (Popularity(window="30d"), (AGE < 30 * DAY).cast(pl.Float64)),
        (Popularity(half_life="10d"), 0.5 ** (AGE / (10 * DAY))),
        (Popularity(half_life="10d", values="as given"), pl.col("value") * 0.5 ** (AGE / (10 * DAY))),
        (Popularity(window="30d", values="as given"), pl.col("value") * (AGE < 30 * DAY)),
        (Popularity(values="as given"), pl.col("value")),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_counts_is_the_share_of_late_by_the_definition(plays, solver, weight):
    bias = solver.fit(plays).item_bias
    shares = shares_by_polars(plays, weight)
    tie = 0.02 if solver.window and solver.values == "alike" else 2e-6
    assert bias == pytest.approx([shares[item] for item in plays.items], abs=tie)
    assert 0 <= bias.min() < bias.max() <= 1


def test_items_of_equal_counts_in_the_window_are_ordered_by_all_time(plays):
    frame = plays.to_frame().filter(pl.col("value") > 0)
    late = frame.filter(AGE < 7 * DAY).group_by("item").len("late")
    counts = frame.group_by("item").len("all").join(late, on="item", how="left").fill_null(0)
    expected = counts.sort(["late", "all", "item"], descending=[True, True, False])
    model = Popularity(window=WEEK).fit(plays)
    listed = model.recommend([plays.users[0]], n=40, exclude_seen=False)["item"]
    assert listed.to_list() == expected["item"].to_list()
    assert counts["late"].n_unique() > 3


def test_a_window_of_all_time_ranks_as_popularity_does(plays):
    ever, always = (solver.fit(plays) for solver in (Popularity(window="10000d"), Popularity()))
    lists = [model.recommend(list(plays.users), n=5)["item"].to_list() for model in (ever, always)]
    assert lists[0] == lists[1]


def test_late_popularity_within_a_limit_of_memory_is_the_same(plays, tmp_path):
    limited = dataclasses.replace(plays, array_store=array_store.Disk(tmp_path, 16_000_000))
    for solver in (Popularity(window=WEEK), Popularity(half_life="3d", values="as given")):
        with in_files(100):
            bias = solver.fit(limited).item_bias
        assert bias == pytest.approx(solver.fit(plays).item_bias, rel=1e-6)


def test_a_length_of_time_survives_the_models_file(plays, tmp_path):
    saved = Popularity(half_life=WEEK).fit(plays).save(tmp_path / "late.safetensors")
    assert cf.load(saved).origin.settings == {"window": None, "half_life": 604_800.0, "values": "alike"}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"window": "7 days"}, "window is '7 days': it must be a length of time above 0"),
        ({"half_life": -1}, "half_life is -1: it must be"),
        ({"window": "7d", "half_life": "7d"}, "either window=… or half_life=…, not both"),
        ({"values": "auto"}, "values='auto'.*'alike' or 'as given'"),
    ],
)
def test_settings_of_popularity_that_make_no_sense_are_refused(settings, says):
    with pytest.raises(cf.SettingError, match=says):
        Popularity(**settings)


def test_late_popularity_needs_times_and_something_in_the_window(plays):
    without = dataclasses.replace(plays, timestamps=None)
    for name in ("window", "half_life"):
        with pytest.raises(cf.DataError, match=rf"{name}='7d' needs the times.*\(time=…\)"):
            Popularity(**{name: "7d"}).fit(without)
    zero_at_the_end = Interactions.from_columns(["a", "b"], ["x", "y"], np.array([1.0, 0.0]), np.array([0, 9 * DAY]))
    with pytest.raises(cf.DataError, match="give a longer window"):
        Popularity(window="7d").fit(zero_at_the_end)
    with pytest.raises(cf.DataError, match="a value is negative"):
        Popularity(values="as given").fit(Interactions.from_columns(["a"], ["x"], np.array([-1.0])))


def test_biases_minimize_their_loss(ratings):
    model = BiasOnly(regularization=2.0, nu=0.0, epochs=60).fit(ratings)
    dense, known = ratings.matrix.toarray(), ratings.matrix.toarray() != 0
    error = np.where(known, dense - model.mean - model.user_bias[:, None] - model.item_bias, 0)
    assert error.sum(axis=1) == pytest.approx(2.0 * model.user_bias, abs=1e-3)  # the gradient is zero
    assert error.sum(axis=0) == pytest.approx(2.0 * model.item_bias, abs=1e-3)


def test_biases_alone_do_what_they_can_on_real_ratings(ml100k):
    train, test = ml100k.split_random(test_fraction=0.2, seed=0)
    assert evaluate(BiasOnly().fit(train), test)["mse"] < 0.89  # Surprise's baseline has 0.8842


def test_a_truncated_svd_is_the_best_of_its_rank(ratings):
    dense = ratings.matrix.toarray().astype(float)
    model = PureSVD(rank=5, values="as given").fit(ratings)
    left, sizes, right = np.linalg.svd(dense, full_matrices=False)
    best = (left[:, :5] * sizes[:5]) @ right[:5]
    assert model.user_vectors @ model.item_vectors.T == pytest.approx(best, abs=1e-3)


def test_a_rank_above_the_tables_is_filled_with_zeros(ratings):
    model = PureSVD(rank=60, values="as given").fit(ratings)
    assert model.user_vectors @ model.item_vectors.T == pytest.approx(ratings.matrix.toarray(), abs=1e-3)
    assert not model.item_vectors[:, 40:].any()


def test_a_folded_in_row_is_projected(ratings):
    model = PureSVD(rank=5).fit(ratings)
    folded = model.fold_in({user: {} for user in ratings.users})
    assert folded.user_vectors == pytest.approx(model.user_vectors, abs=1e-3)
