"""The compiled twins give the very figures that NumPy gives."""

import numpy as np
import pytest
from processes import python

import cofactor as cf
from cofactor.evaluation import evaluate, held_out
from cofactor.solvers import ALS, ImplicitALS


@pytest.fixture(scope="module")
def parts():
    return cf.load_dataset("synthetic:300x200x6000:1").split_random(test_fraction=0.3, seed=0)


def both_ways(monkeypatch, measure):
    """Return what is measured by NumPy, then by the kernels."""
    monkeypatch.setattr(held_out, "COMPILED_FROM", dict.fromkeys(held_out.COMPILED_FROM, 10**18))
    plain = measure()
    monkeypatch.setattr(held_out, "COMPILED_FROM", dict.fromkeys(held_out.COMPILED_FROM, 0))
    return plain, measure()


@pytest.mark.parametrize("solver", [ALS(rank=4, epochs=2, seed=0), ImplicitALS(rank=4, epochs=2, seed=0)])
@pytest.mark.parametrize("relevant_from", [None, 4.0])
def test_kernels_and_numpy_give_the_same_figures_to_the_last_bit(parts, solver, relevant_from, monkeypatch):
    train, test = parts
    model = solver.fit(train)
    plain, compiled = both_ways(
        monkeypatch, lambda: evaluate(model, test, k=[1, 5, 300], relevant_from=relevant_from, also=["auc"])
    )
    assert plain == compiled
    assert plain.per_user.equals(compiled.per_user)
    assert plain.n_without_relevant == (0 if relevant_from is None else compiled.n_without_relevant)


def test_kernels_find_ratings_that_were_trained_on(parts, monkeypatch):
    train, test = parts
    model = ImplicitALS(rank=2, epochs=1).fit(train)
    mixed = cf.from_frame(train.to_frame().head(7).vstack(test.to_frame()), user="user", item="item", value="value")
    monkeypatch.setattr(held_out, "COMPILED_FROM", dict.fromkeys(held_out.COMPILED_FROM, 0))
    with pytest.raises(cf.DataError, match=r"7 of the 1,807 test ratings were in the training data"):
        evaluate(model, mixed)


def test_equal_scores_are_half_right_either_way(parts, monkeypatch):
    train, test = parts
    flat = cf.Factors.from_arrays(np.zeros((300, 1)), np.zeros((200, 1)), train.users, train.items, seen=train.matrix)
    plain, compiled = both_ways(monkeypatch, lambda: evaluate(flat, test, also=["auc"]).per_user["auc"].to_list())
    assert plain == compiled
    assert {area for area in plain if area is not None} == {0.5}


def test_a_small_evaluation_needs_no_numba():
    code = """
        import sys, numpy as np, cofactor as cf
        from cofactor.evaluation import evaluate
        train, test = cf.load_dataset("synthetic:300x200x6000").split_random(seed=0)
        random = np.random.default_rng(0)
        vectors = random.normal(size=(300, 4)), random.normal(size=(200, 4))
        model = cf.Factors.from_arrays(*vectors, train.users, train.items, seen=train.matrix)
        evaluate(model, test, k=[5, 10], also=["auc"]).intervals()
        print("numba" in sys.modules)
    """
    assert python(code).strip() == "False"
