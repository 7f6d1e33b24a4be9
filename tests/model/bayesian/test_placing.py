"""Newcomers in a model of draws, and what scores come from."""

import dataclasses

import numpy as np
import pytest
from scipy import sparse

import cofactor as cf
from cofactor.data.vocabulary import Vocabulary
from cofactor.model.bayesian import predictions
from cofactor.model.bayesian.packing import draws_of
from cofactor.model.bayesian.predictions import draw_signals, implicit_links, posterior_rows
from cofactor.model.bayesian.row_system import Ratings
from cofactor.model.factors import draws_needed, parameters_of, score_rows
from cofactor.model.uncertainty import score_with_spread
from cofactor.solvers.bayes import BayesianMF

LONG = BayesianMF(rank=3, sweeps=120, burn_in=40, n_samples=40)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "implicit"])
def model(ratings, request):
    return dataclasses.replace(LONG, svdpp=request.param).fit(ratings)


def place_users(model, table):
    found = model.objective.place(parameters_of(model), table, "user")
    return found.vectors, found.bias, found.extras


def place_items(model, table):
    found = model.objective.place(parameters_of(model), table, "item")
    return found.vectors, found.bias, found.extras


def with_users(model, placed):
    vectors, bias, extras = placed
    return dataclasses.replace(model, user_vectors=vectors, user_bias=bias, extras={**model.extras, **extras})


def all_scores(model):
    users, items = np.divmod(np.arange(model.n_users * model.n_items), model.n_items)
    return score_rows(model, users, items)


def test_training_users_are_placed_close_to_where_they_were_trained(model):
    trained, placed = all_scores(model), all_scores(with_users(model, place_users(model, model.seen)))
    assert np.sqrt(np.mean((placed - trained) ** 2)) < 0.2 * trained.std()


def test_training_items_are_placed_close_to_where_they_were_trained(model):
    vectors, bias, extras = place_items(model, model.seen.T.tocsr())
    changes = {"item_vectors": vectors, "item_bias": bias, "extras": {**model.extras, **extras}}
    trained, placed = all_scores(model), all_scores(dataclasses.replace(model, **changes))
    assert np.sqrt(np.mean((placed - trained) ** 2)) < 0.2 * trained.std()


def test_chance_on_one_side_does_not_go_with_chance_on_the_other(model):
    placed = with_users(model, place_users(model, model.seen))
    vectors, bias, extras = place_items(placed, model.seen.T.tocsr())
    changes = {"item_vectors": vectors, "item_bias": bias, "extras": {**placed.extras, **extras}}
    both = dataclasses.replace(placed, **changes)
    assert all_scores(both).mean() == pytest.approx(all_scores(model).mean(), abs=0.04)


def test_without_chance_a_row_is_the_mean_of_its_dense_regression(model):
    draws = draws_of(parameters_of(model))
    rows = Ratings.of(model.seen[:4])
    placed = posterior_rows(rows, draws.users, draws.items, draws, seed=0, spread=0.0)
    means = np.zeros((4, 40, 4)) + draws.users.mean
    for loadings in draws.users.loadings:
        means += implicit_links(rows, loadings)
    for row in range(4):
        part = slice(*rows.indptr[row : row + 2])
        columns = rows.indices[part]
        for draw in (0, 39):
            design = np.c_[draws.items.vectors[columns, draw] * np.sqrt(40.0), np.ones(len(columns))]
            targets = rows.values[part] - draws.mean - draws.items.bias[columns, draw]
            precision, weight = draws.users.precision[draw], 1.0
            for _ in range(3):
                scale = draws.noise[draw] * weight * draws.items.weights[columns, draw]
                matrix = precision + design.T @ (scale[:, None] * design)
                vector = np.linalg.solve(matrix, precision @ means[row, draw] + design.T @ (scale * targets))
                error = np.sum(draws.items.weights[columns, draw] * (targets - design @ vector) ** 2)
                freedom = draws.users.freedom[draw]
                weight = (freedom + len(columns)) / (freedom + draws.noise[draw] * error)
            np.testing.assert_allclose(placed.vectors[row, draw] * np.sqrt(40.0), vector[:-1], rtol=1e-2, atol=2e-3)
            assert placed.bias[row, draw] == pytest.approx(vector[-1], abs=2e-3)
            assert placed.weights[row, draw] == pytest.approx(weight, rel=1e-2)


def test_a_vector_depends_on_the_ratings_alone(model, monkeypatch):
    together, alone = place_users(model, model.seen), place_users(model, model.seen[[17]])
    assert all(np.array_equal(some[[17]], one) for some, one in zip(together[:2], alone[:2], strict=True))
    monkeypatch.setattr(predictions, "_ROWS_AT_ONCE", 7)
    in_parts = place_users(model, model.seen)
    assert all(np.array_equal(some, parts) for some, parts in zip(together[:2], in_parts[:2], strict=True))


def test_chance_leaves_the_mean_where_it_is(model):
    draws, rows = draws_of(parameters_of(model)), Ratings.of(model.seen)
    means = [posterior_rows(rows, draws.users, draws.items, draws, seed=1, spread=s).bias.mean(axis=1) for s in (0, 1)]
    np.testing.assert_allclose(*means, atol=0.05)


def test_newcomers_without_ratings_have_no_opinion_and_a_large_spread(model):
    vectors, bias, extras = place_users(model, sparse.csr_array((2, model.n_items), dtype=np.float32))
    assert not vectors.any()
    assert bias[0] == pytest.approx(bias[1], abs=1e-6)
    assert (extras["draws.users.bias"].std(axis=1) > 0).all()
    assert (extras["draws.users.weights"] > 0).all()


def test_more_ratings_leave_less_spread(model):
    spreads = []
    for count in (1, 4, 12):
        few = model.seen.tolil()
        for row in range(few.shape[0]):
            for column in few.rows[row][count:]:
                few[row, column] = 0
        few = sparse.csr_array(few)
        users, items = np.divmod(np.arange(model.n_users * model.n_items), model.n_items)
        spreads.append(
            score_with_spread(parameters_of(with_users(model, place_users(model, few))), users, items)[1].mean()
        )
    assert spreads[0] > spreads[1] > spreads[2] > 0


def test_newcomers_of_other_columns_are_refused(model):
    with pytest.raises(cf.DataError, match=r"columns, not 40"):
        place_users(model, sparse.csr_array((1, 3), dtype=np.float32))


def test_a_model_of_the_newcomers_alone_places_no_items(ratings):
    model = BayesianMF(rank=2, sweeps=12, burn_in=4, n_samples=4, svdpp=True).fit(ratings)
    vectors, bias, extras = place_users(model, model.seen[:2])
    ids = Vocabulary(["one", "two"], kind="user")
    changes = {"users": ids, "user_vectors": vectors, "user_bias": bias, "seen": model.seen[:2]}
    alone = dataclasses.replace(model, **changes, extras={**model.extras, **extras})
    assert (score_with_spread(parameters_of(alone), np.array([0, 1]), np.array([3, 3]))[1] > 0).all()
    with pytest.raises(cf.DataError, match="fold them into the whole model"):
        place_items(alone, alone.seen.T.tocsr())


def test_a_grown_model_scores_and_places_as_before(model):
    more = (3, 2)
    changes = {
        name: np.pad(getattr(model, name), [(0, extra)] + [(0, 0)] * (getattr(model, name).ndim - 1))
        for side, extra in zip(("user", "item"), more, strict=True)
        for name in (f"{side}_vectors", f"{side}_bias")
    }
    seen = model.seen.copy()
    seen.resize((model.n_users + 3, model.n_items + 2))
    grown = dataclasses.replace(
        model, users=Vocabulary(range(63), kind="user"), items=Vocabulary(range(42), kind="item"), seen=seen,
        extras=model.objective.grown(parameters_of(model), 63, 42), **changes,
    )  # fmt: skip
    pairs = np.arange(20), np.arange(20)
    for ours, theirs in zip(
        score_with_spread(parameters_of(model), *pairs), score_with_spread(parameters_of(grown), *pairs), strict=True
    ):
        np.testing.assert_allclose(ours, theirs)
    np.testing.assert_allclose(place_users(grown, seen)[0][:60], place_users(model, model.seen)[0])
    newest = sparse.csr_array(([5.0], [41], [0, 1]), shape=(1, 42))
    assert np.isfinite(place_users(grown, newest)[0]).all()


def naive_shares(draws, rows, values, user, item):
    """Split a score draw by draw: what each rating adds to the user's posterior mean, times the item's vector."""
    found = np.zeros(len(rows))
    for draw in range(40):
        vectors = np.c_[draws.items.vectors[:, draw] * np.sqrt(40.0), np.ones(len(draws.items.bias))]
        design, precision = vectors[rows], draws.users.precision[draw]
        scale = draws.noise[draw] * draws.users.weights[user, draw] * draws.items.weights[rows, draw]
        effect = np.linalg.solve(precision + design.T @ (scale[:, None] * design), vectors[item])
        found += scale * (values - draws.mean - draws.items.bias[rows, draw]) * (design @ effect)
        for loadings in draws.users.loadings:
            found += loadings[rows, draw] @ precision @ effect / np.sqrt(len(rows))
    return found / 40


def test_shares_are_what_each_rating_adds_to_the_posterior_mean(model):
    draws, user, item = draws_of(parameters_of(model)), 5, 7
    part = slice(*model.seen.indptr[user : user + 2])
    rows, values = model.seen.indices[part], model.seen.data[part].astype(float)
    found = model.objective.shares(parameters_of(model), rows, values, user, np.array([item]))[:, 0]
    assert found == pytest.approx(naive_shares(draws, rows, values, user, item), rel=1e-5, abs=1e-7)
    mean = draws.mean + (draws.items.bias[item] + draws.users.mean[:, -1]).mean()
    score = float(score_rows(model, np.array([user]), np.array([item]))[0])
    assert mean + found.sum() == pytest.approx(score, abs=0.5)  # the rest is what users have in common, and chance


def test_the_draws_of_a_model_are_views(model):
    draws = draws_of(parameters_of(model))
    assert np.shares_memory(draws.users.vectors, model.user_vectors)
    signals, precisions = draw_signals(draws, np.array([1]), np.array([2]))
    assert signals.shape == precisions.shape == (1, 40)


@pytest.mark.parametrize("name", ["draws.noise", "draws.users.bias", "draws.items.precision", "draws.cuts"])
def test_a_model_whose_draws_do_not_fit_is_refused(model, name):
    for wrong in ({}, {name: model.extras[name][1:]}, {name: model.extras[name].astype(np.float16)}):
        extras = {key: value for key, value in model.extras.items() if key != name} | wrong
        with pytest.raises(cf.DataError, match=name):
            draws_of(parameters_of(dataclasses.replace(model, extras=extras)))


def test_a_model_without_draws_says_so():
    plain = cf.Factors.from_arrays(np.eye(2), np.eye(2))
    with pytest.raises(cf.SettingError, match="train it with BayesianMF"):
        draws_needed(plain)
