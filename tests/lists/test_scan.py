"""The scan by falling norm against a brute-force oracle: whatever the shape, it finds the same lists."""

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import python
from scipy import sparse
from twins import as_lists, brute_force, drawn, problems

import cofactor as cf
from cofactor.kernels.scores import CHUNK
from cofactor.lists import exact
from cofactor.lists.index import build, search
from cofactor.model.factors import evolved, exact_of


def scanned(users, items, n, offsets=None, excluded=None, candidates=None, rows=None):
    index = build(items)
    return exact.top_n(
        users,
        items,
        n,
        offsets=offsets,
        excluded=None if excluded is None else sparse.csr_array(excluded),
        excluded_rows=rows,
        candidates=candidates,
        index=lambda: index,
    )


@given(problems(), st.sampled_from([0, 1, 2, 10, 50, 300]))
@settings(max_examples=400, deadline=None)
def test_a_scan_finds_what_brute_force_finds(problem, n):
    users, items, offsets, excluded, candidates = problem
    ranked = scanned(users, items, n, offsets, excluded, candidates)
    assert as_lists(ranked, len(users)) == brute_force(users, items, n, offsets, excluded, candidates)


@given(problems(), st.sampled_from([1, 2, 10, 50]), st.booleans())
@settings(max_examples=200, deadline=None)
def test_few_candidates_have_an_index_of_their_own_and_the_lists_are_the_same(problem, n, shuffled):
    users, items, offsets, excluded, _ = problem
    candidates = np.arange(0, len(items), 4)
    rows = np.random.default_rng(n).permutation(len(users)) if shuffled else None
    theirs = excluded if rows is None else excluded[np.argsort(rows)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(exact, "OWN_INDEX_FROM", 1)
        ranked = scanned(users, items, n, offsets, theirs, candidates, rows)
    assert as_lists(ranked, len(users)) == brute_force(users, items, n, offsets, excluded, candidates)


@pytest.mark.parametrize("n", [1, 10, 100])
def test_shorter_items_that_point_the_right_way_are_found_behind_longer_ones(n):
    askew = 1.05 * np.tile([0.9, 0.19**0.5], (300, 1))  # longer, yet of a lower score
    straight = np.outer(1 - 1e-4 * np.arange(300), [1, 0])
    ranked = scanned(np.float32([[1, 0]] * 2), np.vstack([askew, straight]).astype(np.float32), n)
    assert ranked.items.tolist() == list(range(300, 300 + n)) * 2


@pytest.mark.parametrize("columns", [1, 16, 33])
def test_many_items_and_users_get_what_multiplication_gives(columns):
    users, items = (
        drawn(0, 700, columns),
        drawn(1, 3000, columns) * np.linspace(0.1, 3, 3000, dtype=np.float32)[:, None],
    )
    excluded = np.random.default_rng(2).random((700, 3000)) < 0.05
    ours = scanned(users, items, 10, excluded=excluded)
    theirs = exact.top_n(users, items, 10, excluded=sparse.csr_array(excluded))
    for name in ("users", "items", "scores"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name))


def test_near_ties_are_decided_by_the_definition():
    users = drawn(0, 5, 64)
    items = np.tile(drawn(1, 64), (300, 1)) + np.random.default_rng(2).normal(scale=1e-7, size=(300, 64)).astype(
        np.float32
    )
    nothing = np.zeros((5, 300), bool)
    assert as_lists(scanned(users, items, 7), 5) == brute_force(users, items, 7, np.zeros(5), nothing, None)


def test_a_user_with_more_ties_than_the_buffer_holds_is_given_up_by_the_scan_and_served_all_the_same():
    users, items = drawn(0, 3, 8), np.tile(drawn(1, 8), (1000, 1))
    users[1] = 0
    assert search(build(items), users, 5, np.zeros(3), None, None, None).counts.tolist() == [-1, 5, -1]
    excluded = np.zeros((3, 1000), bool)
    excluded[0, 1] = excluded[1, 0] = True
    ranked = scanned(users, items, 5, excluded=excluded)
    assert ranked.items.tolist() == [0, 2, 3, 4, 5, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4]


def test_a_user_without_a_vector_gets_the_first_items_in_row_order():
    items = drawn(0, 500, 4)
    ranked = scanned(np.zeros((1, 4), np.float32), items, 3, np.array([2.5]), candidates=np.arange(7, 500, 3))
    assert ranked.items.tolist() == [7, 10, 13]
    assert ranked.scores.tolist() == [2.5] * 3


@pytest.mark.parametrize("n_items", [1, CHUNK - 1, CHUNK, CHUNK + 1])
def test_no_columns_at_all_are_all_ties(n_items):
    ranked = scanned(np.empty((2, 0), np.float32), np.empty((n_items, 0), np.float32), 5)
    assert ranked.items.tolist() == list(range(min(5, n_items))) * 2


def test_nobody_and_nothing_give_empty_lists():
    assert len(scanned(np.empty((0, 2), np.float32), np.ones((3, 2), np.float32), 2).items) == 0
    assert len(scanned(np.ones((3, 2), np.float32), np.empty((0, 2), np.float32), 2).items) == 0


def test_exclusions_may_be_rows_of_a_larger_matrix_in_any_order():
    users, items, rows = drawn(0, 20, 5), drawn(1, 150, 5), np.array([7, 3, 3, 19])
    excluded = np.random.default_rng(2).random((20, 150)) < 0.5
    for ties in (1, 0):  # multiplication serves the second: all items are one
        items = items if ties else np.tile(items[:1], (1000, 1))
        marks = excluded if ties else np.hstack([excluded] * 7)[:, :1000]
        got = scanned(users[rows], items, 6, excluded=marks, rows=rows)
        assert as_lists(got, 4) == brute_force(users[rows], items, 6, np.zeros(4), marks[rows], None)


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_threads_do_not_change_a_bit(monkeypatch, threads):
    users, items = drawn(0, 500, 12), drawn(1, 2000, 12)
    expected = scanned(users, items, 10)
    monkeypatch.setattr(numba, "get_num_threads", lambda: threads)
    got = scanned(users, items, 10)
    assert np.array_equal(got.items, expected.items)
    assert np.array_equal(got.scores, expected.scores)


def test_concurrent_callers_do_not_disturb_each_other():
    users, items = drawn(0, 400, 12), drawn(1, 2000, 12)
    excluded = sparse.csr_array(np.random.default_rng(2).random((400, 2000)) < 0.2)
    index = build(items)

    def ask(k):
        part = slice(10 * k, 10 * k + 300)
        return exact.top_n(users[part], items, 10, excluded=excluded[part], index=lambda: index)

    alone = [ask(k) for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(ask, list(range(8)) * 5))
    for k, ranked in enumerate(together):
        assert np.array_equal(ranked.items, alone[k % 8].items)
        assert np.array_equal(ranked.scores, alone[k % 8].scores)


def test_a_model_keeps_its_index_until_its_items_change():
    model = cf.Factors.from_arrays(drawn(0, 30, 4), drawn(1, 50, 4), item_bias=drawn(2, 50))
    index = exact_of(model).index
    assert exact_of(model).index is index
    assert exact_of(evolved(model, user_vectors=drawn(3, 30, 4))).index is index
    assert exact_of(evolved(model, item_bias=drawn(4, 50))).index is not index


def test_a_model_that_scans_recommends_what_one_that_multiplies_does(monkeypatch):
    random = np.random.default_rng(0)
    seen = sparse.csr_array((random.random((60, 500)) < 0.3).astype(np.float32))
    model = cf.Factors.from_arrays(
        drawn(0, 60, 4), drawn(1, 500, 4), user_bias=drawn(2, 60), item_bias=drawn(3, 500), mean=3.5, seen=seen
    )
    scans = model.recommend(model.users, n=7, exclude=[3, 5])
    monkeypatch.setattr(exact, "scan_pays", lambda *_: False)
    assert scans.equals(model.recommend(model.users, n=7, exclude=[3, 5]))


@given(st.integers(0, 2**32), st.sampled_from([1, 3]), st.sampled_from([0.0, -50.0]))
@settings(max_examples=50, deadline=None)
def test_a_model_with_biases_ties_and_negative_scores_recommends_what_brute_force_finds(seed, spread, mean):
    random = np.random.default_rng(seed)
    users, items = random.integers(-spread, spread + 1, (9, 3)), random.integers(-spread, spread + 1, (150, 3))
    user_bias, item_bias = random.integers(-2, 3, 9), random.integers(-2, 3, 150)
    seen = random.random((9, 150)) < 0.3
    model = cf.Factors.from_arrays(
        users,
        items,
        user_bias=user_bias,
        item_bias=item_bias,
        mean=mean,
        seen=sparse.csr_array(seen.astype(np.float32)),
    )
    _ = exact_of(model).index
    found = model.recommend(range(9), n=12)
    keys, queries = np.column_stack([items, item_bias]), np.column_stack([users, np.ones(9)])
    expected = brute_force(queries.astype(np.float32), keys.astype(np.float32), 12, mean + user_bias, seen, None)
    lists = [list(found.filter(found["user"] == user).select("item", "score").iter_rows()) for user in range(9)]
    assert lists == expected


@given(st.sampled_from([np.inf, -np.inf, np.nan]), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_what_is_not_finite_is_refused_wherever_it_stands(bad, seed):
    random = np.random.default_rng(seed)
    arrays = {
        "user_vectors": random.normal(size=(5, 3)),
        "item_vectors": random.normal(size=(70, 3)),
        "user_bias": random.normal(size=5),
        "item_bias": random.normal(size=70),
    }
    where = random.choice(list(arrays))
    arrays[where].flat[random.integers(arrays[where].size)] = bad
    with pytest.raises(cf.DataError, match=f"{where} has a value that is not finite"):
        cf.Factors.from_arrays(**arrays)
    with pytest.raises(cf.DataError, match="mean is"):
        cf.Factors.from_arrays(np.ones((2, 2)), np.ones((3, 2)), mean=bad)


def test_many_small_calls_are_worth_a_scan_as_one_large_call_is():
    code = """
        import sys, numpy as np, cofactor as cf
        from cofactor.lists import exact
        exact.SCAN_FROM["nothing"] = 3 * 9 * 4
        model = cf.Factors.from_arrays(np.ones((3, 2)), np.ones((9, 2)))
        for _ in range(5):
            model.recommend(model.users, on_unknown="skip")
            print("cofactor.lists.index" in sys.modules)
    """
    assert python(code).split() == ["False"] * 3 + ["True"] * 2


def test_a_list_for_one_user_does_not_wait_for_numba():
    code = """
        import sys, numpy as np, cofactor as cf
        model = cf.Factors.from_arrays(np.ones((3, 2)), np.ones((9, 2)))
        model.recommend([model.users.take(np.array([0]))[0]])
        print("numba" in sys.modules)
    """
    assert python(code).strip() == "False"
