"""LogisticMF beyond the contract: what a score says, newcomers, the order of real lists."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from tablesupport import tribes

from cofactor.evaluation import evaluate_sampled
from cofactor.model.factors import score_rows
from cofactor.solvers import ALS, BPR, ImplicitALS, LogisticMF


def test_a_score_is_the_logit_of_being_a_chosen_example():
    train, _ = tribes(200, 100)
    model = LogisticMF(rank=4, learning_rate=0.05, negatives=2, epochs=60).fit(train)
    triplets, random = train.triplets(), np.random.default_rng(0)
    users = np.concatenate([triplets.user_rows, np.repeat(triplets.user_rows, 2)])
    items = np.concatenate([triplets.item_rows, random.integers(0, 100, 2 * len(train))])
    found = 1 / (1 + np.exp(-score_rows(model, users, items)))
    truth = np.arange(len(users)) < len(train)
    for low, high in ((0.0, 0.2), (0.4, 0.8)):
        inside = (found >= low) & (found < high)
        assert inside.sum() > 500
        assert found[inside].mean() == pytest.approx(truth[inside].mean(), abs=0.06)


def test_the_loss_falls():
    model = LogisticMF(rank=4, learning_rate=0.05).fit(tribes()[0])
    assert model.history["loss"][-1] < 0.8 * model.history["loss"][0]


def test_training_starts_from_models_with_and_without_biases(ratings):
    step = dataclasses.replace(LogisticMF(rank=3, epochs=1), learning_rate=1e-9)
    for other in (BPR(rank=3, epochs=2), ImplicitALS(rank=3, epochs=2), ALS(rank=3, epochs=2), LogisticMF(3, epochs=2)):
        known = other.fit(ratings)
        again = step.fit(ratings, start=known)
        assert again.item_vectors == pytest.approx(known.item_vectors, abs=1e-5)
        for side in ("user_bias", "item_bias"):
            old = getattr(known, side)
            assert getattr(again, side) == pytest.approx(0 if old is None else old, abs=1e-5)


def test_an_epoch_shows_the_model_as_it_is_then(ratings):
    shown = []
    model = LogisticMF(rank=3, epochs=3).fit(ratings, callback=lambda epoch: shown.append(epoch.model()))
    assert np.array_equal(shown[-1].user_vectors, model.user_vectors)
    assert not np.array_equal(shown[0].user_vectors, model.user_vectors)


def test_an_explanation_is_mostly_of_what_the_tribe_likes():
    train, _ = tribes()
    model = LogisticMF(rank=4, learning_rate=0.1).fit(train)
    user = train.users.ids[0]
    own, strange = (
        next(i for i in train.items.ids if i % 2 == side and i not in train.user_history(user)["item"])
        for side in (user % 2, 1 - user % 2)
    )
    of_own, of_strange = (
        model.explain(user, item).filter(pl.col("item").is_not_null())["share"] for item in (own, strange)
    )
    assert of_own.sum() > of_strange.sum() + 1


def test_the_defaults_rank_real_films_well_and_newcomers_like_those_trained_on(ml100k):
    train, test = ml100k.binary().split_last()
    model = LogisticMF().fit(train)
    reached = evaluate_sampled(model, test)
    assert reached["hit@10"] > 0.65
    assert reached["ndcg@10"] > 0.38
    again = model.fold_in(train)
    assert evaluate_sampled(again, test)["ndcg@10"] == pytest.approx(reached["ndcg@10"], abs=0.015)
