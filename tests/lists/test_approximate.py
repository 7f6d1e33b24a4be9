"""Lists from a part of the items: what they hold is right, and how much they miss is what they say."""

import os
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from processes import python
from scipy import sparse

import cofactor as cf
from cofactor.lists import approximate
from cofactor.model import factors
from cofactor.model.factors import evolved, score_rows

pytest.importorskip("faiss", reason="the extra 'approximate' is not installed")


def clustered(seed=0, n_users=300, n_items=6000, columns=12, **more):
    random = np.random.default_rng(seed)
    tastes = random.normal(size=(30, columns))
    lengths = random.lognormal(sigma=0.7, size=(n_items, 1))
    items = lengths * (tastes[random.integers(30, size=n_items)] + 0.5 * random.normal(size=(n_items, columns)))
    users = tastes[random.integers(30, size=n_users)] + 0.5 * random.normal(size=(n_users, columns))
    seen = sparse.csr_array((random.random((n_users, n_items)) < 0.01).astype(np.float32))
    return cf.Factors.from_arrays(users, items, seen=seen, **more)


@pytest.fixture(scope="module")
def model():
    random = np.random.default_rng(1)
    return clustered(user_bias=random.normal(size=300), item_bias=random.normal(size=6000), mean=3.5)


@pytest.fixture(scope="module")
def quick(model):
    return model.approximate(recall=0.9)


def recall_of(quick, exact, users, n=10):
    """Count, user by user, the items of the exact list that the approximate one holds."""
    pairs = [set(model.recommend(users, n).select("user", "item").iter_rows()) for model in (quick, exact)]
    return len(pairs[0] & pairs[1]) / len(pairs[1])


def test_the_recall_that_it_states_is_the_one_that_it_has(model, quick):
    assert 0 < quick.retriever.probes < quick.retriever.clusters.nlist
    assert 0.85 < quick.recall < 1
    everyone = recall_of(quick, model, model.users)
    assert everyone == pytest.approx(quick.recall, abs=0.03)
    assert everyone < 1


def test_more_recall_is_had_by_reading_more(model, quick):
    better = model.approximate(recall=0.995)
    assert better.retriever.probes > quick.retriever.probes
    assert better.recall > quick.recall
    assert recall_of(better, model, model.users) > 0.98


def test_a_model_answers_exactly_until_told_otherwise(model, quick):
    assert model.recall == 1
    assert model.retriever is None
    assert evolved(quick, item_vectors=model.item_vectors * 2).recall == 1
    assert evolved(quick, user_vectors=model.user_vectors * 2).recall == quick.recall


def test_what_it_finds_is_scored_and_ordered_by_the_definition_and_never_seen(model, quick):
    found = quick.recommend(quick.users, n=10)
    users, items = found["user"].to_numpy(), found["item"].to_numpy()
    assert np.array_equal(found["score"].to_numpy(), score_rows(model, users, items))
    assert found.equals(found.sort(["user", "score", "item"], descending=[False, True, False]))
    assert not model.seen[users, items].any()
    assert found["user"].value_counts()["count"].to_list() == [10] * 300


def test_filters_long_lists_and_seen_items_that_fill_a_list_are_answered_exactly(model, quick, monkeypatch):
    some = model.users.ids[:40]
    for settings in ({"candidates": range(0, 6000, 7)}, {"exclude": [5]}, {"n": 5000}):
        assert quick.recommend(some, **settings).equals(model.recommend(some, **settings))
    monkeypatch.setattr(approximate, "LONGEST", 16)
    assert quick.recommend(some).equals(model.recommend(some))


def test_users_who_have_few_items_left_or_no_vector_are_answered_exactly():
    random = np.random.default_rng(0)
    users, items = random.normal(size=(4, 6)), random.normal(size=(3000, 6))
    users[3] = 0
    seen = np.ones((4, 3000))
    seen[0, ::1000] = 0  # three are left
    seen[1, 7] = 0
    seen[3, 1:] = 0
    exact = cf.Factors.from_arrays(users, items, seen=sparse.csr_array(seen))
    quick = exact.approximate(recall=0.5)
    assert quick.recommend(range(4)).equals(exact.recommend(range(4)))
    assert quick.recommend(range(4)).height == 3 + 1 + 0 + 10


def test_the_same_model_gives_the_same_index_on_one_thread_and_on_two():
    code = """
        import sys, numpy as np, faiss
        faiss.omp_set_num_threads(int(sys.argv[1]))
        from test_approximate import clustered
        quick = clustered().approximate(recall=0.9)
        print(quick.recall, quick.retriever.name, quick.recommend(quick.users).hash_rows(seed=0).sum())
    """
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    assert len({python(code, threads, PYTHONPATH=paths) for threads in (1, 2)}) == 1


def test_everyones_lists_come_from_the_same_index_and_parts_are_not_mixed_with_exact_ones(model, quick, tmp_path):
    path = tmp_path / "lists.parquet"

    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.recommend_all(path, progress=stop)
    quick.recommend_all(path)
    assert pl.read_parquet(path).equals(quick.recommend(quick.users))


def test_the_file_of_a_model_does_not_hold_the_index(quick, tmp_path):
    loaded = cf.load(quick.save(tmp_path / "model.safetensors"))
    assert loaded.recall == 1
    assert loaded.digest == quick.digest


@pytest.mark.parametrize("recall", [0, 1, 1.5, -0.1, "much"])
def test_a_recall_that_is_none_is_refused(model, recall):
    with pytest.raises(cf.SettingError, match="recall is"):
        model.approximate(recall=recall)


def test_a_model_of_nothing_or_of_ordered_levels_has_no_index(model, monkeypatch):
    with pytest.raises(cf.SettingError, match="needs users"):
        cf.Factors.from_arrays(np.empty((0, 2)), np.ones((3, 2))).approximate()
    monkeypatch.setattr(factors, "needs_every_draw", lambda _: True)
    with pytest.raises(cf.SettingError, match="no products"):
        model.approximate()


def test_without_faiss_the_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(cf.MissingExtraError, match=r"cofactor\[approximate\]"):
        model.approximate()
