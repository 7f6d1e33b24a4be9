"""Random numbers that hang on a key and a counter alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cofactor.kernels.counter_random import (
    child_key,
    fill_normals,
    gamma,
    normal,
    normal_probability,
    normal_quantile,
    subkey,
    uniform,
)


def key(number):
    return subkey(np.uint64(number), 0)


def test_quantiles_agree_with_scipy_far_into_the_tails():
    points = np.r_[1e-300, 1e-20, 1e-10, 1e-5, np.linspace(0.001, 0.999, 499), 1 - 1e-9]
    ours = [normal_quantile(p) for p in points]
    np.testing.assert_allclose(ours, stats.norm.ppf(points), rtol=1e-13, atol=1e-13)


@settings(deadline=None)  # the first example compiles
@given(st.floats(1e-12, 1 - 1e-12))
def test_quantiles_undo_probabilities(p):
    assert normal_probability(normal_quantile(p)) == pytest.approx(p, rel=1e-11)


def test_probabilities_agree_with_scipy():
    points = np.linspace(-30, 8, 200)
    np.testing.assert_allclose([normal_probability(x) for x in points], stats.norm.cdf(points), rtol=1e-12)


def test_the_hash_is_splitmix64():
    # first outputs of the reference implementation seeded with 1234567
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [int(child_key(np.uint64(1234567), k)) for k in range(3)] == expected


@pytest.mark.parametrize(("draw", "law"), [(uniform, stats.uniform()), (normal, stats.norm())])
def test_streams_follow_their_law(draw, law):
    sample = [draw(key(3), k) for k in range(20_000)]
    assert stats.kstest(sample, law.cdf).pvalue > 0.001
    assert abs(np.corrcoef(sample[:-1], sample[1:])[0, 1]) < 0.03


def test_a_table_of_normals_does_not_depend_on_its_height():
    low, high = np.empty((3, 5)), np.empty((9, 5))
    fill_normals(key(1), 0.1, low)
    fill_normals(key(1), 0.1, high)
    assert np.array_equal(low, high[:3])
    assert high[2, 4] == pytest.approx(0.1 * normal(subkey(key(1), 2), 4))


@pytest.mark.parametrize("shape", [0.4, 1.0, 7.5, 3000.0])
def test_gamma_variates_follow_their_law(shape):
    sample = [gamma(key(k), shape) for k in range(10_000)]
    assert stats.kstest(sample, stats.gamma(shape).cdf).pvalue > 0.001
