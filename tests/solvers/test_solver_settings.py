"""Settings as other libraries name them, and as scikit-learn handles them."""

import copy
import dataclasses
import pickle

import pytest

from cofactor.errors import SettingError
from cofactor.solvers import ALS, BPR, SOLVERS, BayesianMF, ImplicitALS, KerasMF, Popularity, solver_class


@pytest.mark.parametrize(
    ("solver", "name", "ours"),
    [
        (ImplicitALS, "factors", "rank"),
        (ImplicitALS, "iterations", "epochs"),
        (ImplicitALS, "alpha", "unobserved_weight"),
        (ALS, "n_factors", "rank"),
        (ALS, "reg_all", "regularization"),
        (ALS, "regParam", "regularization"),
        (ALS, "maxIter", "epochs"),
        (BPR, "random_state", "seed"),
        (BPR, "lr", "learning_rate"),
        (KerasMF, "embedding_dim", "rank"),
        (BayesianMF, "n_iter", "sweeps"),
        (ALS, "regularisation", "regularization"),
    ],
)
def test_a_name_of_another_library_is_answered_with_ours(solver, name, ours):
    assert ours in {field.name for field in dataclasses.fields(solver)}
    with pytest.raises(SettingError, match=f"{solver.__name__} has no setting {name!r}: use {ours!r}"):
        solver(**{name: 3})


def test_where_nothing_is_near_all_settings_are_named():
    with pytest.raises(SettingError, match="Popularity has no setting 'factors': there are window, half_life, values"):
        Popularity(factors=3)


@pytest.mark.parametrize("name", SOLVERS)
def test_settings_are_read_and_changed_as_scikit_learn_does(name):
    solver = solver_class(name)()
    assert type(solver)(**solver.get_params()) == solver
    assert solver.set_params() == solver
    field = next(iter(solver.get_params()), None)
    with pytest.raises(SettingError):
        solver.set_params(nonsense=1)
    assert copy.deepcopy(solver) == solver == pickle.loads(pickle.dumps(solver))
    assert field is None or solver.set_params(**{field: getattr(solver, field)}) == solver


def test_a_changed_solver_is_another_and_is_checked():
    first = ImplicitALS()
    assert first.set_params(rank=7) == ImplicitALS(rank=7)
    assert first == ImplicitALS()
    with pytest.raises(SettingError):
        first.set_params(rank=-1)


def test_scikit_learn_clones_a_solver():
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed")
    assert base.clone(ImplicitALS(rank=7, half_life="30d")) == ImplicitALS(rank=7, half_life="30d")
