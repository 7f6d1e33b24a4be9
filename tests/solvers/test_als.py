"""ALS and ImplicitALS beyond the contract: objectives, exact fold-in, methods, memory, real ratings."""

import dataclasses
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tablesupport import table_from

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.data.preparation import Stars
from cofactor.evaluation import evaluate
from cofactor.model.factors import score_rows
from cofactor.model.least_squares import singular_values
from cofactor.solvers import ALS, ImplicitALS, Popularity
from cofactor.solvers.base import parted


@pytest.fixture(scope="module")
def likes(ratings):
    return ratings.at_least(4).binary()


@pytest.mark.parametrize("solver", [ALS(rank=5, epochs=25), ImplicitALS(rank=5, epochs=25, regularization=0.05)])
def test_the_reported_objective_never_rises(solver, ratings, likes):
    history = solver.fit(likes if isinstance(solver, ImplicitALS) else ratings).history["objective"]
    assert np.all(np.diff(history) <= 1e-9 * history[0])


def naive_objective(likes, model, solver):
    """The loss term by term, as the docstring of ImplicitALS has it."""
    scores = model.user_vectors.astype(float) @ model.item_vectors.astype(float).T
    values = likes.matrix.toarray()
    seen = values != 0
    total = np.sum(abs(values) * (scores - (values > 0)) ** 2) + solver.unobserved_weight * np.sum(scores**2)
    for vectors, counts in ((model.user_vectors, seen.sum(axis=1)), (model.item_vectors, seen.sum(axis=0))):
        scale = (counts + 50) ** solver.nu
        total += solver.regularization * np.sum(scale * (vectors.astype(float) ** 2).sum(axis=1))
    return total


def test_the_objective_is_the_one_that_is_documented(ratings):
    solver = ImplicitALS(rank=4, epochs=3, regularization=0.1, unobserved_weight=0.3, nu=0.7, values="as given")
    model = solver.fit(ratings)  # the values are confidences from 1 to 5
    assert model.history["objective"][-1] == pytest.approx(naive_objective(ratings, model, solver), rel=1e-5)


@pytest.fixture(scope="module")
def sparse():
    """Thirty rows a user and tens of thousands of items, most of which hardly anybody chose."""
    return cf.load_dataset("synthetic:2000x20000x60000")


def test_the_defaults_do_not_collapse_on_a_sparse_table(sparse):
    with warnings.catch_warnings():
        warnings.simplefilter("error", cf.CollapseWarning)
        model = ImplicitALS(epochs=8).fit(sparse)
    popular = Popularity().fit(sparse)
    lists = [m.recommend(list(sparse.users)[::4], n=10)["item"].n_unique() for m in (model, popular)]
    assert lists[0] > 3 * lists[1]
    values = singular_values(model.user_vectors, model.item_vectors)
    assert np.sum(values > 0.05 * values[0]) > 30


def test_a_model_that_has_collapsed_warns_with_what_to_do(sparse):
    with pytest.warns(cf.CollapseWarning, match=r"dimensions hold nearly everything.*less regularization \(it is 4\)"):
        model = ImplicitALS(epochs=8, regularization=4).fit(sparse)
    assert model.recommend(list(sparse.users)[::4], n=10)["item"].n_unique() < 100


def test_small_models_are_not_said_to_have_collapsed(likes):
    with warnings.catch_warnings():
        warnings.simplefilter("error", cf.CollapseWarning)
        ImplicitALS(rank=2, epochs=2).fit(likes)
        ImplicitALS(rank=16, epochs=2, regularization=100).fit(likes)


def test_every_method_comes_to_the_same_objective(likes):
    ends = [
        ImplicitALS(rank=70, epochs=60, method=method, regularization=0.1).fit(likes).history["objective"][-1]
        for method in ("cholesky", "cg", "block")
    ]
    assert ends == pytest.approx([ends[0]] * 3, rel=2e-3)


def test_at_convergence_fold_in_gives_exactly_the_trained_vectors(ratings, likes):
    for solver, data in ((ALS(rank=3, epochs=400), ratings), (ImplicitALS(rank=3, epochs=400), likes)):
        model = solver.fit(data)
        folded = model.fold_in({user: {} for user in data.users})  # by what the model has seen of them
        assert folded.user_vectors == pytest.approx(model.user_vectors, abs=2e-4)


def test_folding_in_interactions_is_folding_in_what_they_hold(ratings):
    model = ALS(rank=3).fit(ratings)
    frame = ratings.to_frame().head(30)
    some = Interactions.from_columns(frame["user"] + "x", frame["item"], frame["value"].to_numpy())
    by_table = model.fold_in(some)
    given = {}
    for user, item, value in zip(frame["user"], frame["item"], frame["value"], strict=True):
        given.setdefault(f"{user}x", {})[item] = value
    by_mapping = model.fold_in(given)
    strangers = sorted(given)
    assert by_table.recommend(strangers, n=5).equals(by_mapping.recommend(strangers, n=5))


def test_a_known_users_new_ratings_come_on_top_of_the_old(ratings):
    model = ALS(rank=3).fit(ratings)
    old = dict(zip(*(ratings.user_history("u1")[c].to_list() for c in ("item", "value")), strict=True))
    changed = {next(iter(old)): 1.0, "i39": 5.0}
    both = model.fold_in({"u1": changed})
    alone = model.fold_in({"copy": old | changed})
    pairs = list(ratings.items)
    assert both.score(["u1"] * len(pairs), pairs) == pytest.approx(alone.score(["copy"] * len(pairs), pairs))
    assert len(both.recommend(["u1"], n=99)) == ratings.n_items - len(old | changed)


def test_the_best_epoch_on_the_validation_part_is_kept(ratings):
    columns = ratings.triplets()
    noise = np.random.default_rng(1).normal(3, 1, len(ratings))  # nothing to learn: overfitting from the start
    table = Interactions.from_rows(ratings.users, ratings.items, columns.user_rows, columns.item_rows, noise)
    solver = ALS(rank=10, regularization=0.1, bias_regularization=0.1, epochs=40, validation_fraction=0.25, patience=3)
    model = solver.fit(table)
    errors = model.history["val_mse"]
    best = int(np.argmin(errors))
    assert len(errors) == best + 1 + 3 < 40
    part, held_out = table.split_random(test_fraction=0.25, seed=0)
    columns = held_out.triplets()
    error = np.mean((score_rows(model, columns.user_rows, columns.item_rows) - columns.values) ** 2)
    assert error == pytest.approx(errors[best], rel=1e-4)
    assert len(part) == 675


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_any_table_however_thin_is_learnt_from(n_users, n_items, rank, seed):
    random = np.random.default_rng(seed)
    dense = random.integers(0, 6, (n_users, n_items)) * (random.random((n_users, n_items)) < 0.5)
    dense[0, 0] = 3
    table = table_from(dense)
    for solver in (ALS(rank=rank, epochs=2), ImplicitALS(rank=rank, epochs=2)):
        model = solver.fit(table)
        assert np.isfinite(score_rows(model, *np.nonzero(dense))).all()


def test_a_singular_system_is_a_clear_error():
    table = Interactions.from_columns(["a", "a", "b"], ["x", "y", "x"], np.array([1.0, 2.0, 3.0]))
    with pytest.raises(cf.SettingError, match="singular: give a positive regularization"):
        ALS(rank=5, regularization=0, bias_regularization=0).fit(table)


def test_negative_values_are_confident_zeros(ratings):
    matrix = ratings.matrix.copy()
    matrix.data[:] = np.where(matrix.data >= 3, matrix.data / 3, -2.0)
    solver = ImplicitALS(rank=4, epochs=3, regularization=0.1, unobserved_weight=0.3, values="as given")
    signed = dataclasses.replace(ratings, matrix=matrix)
    model = solver.fit(signed)
    assert model.history["objective"][-1] == pytest.approx(naive_objective(signed, model, solver), rel=1e-5)
    plain = solver.fit(signed.at_least(0))
    rows, columns = (matrix < 0).nonzero()
    assert np.mean(score_rows(model, rows, columns) ** 2) < np.mean(score_rows(plain, rows, columns) ** 2)


def test_values_that_are_never_positive_are_refused():
    below = Interactions.from_columns(["a", "b"], ["x", "y"], np.array([0.0, -1.0]))
    with pytest.raises(cf.DataError, match="no value is above 0"):
        ImplicitALS(values="as given").fit(below)
    with pytest.raises(cf.DataError, match=r"a value is negative, which can mean .*values='as given'"):
        ImplicitALS().fit(below)


def test_stars_are_recognized_and_come_out_as_they_went_in(ratings):
    model, alike = (ImplicitALS(rank=4, epochs=3, values=values).fit(ratings) for values in ("auto", "alike"))
    assert np.array_equal(model.seen.data, ratings.matrix.data)
    stars = Stars.of(ratings.matrix.data)
    assert model.preparation == stars
    weighted = ratings.valued(stars.apply)
    by_hand = ImplicitALS(rank=4, epochs=3, values="as given").fit(weighted)
    assert np.array_equal(model.user_vectors, by_hand.user_vectors)
    assert not np.array_equal(model.user_vectors, alike.user_vectors)
    user = ratings.users[0]
    history = ratings.user_history(user)
    assert set(model.explain(user, model.recommend([user], n=1)["item"][0])["value"].drop_nulls()) == set(
        history["value"]
    )


def test_a_newcomer_and_an_update_with_stars_get_what_training_would_have_made_of_them(ratings):
    model = ImplicitALS(rank=4, epochs=30).fit(ratings)
    known = {user: dict(ratings.user_history(user).select("item", "value").iter_rows()) for user in ratings.users}
    placed = model.place({f"again {user}": history for user, history in known.items()})
    assert placed.user_vectors == pytest.approx(model.user_vectors, abs=2e-3)
    same = model.update(ratings)
    assert np.array_equal(same.seen.data, model.seen.data)
    assert same.preparation == model.preparation


def test_items_without_stars_are_average_choices_in_a_model_of_stars(ratings):
    model = ImplicitALS(rank=4, epochs=10).fit(ratings)
    alone = model.place({"v": ["i3", "i7"]})
    mean = float(ratings.matrix.data.mean())
    assert np.array_equal(alone.user_vectors, model.place({"v": {"i3": mean, "i7": mean}}).user_vectors)
    assert model.preparation.apply(np.array([model.preparation.choice])) == pytest.approx([1.0])
    with pytest.raises(
        cf.DataError, match=r"this model predicts ratings: give the rating of each item, such as \{'i3'"
    ):
        ALS(rank=2, epochs=2).fit(ratings).place({"v": ["i3", "i7"]})


def test_items_with_low_stars_are_seen_and_pushed_down(ratings):
    model = ImplicitALS(rank=4, epochs=10).fit(ratings)
    liked = {"i3": 5.0, "i7": 4.0}
    hated = model.place({"v": {**liked, "i9": 1.0}})
    ignored = model.place({"v": liked})
    assert hated.score(["v"], ["i9"])[0] < ignored.score(["v"], ["i9"])[0]
    assert "i9" not in hated.recommend(["v"], n=40)["item"]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: ALS(regularization=-1), "regularization=-1"),
        (lambda: ALS(patience=3), "needs a validation_fraction"),
        (lambda: ALS(validation_fraction=1.0), "less than 1"),
        (lambda: ImplicitALS(method="magic"), "method='magic'"),
        (lambda: ImplicitALS(unobserved_weight=float("nan")), "unobserved_weight=nan"),
    ],
)
def test_settings_that_make_no_sense_are_named(make, text):
    with pytest.raises(cf.SettingError, match=text):
        make()


def test_the_defaults_do_well_on_real_ratings(ml100k):
    reports = []
    for seed in range(5):
        train, test = ml100k.split_random(test_fraction=0.2, seed=seed)
        reports.append(evaluate(ALS(seed=seed).fit(train), test)["mse"])
    assert np.mean(reports) <= 0.822


def test_vectors_and_biases_are_parted_within_their_own_memory():
    table = np.arange(20_000 * 4, dtype=np.float32).reshape(20_000, 4)  # more rows than are moved at once
    before = table.copy()
    vectors, bias = parted(table)
    assert np.shares_memory(vectors, table)
    assert np.array_equal(vectors, before[:, :-1])
    assert np.array_equal(bias, before[:, -1])


def test_numbers_of_numpy_as_settings_are_kept_as_pythons(ratings, tmp_path):
    solver = ALS(rank=np.int64(3), regularization=np.float32(2), epochs=np.int16(2))
    assert [type(value) for value in (solver.rank, solver.regularization, solver.epochs)] == [int, float, int]
    model = solver.fit(ratings, checkpoint=tmp_path / "checkpoint")
    assert cf.load(model.save(tmp_path / "model.safetensors")).origin.settings["rank"] == 3
    assert ALS(rank=3, regularization=2.0, epochs=2).fit(ratings, checkpoint=tmp_path / "checkpoint").history
