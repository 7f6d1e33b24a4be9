"""Newcomers as people give them: values of zero, single ids, ids and values that are none."""

import numpy as np
import pytest

import cofactor as cf
from cofactor.model.factors import evolved
from cofactor.solvers import ALS, ImplicitALS


@pytest.fixture(scope="module")
def model():
    ratings = cf.load_dataset("synthetic:60x40x600")
    return ImplicitALS(rank=4, epochs=2, seed=0).fit(ratings.binary())


def test_a_value_of_zero_in_a_table_is_a_value_like_any_other(model):
    table = cf.Interactions.from_columns([900, 900, 901], [1, 2, 3], np.array([0.0, 1.0, 2.0]))
    from_table = model.fold_in(table)
    from_mapping = model.fold_in({900: {1: 0.0, 2: 1.0}, 901: {3: 2.0}})
    assert np.array_equal(from_table.user_vectors, from_mapping.user_vectors)
    assert from_table.seen.nnz == model.seen.nnz + 3


@pytest.mark.parametrize("side", ["user", "item"])
def test_a_negative_value_where_values_are_confidences_is_named_with_its_newcomer(model, side):
    fold_in = model.fold_in if side == "user" else model.fold_in_items
    with pytest.raises(cf.DataError, match="901 has a negative value: here values say how sure"):
        fold_in({900: {1: 1.0, 2: 1.0}, 901: {3: -2.0}})


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
