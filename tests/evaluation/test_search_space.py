"""Which settings are searched, and within which bounds."""

import pytest

import cofactor as cf
from cofactor.evaluation.search_space import Choices, Range, search_space, time_space, value_of
from cofactor.solvers import SOLVERS, solver_class
from cofactor.solvers.als import ALS, ImplicitALS
from cofactor.solvers.baselines import PureSVD

SEARCHED = {
    "keras": {"rank", "regularization", "bias_regularization", "nu", "learning_rate", "epochs"},
    "als": {"rank", "regularization", "bias_regularization", "nu", "epochs"},
    "implicit-als": {"rank", "regularization", "unobserved_weight", "nu", "epochs"},
    "nmf": {"rank", "regularization", "nu", "unobserved_weight", "epochs", "sweeps"},
    "bayesian": {"rank", "sweeps"},
    "svd": {"rank"},
    "popularity": set(),
    "bias": {"regularization", "nu", "epochs"},
}


@pytest.mark.parametrize("name", SEARCHED)
def test_what_is_searched_follows_from_the_fields(name):
    assert SEARCHED[name] <= set(search_space(solver_class(name)))


@pytest.mark.parametrize("name", SOLVERS)
def test_every_range_is_sound_and_what_it_holds_is_a_setting(name):
    kind = solver_class(name)
    space = search_space(kind)
    assert not {"seed", "method", "patience", "validation_fraction", "checkpoint"} & set(space)
    for field, given in space.items():
        assert isinstance(given, Range)
        assert given.low < given.high
        assert given.holds(value_of(kind(), field)), "the default is not in it"
        for end in (given.low, given.high):
            assert isinstance(end, int) or not given.whole
            assert getattr(kind(**{field: end}), field) == end


def test_where_a_setting_follows_from_another_it_is_searched_around_what_follows():
    keras = solver_class("keras")
    assert search_space(keras)["regularization"].holds(1.2)
    assert not search_space(keras(loss="bpr"))["regularization"].holds(1.2)
    assert search_space(keras(loss="bpr"))["regularization"].holds(0.1)


def test_numbers_that_span_magnitudes_are_searched_on_a_log_axis():
    space = search_space(ImplicitALS)
    assert space["rank"] == Range(16, 256, log=True, whole=True)
    assert space["regularization"].log
    assert space["nu"] == Range(0.0, 1.0)
    assert space["unobserved_weight"].high == 1.0


def test_what_is_given_takes_the_place_of_what_is_derived():
    keras = solver_class("keras")
    space = search_space(keras, {"rank": (8, 16), "biases": [True, False], "schedule": ["cosine", "constant"]}, ["nu"])
    assert space["rank"] == Range(8, 16, log=True, whole=True)
    assert space["biases"] == Choices((True, False))
    assert space["schedule"] == Choices(("cosine", "constant"))
    assert "nu" not in space
    assert search_space(ALS, {"nu": (0.2, 0.4)})["nu"] == Range(0.2, 0.4)
    assert not search_space(ALS, {"regularization": (0.0, 1.0)})["regularization"].log  # there is no log of 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"ranks": (1, 2)},
            "ALS has no setting 'ranks': it has item_features, user_features, half_life, rank, regularization",
        ),
        ({"rank": (16, 4)}, r"rank: \(16, 4\) is no range to search: a range of whole numbers \(low, high\) goes up"),
        ({"rank": (1.5, 4)}, "whole numbers"),
        ({"nu": (0.0, float("nan"))}, "no range"),
        ({"nu": 0.5}, r"nu: 0.5 is neither a range \(low, high\) nor a list"),
        ({"nu": [0.5]}, "list two or more"),
        ({"seed": (0, 9)}, "seed is not to be searched: it would pick a lucky number"),
        ({"epochs": [2, 3], "nu": (0, 1)}, "nu is both fixed and to be searched"),
    ],
)
def test_what_cannot_be_searched_is_named(given, message):
    with pytest.raises(cf.SettingError, match=message):
        search_space(ALS, given, fixed=["nu"] if "epochs" in given else [])


def test_a_choice_that_the_solver_does_not_have_is_refused():
    with pytest.raises(cf.SettingError, match="schedule: 'linear' is no choice: it must be 'cosine' or 'constant'"):
        search_space(solver_class("keras"), {"schedule": ["cosine", "linear"]})


def test_settings_of_time_are_searched_where_what_is_held_out_comes_later() -> None:
    assert set(time_space("time", 100 * 86_400)) == {"half_life", "trend", "recency", "trend_weight"}
    assert set(time_space("last", 100 * 86_400)) == {"recency"}
    assert not time_space("per-user", 100 * 86_400)


def test_no_half_life_is_tried_that_the_data_cannot_tell_from_none() -> None:
    lengths = time_space("rolling", 30 * 86_400)
    assert lengths["half_life"].values == (None, "3d", "7d", "14d")
    assert lengths["trend"].values[-1] == "5d"


def test_solvers_without_settings_of_time_are_searched_as_ever() -> None:
    assert search_space(PureSVD, also=time_space("time", 10**7)) == search_space(PureSVD)


def test_of_the_settings_of_time_those_are_searched_that_a_solver_has() -> None:
    assert set(search_space(ALS, also=time_space("time", 10**7))) == {*search_space(ALS), "half_life"}
