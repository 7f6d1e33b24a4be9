"""Ranking metrics against a naive computation, user by user."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import cofactor as cf
from cofactor.evaluation import evaluate, metrics
from cofactor.model.retrieval import Ranked
from cofactor.solvers import ALS, ImplicitALS, Popularity


def naive(lists, relevant, k):
    """Return the metrics of each user with a relevant item, as the definitions have them."""
    rows = []
    for items, wanted in zip(lists, relevant, strict=True):
        if not wanted:
            continue
        hits = [item in wanted for item in items]
        gained = sum(hit / np.log2(place + 2) for place, hit in enumerate(hits))
        best = sum(1 / np.log2(place + 2) for place in range(min(k, len(wanted))))
        rows.append((sum(hits) / k, sum(hits) / len(wanted), float(any(hits)), gained / best))
    return np.array(rows).reshape(-1, 4)


@given(st.integers(1, 5), st.integers(1, 12), st.integers(1, 8), st.integers(0, 2**31))
@settings(deadline=None)
def test_metrics_are_those_of_the_definitions(n_users, n_items, k, seed):
    random = np.random.default_rng(seed)
    relevant = random.random((n_users, n_items)) < random.choice([0.1, 0.5])
    lists = [random.permutation(n_items)[: random.integers(0, min(k, n_items) + 1)].tolist() for _ in range(n_users)]
    ranked = Ranked(
        np.repeat(np.arange(n_users), [len(items) for items in lists]),
        np.array([item for items in lists for item in items], dtype=np.int64),
        np.zeros(sum(map(len, lists)), np.float32),
    )
    measured = metrics.ranking_metrics(ranked, sparse.csr_array(relevant), k)
    found = np.column_stack([measured[name] for name in ("precision", "recall", "hit", "ndcg")])
    assert np.isnan(found).all(axis=1).tolist() == (~relevant.any(axis=1)).tolist()
    expected = naive(lists, [set(np.flatnonzero(row)) for row in relevant], k)
    assert found[relevant.any(axis=1)] == pytest.approx(expected)


def test_a_perfect_list_has_an_ndcg_of_one(ratings):
    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    dense = test.matrix.toarray() > 0
    oracle = cf.Factors.from_arrays(dense, np.eye(ratings.n_items), ratings.users, ratings.items, seen=train.matrix)
    measured = evaluate(oracle, test, k=40).metrics
    assert measured["ndcg@40"] == pytest.approx(1)
    assert measured["recall@40"] == 1
    assert measured["hit@40"] == 1


def test_each_kind_of_model_is_measured_by_what_it_is_for(ratings):
    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    ranker, rater = ImplicitALS(rank=4, epochs=3).fit(train), ALS(rank=4, epochs=3).fit(train)
    lists = {"precision@10", "recall@10", "hit@10", "ndcg@10"}
    assert set(evaluate(ranker, test).metrics) == lists
    assert set(evaluate(rater, test).metrics) == {"mse", "rmse", "mae"}
    assert set(evaluate(rater, test, k=10).metrics) == {"mse", "rmse", "mae"} | lists
    assert set(evaluate(ranker, test, k=3).metrics) == {name.replace("10", "3") for name in lists}
    with pytest.raises(cf.SettingError, match="k is 0"):
        evaluate(ranker, test, k=0)


def test_what_was_seen_in_training_is_never_ranked(ratings):
    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    favourite = cf.Factors.from_arrays(
        train.matrix.toarray() * 100, np.eye(ratings.n_items), ratings.users, ratings.items, seen=train.matrix
    )
    blind = dataclasses.replace(favourite, seen=sparse.csr_array(train.matrix.shape, dtype=np.float32))
    assert evaluate(favourite, test, k=5)["ndcg@5"] > evaluate(blind, test, k=5)["ndcg@5"]


def test_known_figures_on_real_ratings(ml100k):
    train, test = ml100k.split_per_user(test_fraction=0.25, seed=42)
    popular = evaluate(Popularity().fit(train), test, k=10).metrics
    assert popular["ndcg@10"] == pytest.approx(0.248, abs=0.002)
    assert popular["precision@10"] == pytest.approx(0.227, abs=0.002)
    assert popular["recall@10"] == pytest.approx(0.111, abs=0.002)
    implicit = evaluate(ImplicitALS(seed=0).fit(train.binary()), test, k=10).metrics
    assert implicit["ndcg@10"] == pytest.approx(0.4856, abs=0.01)
