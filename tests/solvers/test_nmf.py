"""NMF beyond the contract: signs, objectives, real ratings."""

import dataclasses

import numpy as np
import pytest

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.evaluation import evaluate
from cofactor.solvers import ALS, NMF


@pytest.mark.parametrize("goal", ["rating", "ranking"])
def test_no_vector_has_a_negative_entry_and_the_objective_never_rises(ratings, goal):
    data = ratings if goal == "rating" else ratings.at_least(4).binary()
    model = NMF(rank=5, goal=goal, epochs=25).fit(data)
    assert model.user_vectors.min() >= 0
    assert model.item_vectors.min() >= 0
    assert model.user_vectors.max() > 0
    history = model.history["objective"]
    assert np.all(np.diff(history) <= 1e-6 * history[0])
    assert model.objective.goal == goal


def test_biases_may_be_negative(ratings):
    model = NMF(rank=3).fit(ratings)
    assert model.item_bias.min() < 0 < model.item_bias.max()


def test_newcomers_get_no_negative_entry_either(ratings):
    folded = NMF(rank=4).fit(ratings).fold_in({"visitor": {"i1": 1.0, "i2": 5.0, "i3": 1.0}})
    assert folded.user_vectors[-1].min() >= 0


def test_non_negative_vectors_of_non_negative_data_fit_it():
    random = np.random.default_rng(0)
    dense = random.random((30, 3)) @ random.random((3, 20)) * 2 + 1
    rows, columns = np.indices(dense.shape).reshape(2, -1)
    table = Interactions.from_columns(rows, columns, dense.ravel())
    model = NMF(rank=3, regularization=0.001, epochs=400).fit(table)
    assert model.history["mse"][-1] < 0.002


def test_negative_confidences_are_refused():
    with pytest.raises(cf.DataError, match="a value is negative"):
        NMF(goal="ranking", values="as given").fit(Interactions.from_columns(["a"], ["x"], np.array([-1.0])))


def test_values_count_alike_in_a_list_unless_they_are_to_be_taken_as_given(ratings):
    solver = NMF(rank=3, epochs=5, goal="ranking")
    alike, given = solver.fit(ratings), dataclasses.replace(solver, values="as given").fit(ratings)
    binary = NMF(rank=3, epochs=5, goal="ranking").fit(ratings.binary())
    assert np.array_equal(alike.user_vectors, binary.user_vectors)
    assert not np.array_equal(given.user_vectors, binary.user_vectors)
    assert np.array_equal(alike.seen.data, ratings.matrix.data)


def test_an_unknown_goal_is_named():
    with pytest.raises(cf.SettingError, match="goal='both'"):
        NMF(goal="both")


def test_the_defaults_do_well_on_real_ratings(ml100k):
    errors = []
    for seed in range(5):
        train, test = ml100k.split_random(test_fraction=0.2, seed=seed)
        errors.append(evaluate(NMF(seed=seed).fit(train), test)["mse"])
    assert np.mean(errors) <= 0.86


def test_a_model_with_negative_entries_can_still_be_a_start(ratings):
    start = ALS(rank=4, epochs=3).fit(ratings)
    assert NMF(rank=4, epochs=5).fit(ratings, start=start).user_vectors.min() >= 0
