"""Every kernel of the sampler against plain NumPy in double precision, or against the law that it draws from."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from cofactor.kernels.counter_random import normal, subkey
from cofactor.model.bayesian.priors import FREEDOMS, draw_freedom, draw_noise, draw_prior, draw_weights
from cofactor.model.bayesian.row_system import Ratings, padded_width
from cofactor.model.bayesian.rows import draw_loadings, draw_rows, rating_signals, squared_errors


def key(number):
    return subkey(np.uint64(number), 9)


def random_precision(random, size):
    root = random.normal(size=(size, size))
    return root @ root.T + size * np.eye(size)


def naive_rows(ratings, vectors, weights, mean, scales, means, precision, normals):
    """Return what draw_rows should: one dense regression for each row, and its errors."""
    drawn, errors = [], []
    for row in range(len(ratings.indptr) - 1):
        part = slice(ratings.indptr[row], ratings.indptr[row + 1])
        columns = ratings.indices[part]
        design = np.c_[vectors[columns, :-1], np.ones(len(columns))]
        target = ratings.values[part] - mean - vectors[columns, -1]
        matrix = precision + scales[row] * design.T @ (weights[columns, None] * design)
        right = precision @ means[row] + scales[row] * design.T @ (weights[columns] * target)
        upper = np.linalg.cholesky(matrix).T  # A = upper' upper, and covariance A^-1 = upper^-1 upper^-1'
        drawn.append(np.linalg.solve(matrix, right) + np.linalg.solve(upper, normals[row]))
        errors.append(np.sum(weights[columns] * (target - design @ drawn[-1]) ** 2))
    return np.array(drawn), np.array(errors)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    rank=st.integers(1, 17),
    share=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_rows_are_drawn_as_a_dense_regression_would(rows, columns, rank, share, seed):
    random = np.random.default_rng(seed)
    size = rank + 1
    ratings = Ratings.of(
        sparse.csr_array(random.integers(1, 6, (rows, columns)) * (random.random((rows, columns)) < share))
    )
    vectors, weights = random.normal(size=(columns, size)), random.gamma(2.0, size=columns)
    scales, means = random.gamma(2.0, size=rows), random.normal(size=(rows, size))
    precision = random_precision(random, size)
    design = np.zeros((columns, padded_width(size + 1)), np.float32)
    design[:, :rank] = vectors[:, :-1] * np.sqrt(weights)[:, None]
    design[:, rank] = design[:, size] = np.sqrt(weights)
    ours, errors = np.empty((rows, size)), np.empty(rows)
    draw_rows(
        0, rows, ratings.indptr, ratings.indices, ratings.values, design, 3.0 + vectors[:, -1], scales,
        means, precision, key(seed), 1.0, ours, errors,
    )  # fmt: skip
    normals = np.array([[normal(subkey(key(seed), row), a) for a in range(size)] for row in range(rows)])
    expected, expected_errors = naive_rows(ratings, vectors, weights, 3.0, scales, means, precision, normals)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(errors, expected_errors, rtol=1e-3, atol=1e-3)


def test_loadings_have_the_moments_of_the_joint_regression():
    random = np.random.default_rng(0)
    weights = sparse.csc_array(random.normal(size=(30, 4)) * (random.random((30, 4)) < 0.6))
    rows = random.normal(size=(30, 2))
    precision, prior = random_precision(random, 2), random_precision(random, 2)
    mean = np.array([0.3, -0.2])
    joint = np.kron((weights.T @ weights).toarray(), precision) + np.kron(np.eye(4), prior)
    right = (weights.T @ rows @ precision + prior @ mean).ravel()
    loadings, residual, draws = np.zeros((4, 2)), rows.copy(), []
    for sweep in range(20_000):
        draw_loadings(
            weights.indptr.astype(np.int64), weights.indices, weights.data.astype(np.float32), mean, prior,
            precision, padded_width(3), key(sweep), loadings, residual,
        )  # fmt: skip
        draws.append(loadings.ravel().copy())
    np.testing.assert_allclose(residual, rows - weights @ loadings, atol=1e-4)
    covariance = np.linalg.inv(joint)
    error = np.abs(np.mean(draws, axis=0) - covariance @ right) / np.sqrt(np.diag(covariance))
    assert error.max() < 0.05
    np.testing.assert_allclose(np.cov(np.array(draws).T), covariance, atol=0.05 * np.diag(covariance).max())


def test_priors_have_the_moments_of_the_normal_wishart():
    random = np.random.default_rng(1)
    count, size = 25, 3
    rows = random.normal(size=(count, size)) * [1.0, 2.0, 0.5] + [0.0, 1.0, -1.0]
    centre = rows.mean(axis=0)
    scatter = (rows - centre).T @ (rows - centre)
    inverse_scale = np.eye(size) + scatter + count / (count + 1) * np.outer(centre, centre)
    means, precisions = np.zeros((20_000, size)), np.zeros((20_000, size, size))
    for k in range(len(means)):
        draw_prior(rows, padded_width(size + 1), key(k), means[k], precisions[k])
    expected = (count + size) * np.linalg.inv(inverse_scale)
    np.testing.assert_allclose(precisions.mean(axis=0), expected, rtol=0.03, atol=0.03)
    variance = 2 * (count + size) * np.diag(np.linalg.inv(inverse_scale)) ** 2
    np.testing.assert_allclose(precisions.var(axis=0).diagonal(), variance, rtol=0.06)
    np.testing.assert_allclose(means.mean(axis=0), count / (count + 1) * centre, atol=0.01)
    spread = inverse_scale / (count + 1) / (count - 1)  # multivariate t: S / (count + 1) / (freedom - size - 1)
    np.testing.assert_allclose(np.cov(means.T), spread, rtol=0.06, atol=0.003)


def test_noise_and_weights_are_gamma_variates():
    errors, counts, weights = np.array([4.0, 0.5]), np.array([6, 0]), np.empty(2)
    noises, drawn = [], []
    for k in range(10_000):
        noises.append(draw_noise(6, np.array([2.0, 0.5]), errors, key(k)))
        draw_weights(counts, errors, 1.5, 5.0, key(k), weights)
        drawn.append(weights.copy())
    assert stats.kstest(noises, stats.gamma(4.0, scale=1 / 5.125).cdf).pvalue > 0.001
    laws = stats.gamma(5.5, scale=1 / 5.5), stats.gamma(2.5, scale=1 / 2.875)
    for sample, law in zip(np.transpose(drawn), laws, strict=True):
        assert stats.kstest(sample, law.cdf).pvalue > 0.001


@pytest.mark.parametrize("truth", [4.0, 30.0])
def test_degrees_of_freedom_are_found_again(truth):
    weights = np.random.default_rng(2).gamma(truth / 2, 2 / truth, size=3000)
    draws = [draw_freedom(weights, FREEDOMS, key(k)) for k in range(200)]
    assert 0.85 * truth < np.mean(draws) < 1.15 * truth


def test_signals_are_dot_products_and_biases():
    random = np.random.default_rng(3)
    ratings = Ratings.of(sparse.csr_array(random.integers(0, 4, (8, 6))))
    users, items = random.normal(size=(8, 3)), random.normal(size=(6, 3))
    signals = np.empty(len(ratings.indices))
    rating_signals(0, 5, ratings.indptr, ratings.indices, users, items, signals)
    rating_signals(5, 8, ratings.indptr, ratings.indices, users, items, signals)
    row, column = np.repeat(np.arange(8), ratings.counts), ratings.indices
    expected = (users[row, :-1] * items[column, :-1]).sum(axis=1) + users[row, -1] + items[column, -1]
    np.testing.assert_allclose(signals, expected)
    errors = np.full(8, np.nan)
    given = ratings.indptr, ratings.indices, ratings.values, users, items, 2.5
    squared_errors(0, 3, *given, errors)
    squared_errors(3, 8, *given, errors)
    by_row = np.bincount(row, (ratings.values - 2.5 - expected) ** 2, minlength=8)
    np.testing.assert_allclose(errors, by_row)
