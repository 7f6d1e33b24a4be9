"""BPR beyond the contract: what has no pair, files, newcomers, the order of real lists."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from tablesupport import tribes

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.evaluation import evaluate
from cofactor.model.objectives import objective_from
from cofactor.solvers import ALS, BPR, ImplicitALS

QUICK = {"rank": 4, "learning_rate": 0.1, "regularization": 0.02}


def test_the_loss_falls_and_pairs_come_into_order():
    model = BPR(**QUICK, negatives=1).fit(tribes()[0])
    assert model.history["loss"][-1] < 0.7 * model.history["loss"][0]
    assert model.history["in_order"][-1] > 0.9 > model.history["in_order"][0]


def test_users_who_have_seen_everything_are_passed_over():
    pairs = Interactions.from_columns([0, 0, 0, 1, 1, 2], [0, 1, 2, 0, 1, 2], np.ones(6))
    model = BPR(rank=2, epochs=30, learning_rate=0.2).fit(pairs)
    assert model.recommend([0]).is_empty()
    assert np.isfinite(model.history["loss"]).all()
    everything = BPR(rank=2, epochs=3).fit(Interactions.from_columns([0, 0], [0, 1], np.ones(2)))
    assert everything.history["loss"] == (0.0, 0.0, 0.0)


def test_training_starts_from_models_with_and_without_item_biases(ratings):
    step = dataclasses.replace(BPR(rank=3, epochs=1), learning_rate=1e-9)
    own = BPR(rank=3, epochs=5).fit(ratings)
    assert step.fit(ratings, start=own).item_bias == pytest.approx(own.item_bias, abs=1e-5)
    implicit = ImplicitALS(rank=3, epochs=2).fit(ratings)
    assert step.fit(ratings, start=implicit).item_vectors == pytest.approx(implicit.item_vectors, abs=1e-5)
    with pytest.raises(cf.SettingError, match="and no biases"):
        step.fit(ratings, start=ALS(rank=3, epochs=2).fit(ratings))


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"negatives": 0}, "negatives is 0"),
        ({"negatives": 1.5}, r"negatives is 1\.5"),
        ({"learning_rate": "fast"}, "should be a number"),
    ],
)
def test_a_file_whose_steps_make_no_sense_is_refused(entry, says):
    with pytest.raises((TypeError, ValueError), match=says):
        objective_from({"kind": "pairwise", **entry})


def test_training_from_a_folder_gives_the_same_bits(tmp_path):
    train, _ = tribes()
    folder = train.write(tmp_path / "pairs")
    one, other = (BPR(rank=3, epochs=4).fit(data) for data in (train, Interactions.open(folder)))
    assert np.array_equal(one.item_vectors, other.item_vectors)


def test_an_explanation_is_mostly_of_what_the_user_chose():
    train, _ = tribes()
    model = BPR(**QUICK, negatives=1).fit(train)
    user = train.users.ids[0]
    item = model.recommend([user], n=1)["item"][0]
    explained = model.explain(user, item)
    of_items = explained.filter(pl.col("item").is_not_null())["share"]
    score, own_bias = float(model.score([user], [item])[0]), float(model.item_bias[model.items.rows([item])[0]])
    assert of_items.sum() == pytest.approx(score - own_bias, rel=0.25)
    assert (of_items > 0).mean() > 0.7


def test_the_defaults_rank_real_films_well_and_newcomers_like_those_trained_on(ml100k):
    train, test = ml100k.binary().split_per_user(test_fraction=0.25, seed=42)
    model = BPR().fit(train)
    reached = evaluate(model, test)["ndcg@10"]
    assert reached >= 0.47
    again = model.fold_in(train)
    assert evaluate(again, test)["ndcg@10"] == pytest.approx(reached, abs=0.015)
    cosines = np.einsum("uf,uf->u", model.user_vectors, again.user_vectors)
    cosines /= np.linalg.norm(model.user_vectors, axis=1) * np.linalg.norm(again.user_vectors, axis=1)
    assert cosines.mean() > 0.95
