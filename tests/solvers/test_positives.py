"""A value of 0 in data for lists: the pair was seen, but does not count as chosen."""

import dataclasses

import numpy as np
import pytest

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.solvers import BPR, NMF, KerasMF, LogisticMF, Popularity, PureSVD

SOLVERS = [
    Popularity(),
    BPR(rank=3, epochs=3),
    LogisticMF(rank=3, epochs=3),
    NMF(rank=3, epochs=3, goal="ranking"),
    KerasMF(rank=3, epochs=2, loss="softmax"),
    KerasMF(rank=3, epochs=2, loss="bpr", validation_fraction=0.2, patience=1),
]
by_name = pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: type(solver).__name__)


@pytest.fixture(scope="module")
def tables(ratings):
    """Return a table in which what was rated low has the value 0, and the same without these pairs."""
    stars = ratings.at_least(3)
    values = np.where(ratings.matrix.data >= 3, ratings.matrix.data, 0).astype(np.float32)
    matrix = ratings.matrix.copy()
    matrix.data = values
    return dataclasses.replace(ratings, matrix=matrix), stars


@by_name
def test_a_pair_of_value_zero_is_seen_and_not_learnt_from(solver, tables):
    with_zeros, without = tables
    model, expected = solver.fit(with_zeros), solver.fit(without)
    for part in ("user_vectors", "item_vectors", "item_bias"):
        np.testing.assert_array_equal(getattr(model, part), getattr(expected, part))
    assert model.seen.nnz == len(with_zeros)
    lists = model.recommend(with_zeros.users, n=with_zeros.n_items)
    assert len(lists) == with_zeros.n_users * with_zeros.n_items - len(with_zeros)


def test_how_many_values_carry_no_weight_is_logged(tables, caplog):
    with_zeros, without = tables
    Popularity().fit(with_zeros)
    zeros = len(with_zeros) - len(without)
    assert f"{zeros} of {len(with_zeros)} values are 0 and carry no weight" in caplog.text
    caplog.clear()
    Popularity().fit(without)
    assert not caplog.text


@pytest.mark.parametrize("solver", [*SOLVERS, PureSVD(rank=2)], ids=lambda solver: type(solver).__name__)
def test_zeros_alone_are_refused(solver):
    with pytest.raises(cf.DataError, match=r"no value is above 0|all values are 0"):
        solver.fit(Interactions.from_columns(["a", "b"], ["x", "y"], np.zeros(2)))
