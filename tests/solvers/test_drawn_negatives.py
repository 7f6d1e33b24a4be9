"""What BPR and LogisticMF have in common: they learn from what was chosen, beside what they draw of all else."""

import numpy as np
import pytest
from tablesupport import tribes

import cofactor as cf
from cofactor.evaluation import evaluate
from cofactor.solvers import BPR, LogisticMF, Popularity

each_solver = pytest.mark.parametrize("solver", [BPR, LogisticMF])
TASTEFUL = [
    *(BPR(rank=4, learning_rate=0.1, regularization=0.02, negatives=negatives) for negatives in (1, 4)),
    *(LogisticMF(rank=4, learning_rate=0.1, negatives=negatives) for negatives in (1, 8)),
]


@pytest.mark.parametrize("solver", TASTEFUL, ids=lambda solver: f"{type(solver).__name__}-{solver.negatives}")
def test_each_tribe_is_recommended_what_its_own_likes(solver):
    train, test = tribes()
    model = solver.fit(train)
    lists = model.recommend(train.users, n=5)
    assert (lists["user"] % 2 == lists["item"] % 2).mean() > 0.95
    assert evaluate(model, test)["ndcg@10"] > 1.3 * evaluate(Popularity().fit(train), test)["ndcg@10"]


@each_solver
def test_values_do_not_matter(solver, ratings):
    one, other = (solver(rank=3, epochs=5).fit(data) for data in (ratings, ratings.binary()))
    assert np.array_equal(one.user_vectors, other.user_vectors)
    assert np.array_equal(one.item_bias, other.item_bias)


@each_solver
def test_an_item_nobody_chose_stands_with_the_one_chosen_least(solver, ratings):
    train, _ = ratings.split_rows(np.flatnonzero(ratings.triplets().item_rows == 7))
    model = solver(rank=3, epochs=20).fit(train)
    assert model.item_bias[7] == np.delete(model.item_bias, 7).min()
    assert not model.item_vectors[7].any()


@each_solver
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"regularization": -0.1}, "regularization=-0.1"),
        ({"negatives": 0}, "negatives=0"),
        ({"negatives": 1.5}, "negatives=1.5"),
        ({"epochs": 0}, "epochs=0"),
        ({"rank": 0}, "rank=0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_a_setting_out_of_range_is_named(solver, settings, named):
    with pytest.raises(cf.SettingError, match=named):
        solver(**settings)


@each_solver
def test_steps_that_are_too_long_are_an_error(solver):
    with pytest.raises(cf.DataError, match="diverged"):
        solver(rank=2, learning_rate=1e3, epochs=50).fit(tribes()[0])
