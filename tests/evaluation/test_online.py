"""Intervals of what people did with lists hold the truth as often as they promise, in worlds whose truth is known."""

import dataclasses
import datetime
import os

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.evaluation import off_policy, online
from cofactor.evaluation.online_report import LEAST_DONE, LEAST_USERS
from cofactor.evaluation.sequential import always_valid_reach
from cofactor.lists.team_draft import team_draft

LONG = os.environ.get("COFACTOR_TEST_LONG") == "1"
DAY = datetime.timedelta(days=1)
START = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)


def frame(user, days, arm, chosen, *, dismissed=False, team=None, items=1):
    """Lists of one row for each user, day, arm and whether chosen; in the order of time."""
    size = len(user)
    milliseconds = (np.asarray(days) * 86_400_000).astype(np.int64) + int(START.timestamp() * 1000)
    made = pl.DataFrame({
        "list_id": np.arange(size) // items, "time": milliseconds, "user": np.asarray(user), "arm": np.asarray(arm),
        "chosen": np.asarray(chosen), "team": team if team is not None else [None] * size,
    }).with_columns(
        pl.col("time").cast(pl.Datetime("ms", "UTC")), pl.col("user", "list_id", "team").cast(pl.String),
        experiment=pl.lit("e"), item=pl.lit("tea"), shown=pl.lit(True), dismissed=pl.lit(dismissed),
    )  # fmt: skip
    return made.sort("time")


def visits(random, rates, *, users=600, share=0.3, days=20.0, alike=8.0):
    """People who come at random, and again within two days; each chooses as often as they like, about their arm's rate.

    Their lists are not independent, so intervals that took them for that would be too narrow.
    """
    treated = random.random(users) < share
    rate = np.where(treated, rates[1], rates[0])
    own = random.beta(alike * rate, alike * (1 - rate))
    user = np.repeat(np.arange(users), 1 + random.poisson(3.0, users))
    later = random.uniform(0, 2, len(user)) * (random.random(len(user)) < 0.7)
    when = np.sort(random.uniform(0, days, users))[user] + later
    return frame(user, when, np.where(treated[user], "B", "A"), random.random(len(user)) < own[user])


def covered(hits, least, most):
    """Check how often an interval held the truth; in the short form, within four standard errors more."""
    share = np.mean(hits)
    slack = 0.0 if LONG else 4 * (0.95 * 0.05 / len(hits)) ** 0.5
    assert least - slack <= share <= min(most + slack, 1.0), share


RUNS = 1_000 if LONG else 120


def test_the_interval_of_a_single_look_holds_the_truth_in_95_of_100_experiments():
    random = np.random.default_rng(1)
    found = [online(visits(random, (0.2, 0.25))) for _ in range(RUNS)]
    differences = [one.differences[0] for one in found]
    covered([one.low <= 0.05 <= one.high for one in differences], 0.93, 0.97)
    for arm, truth in (("A", 0.2), ("B", 0.25)):
        rates = [rate for one in found for rate in one.rates if (rate.metric, rate.arm) == ("chosen per list", arm)]
        covered([rate.low <= truth <= rate.high for rate in rates], 0.93, 0.97)


def test_the_always_valid_interval_holds_the_truth_at_all_looks_together_and_the_usual_one_does_not():
    random, always, usual = np.random.default_rng(2), [], []
    for _ in range(RUNS if LONG else 40):
        every = visits(random, (0.2, 0.2))
        looks = [online(every.filter(pl.col("time") < START + k * DAY)).differences[0] for k in range(3, 23, 2)]
        always.append(all(one.always_low <= 0 <= one.always_high for one in looks))
        usual.append(all(one.low <= 0 <= one.high for one in looks))
    covered(always, 0.95, 1.0)
    assert np.mean(usual) < 0.9
    assert np.mean(usual) < np.mean(always)


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5])
def test_a_mean_watched_after_each_of_ten_thousand_people_stays_within(rate):
    random, held = np.random.default_rng(3), []
    n = np.arange(1, 10_001)
    reach = np.array([always_valid_reach(int(k), 1.0) for k in n])
    for _ in range(1_000 if LONG else 300):
        drawn = (random.random(len(n)) < rate) - rate
        total, squares = np.cumsum(drawn), np.cumsum(drawn**2)
        deviation = np.sqrt(np.maximum(squares - total**2 / n, LEAST_DONE) / n)
        held.append(bool((np.abs(total / n) <= deviation * reach)[LEAST_USERS - 1 :].all()))
    covered(held, 0.95, 1.0)


def test_a_harmful_model_is_stopped_and_a_better_one_praised():
    random = np.random.default_rng(4)
    worse, better = (online(visits(random, rates, users=3000)) for rates in ((0.3, 0.15), (0.15, 0.3)))
    assert (worse.harmful, worse.better, worse.verdict) == (True, False, "B is worse for people: stop it.")
    assert (better.harmful, better.better) == (False, True)
    same = online(visits(random, (0.2, 0.2)))
    assert (same.harmful, same.better) == (False, False)
    assert "No difference is certain" in same.verdict
    bothered = visits(random, (0.2, 0.2), users=3000).with_columns(dismissed=pl.col("arm") == "B")
    assert online(bothered).harmful


def test_figures_are_those_counted_by_hand():
    lists = pl.concat([
        frame(["ann"] * 4, [0, 0, 1, 1], ["A"] * 4, [True, True, False, False], items=2),
        frame(["bob"] * 2, [0, 0], ["A"] * 2, [False, False], items=2).with_columns(pl.lit("b").alias("list_id")),
        frame(["eve"] * 2, [0, 0], ["B"] * 2, [True, False], items=2).with_columns(pl.lit("e").alias("list_id")),
        frame([None] * 2, [0, 0], ["A"] * 2, [True, True], items=2).with_columns(pl.lit("n").alias("list_id")),
    ])  # fmt: skip
    found = {(rate.metric, rate.arm): rate for rate in online(lists).rates}
    assert found["chosen per list", "A"].mean == pytest.approx(1 / 3)
    assert found["chosen per item", "A"].mean == pytest.approx(2 / 6)
    assert found["chosen per item", "B"].mean == 0.5
    rate = found["chosen per list", "A"]
    assert (rate.n_users, rate.n_lists) == (2, 3)
    parts = np.array([1 - 2 / 3, 0 - 1 / 3]) * 2 / 3
    assert rate.high - rate.mean == pytest.approx(12.7062 * (parts.var(ddof=1) / 2) ** 0.5, rel=1e-4)


def test_only_a_user_s_first_time_that_is_over_counts_for_looks():
    lists = frame(["ann", "ann", "bob", "eve"], [0, 3, 0.5, 3.5], ["A", "A", "B", "B"], [True, False, False, True])
    one = online(lists).differences[0]
    assert (one.n_users, one.n_complete) == (3, 2)
    assert one.mean == pytest.approx(0.0)
    assert one.always_mean == pytest.approx(-1.0)
    assert (one.always_low, one.always_high) == (-np.inf, np.inf)


def test_users_of_two_arms_are_left_out_and_counted():
    lists = frame(["ann", "ann", "bob", "eve"], [0, 1, 0, 0], ["A", "B", "B", "A"], [True] * 4)
    found = online(lists)
    assert found.n_switched == 1
    assert [rate.n_users for rate in found.rates[:2]] == [1, 1]


def drafts(random, preference, users=300):
    """Interleaved lists of two rankings, from which people choose items of B's so many times as often."""
    rows = {"user": [], "day": [], "team": [], "chosen": []}
    import random as chances

    chance = chances.Random(int(random.integers(2**31)))
    for user in range(users):
        often, day = random.beta(2, 8), random.uniform(0, 10)
        for _ in range(1 + random.poisson(1.0)):
            draft = team_draft(range(8), range(4, 12), 4, chance)
            for team in draft.teams:
                rows["user"].append(user)
                rows["day"].append(day)
                rows["team"].append(team)
                rows["chosen"].append(bool(random.random() < often * (preference if team == "B" else 1.0)))
    size = len(rows["user"])
    return frame(rows["user"], rows["day"], ["AB"] * size, rows["chosen"], team=rows["team"], items=4)


def test_interleaving_tells_whom_people_prefer_within_its_interval():
    random = np.random.default_rng(5)
    truth = online(drafts(random, 1.5, users=40_000 if LONG else 15_000)).preference
    assert truth.low > 0
    found = [online(drafts(random, 1.5)).preference for _ in range(1_000 if LONG else 60)]
    covered([one.low <= truth.mean <= one.high for one in found], 0.93, 0.97)
    even = [online(drafts(random, 1.0)).preference for _ in range(1_000 if LONG else 60)]
    covered([one.low <= 0 <= one.high for one in even], 0.93, 0.97)
    covered([one.always_low <= 0 <= one.always_high for one in even], 0.95, 1.0)
    assert online(drafts(random, 3.0, users=2000)).better
    assert online(drafts(random, 0.3, users=2000)).harmful


def test_what_cannot_be_measured_is_said_with_a_remedy():
    lists = frame(["ann", "bob"], [0, 1], ["A", "A"], [False, False])
    with pytest.raises(cf.SettingError, match="served=True"):
        online(lists.with_columns(shown=False))
    assert online(lists.with_columns(shown=False), served=True).rates[0].n_lists == 2
    with pytest.raises(cf.SettingError, match=r"no list is of the experiment 'x'; there are: 'e'"):
        online(lists, experiment="x")
    with pytest.raises(cf.DataError, match="lack the column 'team'"):
        online(lists.drop("team"))
    assert "one arm only" in online(lists).verdict
    assert all(dataclasses.is_dataclass(rate) for rate in online(lists).rates)


def explored(random, users, *, explore=0.3, n=5, pool=15):
    """Lists drawn as the service draws them, what people chose, and another model's lists with their true rate."""
    user = np.repeat(np.arange(users), 1 + random.poisson(2.0, users))
    mood, appeal = 2 * random.beta(4, 4, users), 0.05 + 0.4 * np.abs(np.sin(np.arange(30)))
    best = np.argsort(np.arange(30) + random.normal(0, 6, (users, 30)), axis=1)[:, :pool]
    other = np.take_along_axis(best, np.argsort(np.arange(pool) + random.normal(0, 3, (users, pool)), axis=1), 1)[:, :n]
    drawn = np.argsort(random.random((len(user), pool)), axis=1)[:, :n]
    place = np.where((random.random(len(user)) >= explore)[:, None], np.arange(n), drawn)
    items, seen = best[user[:, None], place], 1 / np.sqrt(np.arange(1, n + 1))
    likely = explore / pool + (1 - explore) * (place == np.arange(n))
    keys = {"list_id": np.repeat(np.arange(len(user)), n), "position": np.tile(np.arange(1, n + 1), len(user))}
    shown = pl.DataFrame({
        **keys, "user": np.repeat(user, n).astype(str), "item": items.ravel(), "propensity": likely.ravel(),
        "shown": True,
        "chosen": (random.random(items.shape) < np.clip(mood[user][:, None] * appeal[items] * seen, 0, 1)).ravel(),
    })  # fmt: skip
    truth = np.clip(mood[user][:, None] * appeal[other[user]] * seen, 0, 1)
    return shown, pl.DataFrame({**keys, "item": other[user].ravel()}), truth


def test_another_model_s_rate_is_within_the_interval_as_often_as_promised():
    random = np.random.default_rng(6)
    truth = np.mean([explored(random, 3000)[2].mean() for _ in range(20)])
    found = [off_policy(*explored(random, 1000)[:2]) for _ in range(1_000 if LONG else 100)]
    covered([one.low <= truth <= one.high for one in found], 0.93, 0.97)
    spread, told = np.std([one.mean for one in found]), np.mean([one.variance for one in found]) ** 0.5
    assert told == pytest.approx(spread, rel=0.1 if LONG else 0.35)
    assert np.mean([one.supported for one in found]) == pytest.approx(1, abs=0.05)


def test_the_lists_own_model_is_judged_by_nearly_all_of_its_lists():
    shown, _, _ = explored(np.random.default_rng(7), 2000, explore=0.1)
    own = shown.filter(pl.col("propensity") > 0.5).select("list_id", "position", "item")
    found = off_policy(shown, own)
    assert found.effective > 0.9 * found.n_matched
    assert found.low <= shown.join(own, on=["list_id", "position", "item"])["chosen"].mean() <= found.high


def test_lists_that_could_not_be_shown_are_told_by_the_support():
    shown, other, _ = explored(np.random.default_rng(8), 3000)
    half = other.with_columns(item=pl.when(pl.col("list_id") % 2 == 0).then(pl.lit(99)).otherwise("item"))
    assert off_policy(shown, half).supported == pytest.approx(0.5, abs=0.1)


def test_lists_without_chance_are_refused_and_so_are_bad_chances():
    shown, other, _ = explored(np.random.default_rng(9), 50)
    for without in (shown.with_columns(propensity=pl.lit(None, pl.Float64)), shown.with_columns(propensity=1.0)):
        with pytest.raises(cf.SettingError, match=r"serve with --explore 0\.1"):
            off_policy(without, other)
    for bad in (0.0, 1.5, -1.0):
        with pytest.raises(cf.DataError, match="not above 0 and at most 1"):
            off_policy(shown.with_columns(propensity=bad), other)
    with pytest.raises(cf.DataError, match="target lacks the column 'position'"):
        off_policy(shown, other.drop("position"))
    with pytest.raises(cf.SettingError, match="nothing can be said"):
        off_policy(shown, other.with_columns(item=99))
