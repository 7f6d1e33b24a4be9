"""The search of one query through vectors of one byte a number: the lists are those of brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from twins import as_lists, brute_force, drawn, problems

import cofactor.kernels.scan  # noqa: F401  (lists of one are searched for so where numba is loaded)
from cofactor.lists import coded
from cofactor.lists.retriever import ExactRetriever, Filter, Users


def one_by_one(users, items, n, offsets=None, excluded=None, candidates=None):
    """Return everybody's list, each asked for alone, as brute force gives them."""
    retriever = ExactRetriever(items)
    offsets = np.zeros(len(users)) if offsets is None else offsets
    found = []
    for row in range(len(users)):
        theirs = None if excluded is None else sparse.csr_array(excluded)
        chosen = Filter(candidates, None, theirs, None if theirs is None else np.array([row]))
        one = retriever.search(Users(users[[row]], None, offsets[row]), np.zeros(1, int), n, chosen)
        found += as_lists(one, 1)
    return found


@given(problems(), st.sampled_from([0, 1, 2, 10, 50, 300]))
@settings(max_examples=150, deadline=None)
def test_one_list_is_what_brute_force_finds(problem, n):
    users, items, offsets, excluded, candidates = problem
    few = slice(0, 8)
    ours = one_by_one(users[few], items, n, offsets[few], excluded[few], candidates)
    assert ours == brute_force(users[few], items, n, offsets[few], excluded[few], candidates)


def test_more_near_ties_than_there_is_room_for_are_all_looked_at():
    items = np.tile(drawn(1, 64), (5000, 1))
    items[4321] *= np.float32(1.0001)
    ours = one_by_one(drawn(0, 3, 64), items, 10)
    assert ours == brute_force(drawn(0, 3, 64), items, 10, np.zeros(3), np.zeros((3, 5000), bool), None)


@pytest.mark.parametrize("columns", [1, 31, 32, 33, 700])
def test_vectors_of_any_length_are_searched(columns):
    users, items = drawn(0, 4, columns), drawn(1, 900, columns)
    nothing = np.zeros((4, 900), bool)
    assert one_by_one(users, items, 10) == brute_force(users, items, 10, np.zeros(4), nothing, None)


def test_the_largest_whole_numbers_do_not_run_over():
    users, items = np.ones((2, 600), np.float32), np.ones((300, 600), np.float32)
    items[7], items[8] = 2, -2
    ours = one_by_one(users, items, 3)
    assert ours == brute_force(users, items, 3, np.zeros(2), np.zeros((2, 300), bool), None)


def test_what_the_rounding_lost_is_known():
    vectors = drawn(0, 50, 20) * np.linspace(0.01, 100, 50, dtype=np.float32)[:, None]
    rows = coded.coded(vectors)
    assert np.all(np.diff(rows.lengths) <= 0)
    again = rows.scales[:, None] * rows.codes[:, :20]
    assert np.allclose(np.linalg.norm(vectors[rows.rows] - again, axis=1), rows.lost, atol=1e-9)
    assert np.all(rows.lost <= 0.01 * rows.lengths)
    assert not rows.codes[:, 20:].any()


def test_a_single_list_reads_the_coded_vectors(monkeypatch):
    asked = []
    real = coded.search_one
    monkeypatch.setattr(coded, "search_one", lambda *given: asked.append(1) or real(*given))
    one_by_one(drawn(0, 2, 8), drawn(1, 100, 8), 5)
    assert len(asked) == 2
