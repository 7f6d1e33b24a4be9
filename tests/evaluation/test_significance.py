"""Intervals and the paired test: what they promise, on made-up figures."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

import cofactor as cf
from cofactor.evaluation import Report, better, evaluate
from cofactor.evaluation.per_user import Column, PerUser
from cofactor.solvers import ALS, BiasOnly, ImplicitALS, Popularity


def report_of(values, users=None, protocol="full ranking"):
    """Make a report of one metric's values."""
    ids = pl.Series(np.arange(len(values)) if users is None else users)
    per_user = PerUser(ids, np.ones(len(values), np.int64), {"ndcg@10": Column.of(np.asarray(values, float))})
    return Report(per_user.averages(), len(values), n_users=len(values), protocol=protocol, users=per_user)


@pytest.fixture(scope="module")
def parts(ratings):
    return ratings.split_per_user(test_fraction=0.25, seed=0)


def test_an_interval_of_many_users_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(0.5, 0.2, 2000)
    low, high = report_of(values).interval("ndcg@10")
    reach = 1.96 * values.std() / 2000**0.5
    assert (low, high) == pytest.approx((values.mean() - reach, values.mean() + reach), abs=0.1 * reach)
    narrow = report_of(values).interval("ndcg@10", level=0.5)
    assert low < narrow[0] < narrow[1] < high


def test_intervals_hold_the_truth_as_often_as_they_say():
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        low, high = report_of(random.exponential(1.0, 60)).interval("ndcg@10", level=0.8)
        inside += low <= 1.0 <= high
    assert 0.70 <= inside / 200 <= 0.88


def test_an_error_over_all_ratings_is_resampled_as_a_ratio_of_sums():
    counts = np.array([1.0, 9.0])
    columns = {name: Column(np.array([4.0, 9.0]), counts) for name in ("mse", "rmse")}
    users = PerUser(pl.Series([1, 2]), counts.astype(int), columns)
    report = Report(users.averages(), 10, n_users=2, users=users)
    assert report["mse"] == 1.3
    assert report["rmse"] == pytest.approx(1.3**0.5)
    assert report.interval("mse") == (1.0, 4.0)  # twice the second user, twice the first
    assert report.interval("rmse") == (1.0, 2.0)


def test_the_same_intervals_every_time(parts):
    train, test = parts
    reports = [evaluate(ALS(rank=2, epochs=2, seed=0).fit(train), test, k=5) for _ in range(2)]
    assert reports[0].intervals().equals(reports[1].intervals())
    frame = reports[0].intervals()
    averaged = frame.filter(pl.col("low").is_not_null())
    assert ((averaged["low"] <= averaged["value"]) & (averaged["value"] <= averaged["high"])).all()
    assert set(frame.filter(pl.col("low").is_null())["metric"]) == {"coverage@5", "gini@5"}


def test_what_has_no_interval_says_why(parts):
    train, test = parts
    report = evaluate(Popularity().fit(train), test, k=5)
    with pytest.raises(cf.SettingError, match="no per-user 'coverage@5'; available: ndcg@5"):
        report.interval("coverage@5")
    with pytest.raises(cf.SettingError, match="no per-user 'rmse'; available: ndcg@5"):
        report.interval("rmse")
    with pytest.raises(cf.SettingError, match="level is 95"):
        report.interval("ndcg@5", level=95)
    with pytest.raises(cf.SettingError, match="has averages only"):
        Report({"mse": 1.0}, 3).interval("mse")


def test_a_difference_that_is_there_is_found_and_one_that_is_not_is_not():
    random = np.random.default_rng(0)
    base = random.random(300)
    found = better(report_of(base + random.normal(0.05, 0.1, 300)), report_of(base), "ndcg@10")
    assert found.low < 0.05 < found.high
    assert found.low > 0
    assert found.p_value < 0.001
    same = better(report_of(base + random.normal(0, 0.1, 300)), report_of(base), "ndcg@10")
    assert same.low < 0 < same.high
    assert same.p_value > 0.05
    assert better(report_of(base), report_of(base), "ndcg@10").p_value == 1


def test_the_p_value_is_that_of_the_exact_test():
    random = np.random.default_rng(2)
    one, two = random.random(11), random.random(11) + 0.15
    found = better(report_of(one), report_of(two), "ndcg@10")
    signs = np.array(np.meshgrid(*[[-1, 1]] * 11)).reshape(11, -1)
    sums = np.abs(signs.T @ (one - two))
    exact = np.mean(sums >= abs((one - two).sum()) - 1e-12)
    assert found.p_value == pytest.approx(exact, abs=0.015)
    assert found.p_value == pytest.approx(stats.ttest_rel(one, two).pvalue, abs=0.05)


def test_chance_is_called_a_difference_as_rarely_as_it_should_be():
    random = np.random.default_rng(3)
    small = [better(report_of(random.random(25)), report_of(random.random(25)), "ndcg@10").p_value for _ in range(60)]
    assert np.mean(np.array(small) < 0.1) < 0.22


def test_only_users_with_a_value_in_both_are_paired():
    one = report_of([0.1, 0.5, np.nan, 0.9], ["a", "b", "c", "d"])
    two = report_of([0.4, 0.2, 0.3, np.nan], ["d", "a", "c", "b"])
    found = better(one, two, "ndcg@10")
    assert found.n_users == 2
    assert found.mean == pytest.approx(((0.1 - 0.2) + (0.9 - 0.4)) / 2)
    assert str(found).startswith("ndcg@10 +0.2000 (")
    assert better(two, one, "ndcg@10").mean == pytest.approx(-found.mean)


def test_errors_are_compared_over_all_ratings(parts):
    train, test = parts
    one, two = (evaluate(solver.fit(train), test) for solver in (ALS(rank=3, seed=0), BiasOnly()))
    found = better(one, two, "rmse")
    assert found.mean == pytest.approx(one["rmse"] - two["rmse"])
    assert found.low < found.mean < found.high


def test_reports_that_cannot_be_compared_are_refused(parts):
    train, test = parts
    report = evaluate(ImplicitALS(rank=2, epochs=1).fit(train), test)
    with pytest.raises(cf.SettingError, match="no per-user 'rmse'; available"):
        better(report, report, "rmse")
    with pytest.raises(cf.SettingError, match="the reports are of different users, 1 and 1, of whom 0 are in both"):
        better(report_of([0.1], ["a"]), report_of([0.1], ["b"]), "ndcg@10")
    with pytest.raises(cf.SettingError, match="measure both alike"):
        better(report_of([0.1]), report_of([0.1], protocol="99 sampled negatives a user"), "ndcg@10")
    with pytest.raises(cf.SettingError, match="user ids"):
        better(report_of([0.1], ["a"]), report_of([0.1], [1]), "ndcg@10")


def test_only_reports_of_the_same_users_ratings_and_relevance_are_compared(parts):
    train, test = parts
    model = ImplicitALS(rank=2, epochs=1).fit(train)
    report = evaluate(model, test, k=5)
    fewer = test.filter(pl.col("user") != test.users[0])
    with pytest.raises(cf.SettingError, match="different users, 60 and 59, of whom 59 are in both"):
        better(report, evaluate(model, fewer, k=5), "ndcg@5")
    other = train.split_per_user(test_fraction=0.1, seed=1)
    with pytest.raises(cf.SettingError, match="different held-out ratings"):
        better(report, evaluate(ImplicitALS(rank=2, epochs=1).fit(other[0]), other[1], k=5), "ndcg@5")
    with pytest.raises(cf.SettingError, match="every rating were relevant in one report, ratings from 4 in the other"):
        better(report, evaluate(model, test, k=5, relevant_from=4), "ndcg@5")


def test_models_of_other_vocabularies_are_compared_by_ids(parts):
    train, test = parts
    whole = evaluate(Popularity().fit(train), test, k=5)
    shuffled = train.filter(pl.lit(value=True)).to_frame().sort("item", descending=True)
    elsewhere = cf.from_frame(shuffled, user="user", item="item", value="value")
    same = evaluate(Popularity().fit(elsewhere), test, k=5)
    assert better(whole, same, "ndcg@5").n_users == whole.n_users
