"""Newcomers as people give them: values of zero, single ids, ids and values that are none."""

import dataclasses

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.model.factors import evolved, exact_of, has_history
from cofactor.solvers import ALS, NMF, ImplicitALS


@pytest.fixture(scope="module")
def model():
    ratings = cf.load_dataset("synthetic:60x40x600")
    return ImplicitALS(rank=4, epochs=2, values="as given", seed=0).fit(ratings.binary())


def test_a_value_of_zero_in_a_table_is_a_value_like_any_other(model):
    table = cf.Interactions.from_columns([900, 900, 901], [1, 2, 3], np.array([0.0, 1.0, 2.0]))
    from_table = model.fold_in(table)
    from_mapping = model.fold_in({900: {1: 0.0, 2: 1.0}, 901: {3: 2.0}})
    assert np.array_equal(from_table.user_vectors, from_mapping.user_vectors)
    assert from_table.seen.nnz == model.seen.nnz + 3


@pytest.mark.parametrize("side", ["user", "item"])
def test_a_negative_value_where_vectors_must_not_be_negative_is_named_with_its_newcomer(side):
    model = NMF(rank=3, epochs=2, goal="ranking", values="as given").fit(
        cf.load_dataset("synthetic:60x40x600").binary()
    )
    fold_in = model.fold_in if side == "user" else model.fold_in_items
    with pytest.raises(cf.DataError, match="901 has a negative value: here values say how sure"):
        fold_in({900: {1: 1.0, 2: 1.0}, 901: {3: -2.0}})


def test_a_newcomers_dislikes_lower_what_is_like_them(model):
    liking = model.place({900: {1: 1.0, 2: 1.0}})
    disliking = model.place({900: {1: 1.0, 2: 1.0, 3: -5.0}})
    ignoring = model.place({900: {1: 1.0, 2: 1.0, 3: 0.0}})
    by_hand = _placed_by_hand(model, [0, 1, 2], np.array([1.0, 1.0, -5.0]))
    assert disliking.user_vectors[0] == pytest.approx(by_hand, rel=1e-4)
    before, after = (placed.score([900], [3])[0] for placed in (ignoring, disliking))
    assert abs(after) < abs(before)
    assert liking.seen.nnz + 1 == disliking.seen.nnz


def test_a_newcomers_penalty_is_the_one_that_the_objective_names(model):
    met, rows = {900: {1: 1.0, 2: 2.0}}, [0, 1]
    assert model.objective.count_offset == 50
    placed = model.place(met).user_vectors[0]
    assert placed == pytest.approx(_placed_by_hand(model, rows, np.array([1.0, 2.0])), rel=1e-4)
    share = model.objective.unobserved_weight  # as in files of the time when it grew with the size of the other side
    earlier = evolved(model, objective=dataclasses.replace(model.objective, count_offset=0.0, count_share=share))
    offset = share * model.n_items
    by_hand = _placed_by_hand(model, rows, np.array([1.0, 2.0]), offset)
    assert earlier.place(met).user_vectors[0] == pytest.approx(by_hand, rel=1e-4)
    assert np.abs(earlier.place(met).user_vectors[0] - placed).max() > 1e-3


def _placed_by_hand(model, rows, values, offset=50):
    """The minimum of the weighted objective, in float64."""
    items, objective = model.item_vectors.astype(float), model.objective
    weights, targets = np.zeros(len(items)), np.zeros(len(items))
    weights[rows], targets[rows] = np.abs(values), values > 0
    penalty = objective.regularization * (len(rows) + offset) ** objective.nu
    matrix = objective.unobserved_weight * items.T @ items + (items.T * weights) @ items
    return np.linalg.solve(matrix + penalty * np.eye(items.shape[1]), items.T @ (weights * targets))


def test_the_shares_of_dislikes_lower_a_score_and_all_shares_make_it_up():
    ratings = cf.load_dataset("synthetic:60x40x600")
    matrix = ratings.matrix.copy()
    matrix.data[:] = np.where(matrix.data >= 4, 1.0, np.where(matrix.data <= 2, -1.0, 0.0))
    model = ImplicitALS(rank=4, epochs=200, seed=0, values="as given").fit(dataclasses.replace(ratings, matrix=matrix))
    user = _with_every_kind(model)
    item = model.recommend([user], n=1)["item"][0]
    shares = model.explain(user, item)
    own = shares.filter(pl.col("item").is_not_null())
    assert own["share"].sum() == pytest.approx(model.score([user], [item])[0], rel=1e-3)
    assert (own.filter(pl.col("value") == 0)["share"] == 0).all()
    disliked = own.filter(pl.col("value") < 0)
    for other, share in disliked.select("item", "share").iter_rows():
        toward = _effect(model, user, item, other)
        assert share == pytest.approx(-model.score([user], [other])[0] * toward, rel=1e-2, abs=1e-6)


def _with_every_kind(model):
    """A user who likes some items, dislikes some, saw some without either, and has not seen all."""
    for row in range(model.n_users):
        values = set(model.seen[[row]].data)
        if {-1.0, 0.0, 1.0} <= values and model.seen[[row]].nnz < model.n_items:
            return model.users.take([row])[0]
    raise AssertionError("no such user")


def _effect(model, user, item, other):
    """What a unit pull on one item adds to another's score, with the user's dislikes left out."""
    items, objective = model.item_vectors.astype(float), model.objective
    seen = model.seen[[int(model.users.rows([user])[0])]]
    likes = items[seen.indices[seen.data > 0]]
    penalty = objective.regularization * (np.count_nonzero(seen.data) + 50) ** objective.nu
    matrix = objective.unobserved_weight * items.T @ items + likes.T @ likes + penalty * np.eye(items.shape[1])
    here, there = (items[int(model.items.rows([one])[0])] for one in (item, other))
    return float(there @ np.linalg.solve(matrix, here))


def test_newcomers_without_their_names_are_refused(model):
    with pytest.raises(cf.DataError, match=r"list in place of newcomers: give a mapping, as \{'new': \['a'\]\}"):
        model.place([12, 13])


@pytest.mark.parametrize("given", ["12", 12])
def test_a_single_id_is_not_taken_for_many(model, given):
    with pytest.raises(
        cf.DataError, match=rf"what 'visitor' met came as one id, {given!r}: give a list, \[{given!r}\]"
    ):
        model.fold_in({"visitor": given})


@pytest.mark.parametrize("value", ["five", None, float("nan"), float("inf"), 1e39, 10**400])
def test_a_value_that_is_no_number_is_named_with_its_pair(model, value):
    with pytest.raises(cf.DataError, match=r"the value that 99 and 2 have together is .*: give a finite number"):
        model.fold_in({99: {1: 4.0, 2: value}})


def test_newcomers_of_two_types_are_an_error_of_ours(model):
    with pytest.raises(cf.DataError, match="user ids of type int and str cannot be used"):
        model.fold_in({"visitor": [1], 99: [2]})


def test_an_unknown_item_is_told_with_what_can_be_done_about_items(model):
    with pytest.raises(cf.UnknownIdError, match=r"unknown item 999: leave it out, or place it with fold_in_items\(\)"):
        model.similar_items(999)


def test_a_model_that_loses_its_biases_places_newcomers_without_them():
    biased = ALS(rank=3, epochs=2, seed=0).fit(cf.load_dataset("synthetic:60x40x600"))
    biased.fold_in({99: {1: 4.0}})  # makes the equations of users with a bias
    bare = evolved(biased, user_bias=None)
    assert bare.fold_in({99: {1: 4.0}}).user_vectors.shape == (61, 3)


def test_copies_with_the_same_items_share_what_a_search_makes_of_them(model):
    placed = model.place({99: [1, 2]})
    assert exact_of(placed) is exact_of(model) is exact_of(model.fold_in({98: [3]}))
    assert exact_of(model.fold_in_items({999: {int(model.users.ids[0]): 1.0}})) is not exact_of(model)


def test_users_with_history_are_told_whether_few_or_many_are_asked(model):
    everyone = model.fold_in({900: {1: 0.0}, 901: {}, 902: {2: 1.0}, **{user: {3: 1.0} for user in range(1000, 1300)}})
    rows = np.arange(everyone.n_users)
    told = has_history(everyone, rows)
    assert np.array_equal(told, [bool(has_history(everyone, rows[[row]])[0]) for row in rows])
    assert told[everyone.users.rows([900, 901, 902])].tolist() == [False, False, True]
    assert not len(has_history(everyone, rows[:0]))
