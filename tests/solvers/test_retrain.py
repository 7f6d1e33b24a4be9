"""A model's file says how to train it again, also where a setting had another name or unit when it was written."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.model.factors import Factors
from cofactor.model.objectives.squared import SquaredError
from cofactor.model.origin import Origin
from cofactor.solvers import ALS, NMF, KerasMF, SparkALS
from cofactor.solvers.retrain import solver_of, trained_on


def made_by(solver, settings, objective=SquaredError()):
    table = Interactions.from_columns([0, 0, 1, 1], [0, 1, 0, 1], np.array([1.0, 9.0, 1.0, 9.0]))  # their spread is 4
    model = Factors.from_arrays(np.eye(2), np.eye(2), seen=table.matrix)
    return dataclasses.replace(model, objective=objective, origin=Origin(solver, settings))


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("nmf-implicit", "goal", "ranking"),
        ("nmf", "goal", "rating"),
        ("bayesian-implicit", "svdpp", True),
        ("bayesian", "svdpp", False),
        ("bayesian", "n_samples", 4),
        ("implicit-als", "unobserved_weight", 0.1),
    ],
)
def test_settings_of_older_files_keep_their_meaning(name, setting, value):
    model = cf.load(Path(__file__).parents[1] / "stored" / "format-1" / "models" / f"{name}.safetensors")
    assert getattr(solver_of(model), setting) == value


@pytest.mark.parametrize("kind", [ALS, NMF, KerasMF, SparkALS])
def test_a_penalty_of_an_older_file_is_brought_to_the_unit_that_it_has_now(kind):
    older = made_by(kind.__name__, {"regularization": 2.0}, SquaredError(regularization=2.0))
    assert solver_of(older).regularization == pytest.approx(0.5)
    newer = made_by(kind.__name__, {"regularization": 2.0}, SquaredError(regularization=8.0))
    assert solver_of(newer).regularization == 2.0


@pytest.mark.parametrize(
    "solver", [ALS(rank=2, epochs=2), NMF(rank=2, epochs=2), NMF(rank=2, epochs=2, goal="ranking")]
)
def test_training_again_gives_the_same_model(solver, ratings):
    model = solver.fit(ratings)
    again = solver_of(model).fit(trained_on(model))
    np.testing.assert_array_equal(again.user_vectors, model.user_vectors)
    np.testing.assert_array_equal(again.item_vectors, model.item_vectors)
