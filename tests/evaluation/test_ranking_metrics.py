"""Ranking metrics against a naive computation user by user, against ranx, and by hand."""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

import cofactor as cf
from cofactor.evaluation import evaluate, metrics
from cofactor.evaluation.metrics import LIST_METRICS, ItemPopularity
from cofactor.lists.rerank import Ranked
from cofactor.solvers import ALS, ImplicitALS, Popularity


def naive(items, wanted, k, popularity):
    """Return one user's metrics as the definitions have them."""
    hits = [item in wanted for item in items[:k]]
    places = [place for place, hit in enumerate(hits, start=1) if hit]
    gained = sum(1 / np.log2(place + 1) for place in places)
    best = sum(1 / np.log2(place + 1) for place in range(1, min(k, len(wanted)) + 1))
    return [
        gained / best,
        len(places) / k,
        len(places) / len(wanted),
        len(places) / min(k, len(wanted)),
        float(bool(places)),
        sum(sum(hits[:place]) / place for place in places) / len(wanted),
        1 / places[0] if places else 0.0,
        np.mean([popularity.surprise[item] for item in items[:k]]) if items else np.nan,
        np.mean([popularity.popular[item] for item in items[:k]]) if items else np.nan,
    ]


NAMES = [metric.name for metric in LIST_METRICS]


def measure(ranked, relevant, cut_offs, popularity):
    sums = metrics.list_sums(ranked, relevant, cut_offs, popularity)
    return metrics.list_metrics(sums, np.diff(relevant.indptr), cut_offs)


def made_up_lists(n_users, n_items, k, seed):
    """Return lists of up to ``k`` items, and a mask of what is relevant."""
    random = np.random.default_rng(seed)
    relevant = random.random((n_users, n_items)) < random.choice([0.1, 0.5], (n_users, 1))
    lists = [random.permutation(n_items)[: random.integers(0, min(k, n_items) + 1)].tolist() for _ in range(n_users)]
    return lists, relevant


def as_ranked(lists):
    users = np.repeat(np.arange(len(lists)), [len(items) for items in lists])
    items = np.array([item for items in lists for item in items], dtype=np.int64)
    return Ranked(users, items, np.zeros(len(items), np.float32))


@given(st.integers(1, 5), st.integers(1, 12), st.integers(1, 8), st.integers(0, 2**31))
@settings(deadline=None)
def test_metrics_are_those_of_the_definitions(n_users, n_items, k, seed):
    lists, relevant = made_up_lists(n_users, n_items, k, seed)
    counts = np.random.default_rng(seed).integers(0, n_users + 1, n_items)
    popularity, cut_offs = ItemPopularity.of(counts, n_users), np.unique([1, (k + 1) // 2, k])
    measured = measure(as_ranked(lists), sparse.csr_array(relevant), cut_offs, popularity)
    assert measured.shape == (len(cut_offs), len(LIST_METRICS), n_users)
    for user, items in enumerate(lists):
        wanted = set(np.flatnonzero(relevant[user]))
        for column, cut_off in enumerate(cut_offs):
            if wanted:
                expected = naive(items, wanted, cut_off, popularity)
                assert measured[column, :, user] == pytest.approx(expected, nan_ok=True)
            else:
                assert np.isnan(measured[column, :, user]).all()


RANX = """
import importlib.util, json, sys, types
import numpy as np
spec = importlib.util.find_spec("ranx")
package = types.ModuleType("ranx")  # the package itself loads data frames, plots and data sets
package.__path__ = list(spec.submodule_search_locations)
sys.modules["ranx"] = package
from ranx import metrics
lists, wanted, k = json.load(sys.stdin)
runs = [np.array([[item, -place] for place, item in enumerate(items)], float) for items in lists]
truth = [np.array([[item, 1] for item in items], float) for items in wanted]
names = {"precision": "precision", "recall": "recall", "hit": "hit_rate", "ndcg": "ndcg", "map": "average_precision",
         "mrr": "reciprocal_rank"}
print(json.dumps({ours: getattr(metrics, name)(truth, runs, k).tolist() for ours, name in names.items()}))
"""


def by_ranx(lists, wanted, k):
    if importlib.util.find_spec("ranx") is None:
        pytest.skip("ranx is not installed")
    plain = {**os.environ, "NUMBA_DISABLE_JIT": "1"}  # compiling it takes minutes
    told = subprocess.run(
        [sys.executable, "-c", RANX], input=json.dumps([lists, wanted, k]), env=plain, check=True, capture_output=True,
        text=True,
    )  # fmt: skip
    return json.loads(told.stdout)


@pytest.mark.parametrize("k", [1, 4, 10])
def test_metrics_are_those_of_ranx(k):
    """Users with fewer than k relevant items and with more, lists without a hit, lists that are too short."""
    lists, relevant = made_up_lists(60, 30, 10, seed=k)
    relevant[:, 0] |= ~relevant.any(axis=1)
    wanted = [np.flatnonzero(row).tolist() for row in relevant]
    assert min(map(len, wanted)) < k or k == 1
    assert min(map(len, lists)) < k < max(map(len, wanted))
    theirs = by_ranx([items or [1000] for items in lists], wanted, k)  # an empty list is none to ranx
    nothing = ItemPopularity(np.zeros(30), np.zeros(30))
    ours = measure(as_ranked(lists), sparse.csr_array(relevant), np.array([k]), nothing)
    for name, values in theirs.items():
        assert ours[0, NAMES.index(name)] == pytest.approx(values), name


def test_a_case_worked_by_hand():
    """Places 1 and 3 of five hit two of three relevant items; four users, of whom 4, 2, 1, 0 and 1 had the items."""
    popularity = ItemPopularity.of(np.array([4, 2, 1, 0, 1, 1]), 4)
    ranked, relevant = as_ranked([[0, 1, 2, 3, 4]]), sparse.csr_array(np.array([[1, 0, 1, 0, 0, 1]]))
    measured = measure(ranked, relevant, np.array([2, 5]), popularity)[:, :, 0]
    at_2, at_5 = (dict(zip(NAMES, row, strict=True)) for row in measured)
    assert at_2["recall"] == pytest.approx(1 / 3)
    assert at_2["capped_recall"] == 1 / 2
    assert at_5["ndcg"] == pytest.approx((1 + 0.5) / (1 + 1 / np.log2(3) + 0.5))
    assert at_5["map"] == pytest.approx((1 + 2 / 3) / 3)
    assert at_2["map"] == pytest.approx(1 / 3)  # by ranx and trec_eval; those who divide by min(k, R) have 1 / 2
    assert at_5["mrr"] == 1
    assert at_2["novelty"] == (0 + 1) / 2
    assert at_5["novelty"] == (0 + 1 + 2 + 2 + 2) / 5  # what nobody had counts as had by one
    assert at_5["popularity_share"] == 2 / 5  # a fifth of six items, rounded up: the first two


def test_how_unequally_items_are_listed():
    assert metrics.gini(np.array([3, 3, 3, 3])) == 0
    assert metrics.gini(np.array([0, 7, 0, 0])) == 1
    assert metrics.gini(np.array([1, 2, 3, 4])) == pytest.approx(1 / 3)
    assert metrics.gini(np.array([0, 0])) == metrics.gini(np.array([5])) == 0
    counts = metrics.listed_counts(as_ranked([[2, 0], [2]]), 2, 4, np.array([1, 2]))
    assert counts.tolist() == [[0, 0, 2, 0], [1, 0, 2, 0]]


def test_the_area_under_the_curve_is_mann_and_whitneys():
    random = np.random.default_rng(0)
    scores = random.integers(0, 6, (40, 25)).astype(np.float32)  # many ties
    kind = random.integers(0, 3, (40, 25))
    kind[0], kind[1] = 1, 0  # nothing relevant; nothing else left
    seen, relevant = sparse.csr_array(kind == 2), sparse.csr_array(kind == 0)
    measured = metrics.areas(scores, seen, relevant)
    assert np.isnan(measured[:2]).all()
    for user in range(2, 40):
        good, rest = scores[user, kind[user] == 0], scores[user, kind[user] == 1]
        expected = stats.mannwhitneyu(good, rest).statistic / (len(good) * len(rest))
        assert measured[user] == pytest.approx(expected)


def test_a_perfect_list_has_an_ndcg_of_one(ratings):
    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    dense = test.matrix.toarray() > 0
    oracle = cf.Factors.from_arrays(dense, np.eye(ratings.n_items), ratings.users, ratings.items, seen=train.matrix)
    measured = evaluate(oracle, test, k=[3, 40], also=["auc"])
    for name in ("ndcg@3", "ndcg@40", "recall@40", "map@40", "hit@3", "mrr@3", "capped_recall@3", "auc"):
        assert measured[name] == pytest.approx(1), name
    assert measured["recall@3"] < 1  # users have more than three


def test_each_kind_of_model_is_measured_by_what_it_is_for(ratings):
    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    ranker, rater = ImplicitALS(rank=4, epochs=3).fit(train), ALS(rank=4, epochs=3).fit(train)
    lists = {f"{name}@10" for name in (*NAMES, "coverage", "gini")}
    assert set(evaluate(ranker, test).metrics) == lists
    assert set(evaluate(rater, test).metrics) == {"mse", "rmse", "mae"}
    assert set(evaluate(rater, test, k=10).metrics) == {"mse", "rmse", "mae"} | lists
    assert set(evaluate(ranker, test, k=3).metrics) == {name.replace("10", "3") for name in lists}
    assert set(evaluate(ranker, test, k=(10, 3, 10)).metrics) == lists | {name.replace("10", "3") for name in lists}


@pytest.mark.parametrize("k", [0, -1, [5, 0], 2.5, True, [], "10"])
def test_lengths_that_are_none_are_refused(ratings, k):
    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    with pytest.raises(cf.SettingError, match="k is "):
        evaluate(Popularity().fit(train), test, k=k)


def test_lengths_do_not_depend_on_each_other(ratings):
    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    model = ImplicitALS(rank=4, epochs=3).fit(train)
    together = evaluate(model, test, k=[3, 10]).metrics
    assert together == {**evaluate(model, test, k=3).metrics, **evaluate(model, test, k=10).metrics}


def test_what_was_seen_in_training_is_never_ranked(ratings):
    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    favourite = cf.Factors.from_arrays(
        train.matrix.toarray() * 100, np.eye(ratings.n_items), ratings.users, ratings.items, seen=train.matrix
    )
    blind = dataclasses.replace(favourite, seen=sparse.csr_array(train.matrix.shape, dtype=np.float32))
    assert evaluate(favourite, test, k=5)["ndcg@5"] > evaluate(blind, test, k=5)["ndcg@5"]
    assert evaluate(favourite, test, also=["auc"])["auc"] == 0.5  # all that is left has the same score


def test_blocks_of_users_change_nothing(ratings, monkeypatch):
    from cofactor.evaluation import ranking
    from cofactor.lists import exact

    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    model = ALS(rank=4, epochs=3).fit(train)
    at_once = evaluate(model, test, k=[3, 10], also=["auc"])
    monkeypatch.setattr(ranking, "NUMBERS_AT_ONCE", 70)
    monkeypatch.setattr(exact, "SCORES_AT_ONCE", 70)
    in_blocks = evaluate(model, test, k=[3, 10], also=["auc"])
    assert in_blocks == at_once
    assert in_blocks.per_user.equals(at_once.per_user)


def test_known_figures_on_real_ratings(ml100k):
    train, test = ml100k.split_per_user(test_fraction=0.25, seed=42)
    popular = evaluate(Popularity().fit(train), test, k=10).metrics
    assert popular["ndcg@10"] == pytest.approx(0.248, abs=0.002)
    assert popular["precision@10"] == pytest.approx(0.227, abs=0.002)
    assert popular["recall@10"] == pytest.approx(0.111, abs=0.002)
    implicit = evaluate(ImplicitALS(seed=0).fit(train.binary()), test, k=10).metrics
    assert implicit["ndcg@10"] == pytest.approx(0.4856, abs=0.01)
    assert implicit["novelty@10"] > popular["novelty@10"]
    assert implicit["coverage@10"] > 5 * popular["coverage@10"]
    assert implicit["gini@10"] < popular["gini@10"]
