"""Top n against a brute-force oracle, under ties, negative scores, biases, exclusions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from twins import as_lists, brute_force

from cofactor.lists import exact


@st.composite
def problems(draw):
    n_users, n_items, rank = draw(st.integers(1, 6)), draw(st.integers(1, 30)), draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    if draw(st.booleans()):  # few distinct values: many ties
        users, items = (random.integers(-2, 3, size=(n, rank)) for n in (n_users, n_items))
    else:
        users, items = (
            random.normal(scale=draw(st.sampled_from([1e-3, 1.0, 1e4])), size=(n, rank)) for n in (n_users, n_items)
        )
    offsets = random.normal(size=n_users) * draw(st.sampled_from([0.0, 1.0, 1e5]))
    excluded = random.random((n_users, n_items)) < draw(st.sampled_from([0.0, 0.4, 1.0]))
    candidates = np.flatnonzero(random.random(n_items) < 0.6) if draw(st.booleans()) else None
    return users.astype(np.float32), items.astype(np.float32), offsets, excluded, candidates


@given(problems(), st.integers(0, 40))
@settings(max_examples=300, deadline=None)
def test_top_n_is_what_brute_force_finds(problem, n):
    users, items, offsets, excluded, candidates = problem
    ranked = exact.top_n(users, items, n, offsets=offsets, excluded=sparse.csr_array(excluded), candidates=candidates)
    assert as_lists(ranked, len(users)) == brute_force(users, items, n, offsets, excluded, candidates)


def test_equal_scores_are_in_item_row_order():
    users, items = np.ones((1, 2), np.float32), np.ones((50, 2), np.float32)
    assert exact.top_n(users, items, 5).items.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("at_once", [1, 700, 10**9])
def test_the_block_size_does_not_change_the_lists(monkeypatch, at_once):
    random = np.random.default_rng(0)
    users, items = (random.normal(size=(n, 8)).astype(np.float32) for n in (30, 200))
    expected = exact.top_n(users, items, 10)
    monkeypatch.setattr(exact, "SCORES_AT_ONCE", at_once)
    got = exact.top_n(users, items, 10)
    assert np.array_equal(got.items, expected.items)
    assert np.array_equal(got.scores, expected.scores)


def test_near_ties_are_decided_by_the_definition_not_by_the_product():
    random = np.random.default_rng(1)
    base = random.normal(size=64).astype(np.float32)
    items = np.tile(base, (200, 1))
    items += random.normal(scale=1e-7, size=items.shape).astype(np.float32)
    users = random.normal(size=(3, 64)).astype(np.float32)
    got = as_lists(exact.top_n(users, items, 7), 3)
    assert got == brute_force(users, items, 7, np.zeros(3), np.zeros((3, 200), bool), None)


def test_nobody_and_nothing_give_empty_lists():
    nobody = exact.top_n(np.empty((0, 2), np.float32), np.ones((3, 2), np.float32), 2)
    nothing = exact.top_n(np.ones((3, 2), np.float32), np.empty((0, 2), np.float32), 2)
    assert len(nobody.items) == len(nothing.items) == 0
