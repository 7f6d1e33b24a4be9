"""The ordered probit: its kernels against SciPy, and its change of units."""

import copy
import math

import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from scipy import sparse, stats

from cofactor.model.bayesian.chain import Problem, keep, start_chain, sweep_once
from cofactor.model.bayesian.predictions import draw_signals, level_probabilities
from cofactor.model.bayesian.probit import (
    OrderedProbit,
    between,
    bring_to_ratings,
    draw_opinions,
    fill_expected,
    fill_probabilities,
    log_likelihoods,
    truncated_normal,
)
from cofactor.model.bayesian.row_system import Ratings


@pytest.fixture
def given():
    random = np.random.default_rng(3)
    ratings = Ratings.of(sparse.csr_array(random.integers(0, 4, (8, 6))))
    users, items = random.normal(size=(8, 3)), random.normal(size=(6, 3))
    roots = random.gamma(3.0, 0.2, size=8), random.gamma(3.0, 0.2, size=6)
    return ratings, users, items, *roots


def naive(given):
    ratings, users, items, user_roots, item_roots = given
    row, column = np.repeat(np.arange(8), ratings.counts), ratings.indices
    signals = (users[row, :-1] * items[column, :-1]).sum(axis=1) + users[row, -1] + items[column, -1]
    return signals, user_roots[row] * item_roots[column], ratings.values.astype(int) - 1, row


def test_log_likelihoods_agree_with_scipy(given):
    ratings, _, _, *roots = given
    signals, root, levels, row = naive(given)
    cuts, sums = np.array([-np.inf, -0.4, 0.7, np.inf]), np.empty(8)
    log_likelihoods(0, 8, ratings.indptr, ratings.indices, levels, signals, *roots, cuts, sums)
    chances = stats.norm.cdf(root * (cuts[levels + 1] - signals)) - stats.norm.cdf(root * (cuts[levels] - signals))
    np.testing.assert_allclose(sums, np.bincount(row, np.log(chances), minlength=8), rtol=1e-8)


def test_opinions_fall_between_their_cut_points(given):
    ratings, _, _, *roots = given
    signals, _, levels, _ = naive(given)
    cuts, opinions = np.array([-np.inf, -0.4, 0.7, np.inf]), np.empty(len(levels))
    draw_opinions(0, 8, ratings.indptr, ratings.indices, levels, signals, *roots, cuts, np.uint64(7), opinions)
    assert np.isfinite(opinions).all()
    assert (opinions >= cuts[levels] - 1e-9).all()
    assert (opinions <= cuts[levels + 1] + 1e-9).all()


@pytest.mark.parametrize(("low", "high"), [(-1.0, 0.5), (2.0, np.inf), (-np.inf, -6.0), (8.0, 9.0)])
def test_truncated_normals_are_the_quantiles_of_their_law(low, high):
    points = np.linspace(0.01, 0.99, 25)
    ours = np.sort([truncated_normal(low, high, p) for p in points])
    np.testing.assert_allclose(ours, stats.truncnorm(low, high).ppf(points), rtol=1e-6)


def test_extreme_intervals_stay_finite():
    for low, high in [(40.0, 41.0), (-41.0, -40.0), (0.0, 1e-12)]:
        assert low <= truncated_normal(low, high, 0.5) <= high
    assert between(10.0, 11.0) == pytest.approx(stats.norm.sf(10) - stats.norm.sf(11), rel=1e-10)


@examples(low=st.floats(-35, 35), width=st.floats(1e-6, 5), p=st.floats(0, 1))
def test_truncated_normals_stay_in_their_interval(low, width, p):
    assert low <= truncated_normal(low, low + width, p) <= low + width


def test_level_probabilities_and_expectations_agree_with_scipy():
    cuts, values = np.array([-np.inf, 0.0, 1.0, np.inf]), np.array([1.0, 2.0, 5.0])
    signals, roots = np.array([-3.0, 0.4, 9.0]), np.array([1.0, 2.0, 0.5])
    expected = np.diff(stats.norm.cdf(roots[:, None] * (cuts - signals[:, None])))
    table = np.zeros((3, 3))
    fill_probabilities(0, 3, signals, roots**2, cuts, table)
    np.testing.assert_allclose(table, expected)
    column = signals[:, None].copy()
    fill_expected(0, 3, column, roots, np.ones(1), cuts, values)
    np.testing.assert_allclose(column[:, 0], expected @ values)


def test_other_units_are_the_same_model(given):
    ratings, *_ = given
    problem = Problem(
        ratings, Ratings.of(sparse.csr_array((ratings.values, ratings.indices, ratings.indptr)).T.tocsr())
    )
    likelihood = OrderedProbit.of(problem)
    chain = start_chain(problem, likelihood, rank=2, kept=6, seed=0)
    for place in range(6):
        sweep_once(problem, chain, likelihood, 0)
        keep(chain, place)
    other = copy.deepcopy(chain.kept)
    bring_to_ratings(other, 2.5, 0.7)
    users, items = np.divmod(np.arange(48), 6)
    (before, precisions), (after, scaled) = (draw_signals(draws, users, items) for draws in (chain.kept, other))
    np.testing.assert_allclose(after, 2.5 + 0.7 * before, rtol=1e-5, atol=1e-5)
    tables = level_probabilities(chain.kept, before, precisions), level_probabilities(other, after, scaled)
    np.testing.assert_allclose(*tables, atol=1e-5)
    np.testing.assert_allclose(tables[0].sum(axis=1), 1.0)
    shift, factor = likelihood.straight_line(problem, chain)
    assert factor > 0
    assert math.isfinite(shift)
