"""What a solver shows of itself between epochs."""

import dataclasses

import numpy as np
import pytest

from cofactor.solvers.als import ALS, ImplicitALS
from cofactor.solvers.nmf import NMF


@pytest.mark.parametrize("solver", [ALS(rank=3, epochs=4), ImplicitALS(rank=3, epochs=4), NMF(rank=3, epochs=4)])
def test_the_model_after_an_epoch_is_that_of_a_shorter_training(solver, ratings):
    shown = {}

    def look(epoch):
        model = epoch.model()
        shown[epoch.number] = (model.user_vectors.copy(), dict(model.history))

    whole = solver.fit(ratings, callback=look)
    assert np.array_equal(shown[4][0], whole.user_vectors)
    shorter = dataclasses.replace(solver, epochs=2).fit(ratings)
    assert np.array_equal(shown[2][0], shorter.user_vectors)
    assert not np.array_equal(shown[2][0], shown[4][0])
    assert shown[2][1] == dict(shorter.history)
