"""Popularity, BiasOnly and PureSVD beyond the contract."""

import numpy as np
import pytest

from cofactor.data.interactions import Interactions
from cofactor.evaluation import evaluate
from cofactor.solvers import BiasOnly, Popularity, PureSVD


def test_the_most_popular_items_come_first(ratings):
    model = Popularity().fit(ratings)
    counts = np.bincount(ratings.matrix.indices, minlength=ratings.n_items)
    order = np.lexsort((np.arange(ratings.n_items), -counts))
    lists = model.recommend(["u0"], n=5, exclude_seen=False)
    assert model.items.rows(lists["item"]).tolist() == order[:5].tolist()
    assert lists["score"].to_numpy() == pytest.approx(counts[order[:5]] / ratings.n_users)


def test_what_comes_later_is_as_popular_as_if_it_had_been_there(ratings):
    model = Popularity().fit(ratings)
    placed = model.fold_in_items({"new": dict.fromkeys(list(ratings.users)[:6], 5.0)})
    assert placed.item_bias[-1] == pytest.approx(6 / ratings.n_users)
    user, item = ratings.users[0], "fresh"
    updated = model.update(Interactions.from_columns([user], [item], np.array([4.0])))
    assert updated.item_bias[-1] == pytest.approx(1 / ratings.n_users)
    assert updated.item_bias[:-1] == pytest.approx(model.item_bias)


def test_biases_minimize_their_loss(ratings):
    model = BiasOnly(regularization=2.0, nu=0.0, epochs=60).fit(ratings)
    dense, known = ratings.matrix.toarray(), ratings.matrix.toarray() != 0
    error = np.where(known, dense - model.mean - model.user_bias[:, None] - model.item_bias, 0)
    assert error.sum(axis=1) == pytest.approx(2.0 * model.user_bias, abs=1e-3)  # the gradient is zero
    assert error.sum(axis=0) == pytest.approx(2.0 * model.item_bias, abs=1e-3)


def test_biases_alone_do_what_they_can_on_real_ratings(ml100k):
    train, test = ml100k.split_random(test_fraction=0.2, seed=0)
    assert evaluate(BiasOnly().fit(train), test)["mse"] < 0.89  # Surprise's baseline has 0.8842


def test_a_truncated_svd_is_the_best_of_its_rank(ratings):
    dense = ratings.matrix.toarray().astype(float)
    model = PureSVD(rank=5, values="as given").fit(ratings)
    left, sizes, right = np.linalg.svd(dense, full_matrices=False)
    best = (left[:, :5] * sizes[:5]) @ right[:5]
    assert model.user_vectors @ model.item_vectors.T == pytest.approx(best, abs=1e-3)


def test_a_rank_above_the_tables_is_filled_with_zeros(ratings):
    model = PureSVD(rank=60, values="as given").fit(ratings)
    assert model.user_vectors @ model.item_vectors.T == pytest.approx(ratings.matrix.toarray(), abs=1e-3)
    assert not model.item_vectors[:, 40:].any()


def test_a_folded_in_row_is_projected(ratings):
    model = PureSVD(rank=5).fit(ratings)
    folded = model.fold_in({user: {} for user in ratings.users})
    assert folded.user_vectors == pytest.approx(model.user_vectors, abs=1e-3)
