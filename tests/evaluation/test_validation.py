"""Held-out parts within the training data, metrics by name, and when to look at a training."""

import dataclasses

import numpy as np
import pytest
from tablesupport import row_pairs

import cofactor as cf
from cofactor.evaluation import evaluate
from cofactor.evaluation.tuning import Target, UnfitMetric, fitted_curve, looks, validation_parts
from cofactor.solvers.als import ALS, ImplicitALS
from cofactor.solvers.baselines import PureSVD


@pytest.mark.parametrize("split", ["per-user", "random"])
def test_parts_do_not_overlap_and_together_hold_out_all(ratings, split):
    parts = validation_parts(ratings, split, 0.2, 5, 3)
    held_out = [row_pairs(part) for _, part in parts]
    assert set.union(*held_out) == row_pairs(ratings)
    assert sum(map(len, held_out)) == len(ratings)
    for rest, part in parts:
        assert row_pairs(rest) == row_pairs(ratings) - row_pairs(part)


def test_the_first_part_per_user_is_that_of_the_split_of_that_name(ratings):
    (rest, held_out), _ = validation_parts(ratings, "per-user", 0.25, 2, 7)
    train, test = ratings.split_per_user(test_fraction=0.25, seed=7)
    assert row_pairs(rest) == row_pairs(train)
    assert row_pairs(held_out) == row_pairs(test)


def test_time_decides_where_it_is_asked_to(ratings):
    ((rest, held_out),) = validation_parts(ratings, "time", 0.2, 1, 0)
    assert rest.timestamps.max() < held_out.timestamps.min()
    ((_, last),) = validation_parts(ratings, "last", 0.2, 1, 0)
    assert np.diff(last.matrix.indptr).max() == 1


def test_how_many_parts_there_are_suits_the_split(ratings):
    counts = {
        split: len(validation_parts(ratings, split)) for split in ("per-user", "random", "rolling", "last", "time")
    }
    assert counts == {"per-user": 3, "random": 3, "rolling": 3, "last": 1, "time": 1}


def test_rolling_parts_hold_the_share_together_or_last_as_long_as_is_said(ratings):
    shares = validation_parts(ratings, "rolling", 0.3)
    assert sum(len(held_out) for _, held_out in shares) == pytest.approx(0.3 * len(ratings), abs=1)
    for parts, length in ((shares, 90), (validation_parts(ratings, "rolling", folds=2, horizon="50s"), 50)):
        for rest, held_out in parts:
            assert rest.timestamps.max() < held_out.timestamps.min()
            assert held_out.timestamps.max() - rest.timestamps.max() == pytest.approx(length, abs=1)
        assert parts[-1][1].timestamps.max() == ratings.timestamps.max()


def test_rolling_parts_need_times_and_a_stretch(ratings):
    with pytest.raises(cf.DataError, match="needs timestamps"):
        validation_parts(dataclasses.replace(ratings, timestamps=None), "rolling")
    with pytest.raises(cf.DataError, match=r"happened at one moment: say how long.*horizon=…"):
        validation_parts(dataclasses.replace(ratings, timestamps=np.zeros(len(ratings))), "rolling")
    with pytest.raises(cf.SettingError, match="horizon is '9d': it is for the split 'rolling', not for 'time'"):
        validation_parts(ratings, "time", horizon="9d")


@pytest.mark.parametrize(
    ("split", "fraction", "folds", "message"),
    [
        ("weekly", 0.2, 1, "unknown split 'weekly': choose one of per-user, random, last, time, rolling"),
        ("time", 0.2, 3, "folds is 3: it must be 1 with split='time'; 'rolling' has several parts by date"),
        ("rolling", 0.2, 0, "folds is 0: it must be at least 1"),
        ("last", 0.2, 2, "folds is 2: it must be 1 with split='last'"),
        ("random", 0.2, 0, "folds is 0: it must be at least 1"),
        ("per-user", 0.0, 1, "validation_fraction is 0: it must lie between 0 and 1"),
        ("time", 1.5, 1, r"validation_fraction is 1\.5: it must lie between 0 and 1"),
        ("random", 0.3, 4, "4 parts of 0.3 each exceed the whole"),
        ("random", 0.0, 1, "must lie between 0 and 1"),
    ],
)
def test_parts_that_cannot_be_are_refused(ratings, split, fraction, folds, message):
    with pytest.raises(cf.SettingError, match=message):
        validation_parts(ratings, split, fraction, folds, 0)


def test_too_few_ratings_to_hold_any_out(ratings):
    with pytest.raises(cf.DataError, match="1 interactions are too few"):
        validation_parts(ratings.split_rows([5])[1], "random", 0.2, 1, 0)


def test_the_name_of_a_metric_tells_which_way_is_better():
    assert Target.of("ndcg@10") == Target("ndcg@10", 10, maximize=True)
    assert Target.of("auc").maximize
    assert Target.of("rmse") == Target("rmse", None, maximize=False)
    assert Target.of("recall@20").best([1.0, 3.0, 2.0]) == 3.0
    assert Target.of("mae").best([1.0, 3.0, 2.0]) == 1.0


@pytest.mark.parametrize("solver", [ImplicitALS(rank=2, epochs=1), ALS(rank=2, epochs=1)])
def test_the_auc_is_measured_where_it_is_asked_for(ratings, solver):
    train, test = ratings.split_random(test_fraction=0.2, seed=0)
    model = solver.fit(train)
    assert Target.of("auc").measure(model, test) == evaluate(model, test, also=["auc"])["auc"]


@pytest.mark.parametrize("name", ["ndgc@10", "ndcg", "ndcg@0", "ndcg@x", "rmse@10", ""])
def test_an_unknown_metric_is_refused(name):
    with pytest.raises(cf.SettingError, match="unknown metric"):
        Target.of(name)


def test_a_metric_that_does_not_fit_the_goal_is_refused(ratings):
    train, test = ratings.split_random(test_fraction=0.2, seed=0)
    message = "ImplicitALS makes models for ranking, and 'rmse' does not measure those"
    with pytest.raises(cf.SettingError, match=message):
        Target.of("rmse").check_fits(ImplicitALS())
    Target.of("ndcg@10").check_fits(ALS())
    with pytest.raises(UnfitMetric, match=message):
        Target.of("rmse").measure(ImplicitALS(rank=2, epochs=1).fit(train), test)


def test_looks_come_further_and_further_apart():
    assert looks(1) == [1]
    assert looks(32) == [1, 2, 3, 4, 6, 9, 13, 19, 28, 32]
    assert len(looks(1000)) < 20


def test_a_curve_is_what_shorter_trainings_reach(ratings):
    train, test = ratings.split_random(test_fraction=0.2, seed=0)
    told = {}
    curve = fitted_curve(ALS(rank=3, epochs=6), (train, test), Target.of("rmse"), {2, 4}, told.__setitem__)
    assert list(curve) == [2, 4, 6]
    assert told == curve
    for epochs, value in curve.items():
        assert value == evaluate(ALS(rank=3, epochs=epochs).fit(train), test)["rmse"]


def test_a_solver_without_epochs_has_a_curve_of_one_point(ratings):
    train, test = ratings.split_random(test_fraction=0.2, seed=0)
    curve = fitted_curve(PureSVD(rank=3), (train, test), Target.of("ndcg@5"), {1, 2})
    assert curve == {0: evaluate(PureSVD(rank=3).fit(train), test, k=5)["ndcg@5"]}
