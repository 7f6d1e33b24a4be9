"""A training is tried on the newest ratings, beside a baseline and the model before it."""

import dataclasses

import numpy as np
import pytest

import cofactor as cf
from cofactor.evaluation import trial
from cofactor.model.origin import Origin, Trial
from cofactor.solvers import ALS, ImplicitALS


@pytest.fixture(scope="module")
def data():
    return cf.load_dataset("synthetic:200x80x4000")


@pytest.fixture(scope="module")
def timeless(data):
    return dataclasses.replace(data, timestamps=None)


class Watched:
    """A solver that keeps what it was given."""

    def __init__(self, solver):
        self.solver, self.given = solver, []

    def fit(self, train, **more):
        self.given.append(train)
        return self.solver.fit(train, **more)


def pairs(data):
    found = data.triplets()
    return set(zip(data.users.take(found.user_rows), data.items.take(found.item_rows), strict=True))


def test_a_worse_training_is_told_from_a_better_one(timeless):
    old, _ = timeless.split_random(test_fraction=0.2)
    before = ImplicitALS(rank=4, seed=0).fit(old)
    same = trial(ImplicitALS(rank=4, seed=0), timeless, before)
    bad = trial(ImplicitALS(rank=4, seed=0, unobserved_weight=1e-6, regularization=1e-4), timeless, before)
    assert (same.held_out, same.worse, bad.worse) == ("random", False, True)
    assert bad.difference[2] < 0 < bad.p_value < 0.05
    assert same.before == bad.before
    assert same.baseline == bad.baseline
    assert same.figure[1] < same.figure[0] < same.figure[2]


def test_errors_are_worse_where_they_are_larger(timeless):
    old, _ = timeless.split_random(test_fraction=0.2)
    before = ALS(rank=2, epochs=5).fit(old)
    assert trial(ALS(rank=2, epochs=5), timeless, before).metric == "rmse"
    assert trial(ALS(rank=2, epochs=5), timeless, before).worse is False
    assert trial(ALS(rank=20, epochs=5, regularization=1e-6), timeless, before).worse is True


def test_what_is_held_out_is_the_newest_of_what_the_model_before_does_not_have(data):
    old, news = data.split_by_time(test_fraction=0.2)
    before, solver = ImplicitALS(rank=4, seed=0).fit(old), Watched(ImplicitALS(rank=4, seed=0))
    found = trial(solver, data, before)
    (train,) = solver.given
    held_out = pairs(data) - pairs(train)
    assert found.held_out == "newest"
    assert held_out <= pairs(news)
    assert len(held_out) == min(len(news) // 2, round(0.1 * len(data)))
    cut = train.timestamps.max()
    kept = data.timestamps <= cut
    assert len(train) <= np.count_nonzero(kept)


def test_where_nothing_is_new_the_newest_tenth_is_measured_and_nothing_compared(data):
    found = trial(ImplicitALS(rank=4, seed=0), data, ImplicitALS(rank=4, seed=0).fit(data))
    assert found.before is None
    assert found.difference is None
    assert found.worse is False


def test_a_handful_of_ratings_says_nothing():
    assert trial(ImplicitALS(rank=2), cf.load_dataset("synthetic:10x8x40")) is None


def test_a_new_name_among_numbers_hinders_no_comparison(timeless):
    old, _ = timeless.split_random(test_fraction=0.2)
    names = [f"u{one}" if row == 5 else str(one) for row, one in enumerate(timeless.users)]
    renamed = dataclasses.replace(timeless, users=type(timeless.users)(names, kind="user"))
    assert trial(ImplicitALS(rank=4, seed=0), renamed, ImplicitALS(rank=4, seed=0).fit(old)).difference is not None


def test_a_trial_is_kept_in_the_models_file_and_one_that_lies_is_refused(data, tmp_path):
    model = ImplicitALS(rank=2, epochs=1).fit(data)
    found = trial(ImplicitALS(rank=2, epochs=1), data)
    kept = dataclasses.replace(model, origin=dataclasses.replace(model.origin, trial=found, asked_by="ann"))
    loaded = cf.load(kept.save(tmp_path / "m.safetensors"))
    assert (loaded.origin.trial, loaded.origin.asked_by) == (found, "ann")
    for lie in ({"figure": [1, 2]}, {"figure": [1, 2, "3"]}, {"n_test": 1.5}, {"worse": 1}, {"metric": 3}):
        with pytest.raises((TypeError, ValueError)):
            Origin(trial={**dataclasses.asdict(found), **lie})
    assert isinstance(Origin(trial=dataclasses.asdict(found)).trial, Trial)
