"""Splits by date: what comes after the cut is counted and left out, and a model that has seen the future says so."""

import dataclasses
import datetime
import json

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.evaluation import better, compare, evaluate
from cofactor.evaluation.held_out import known_part, training_part
from cofactor.model.origin import Origin
from cofactor.solvers import ALS, ImplicitALS, Popularity
from cofactor.solvers.baselines import late_popularity

DAY = 86_400


@pytest.fixture(scope="module")
def plays():
    """Plays of a hundred days, in which users and items appear one after the other."""
    random = np.random.default_rng(0)
    users, items = random.integers(0, 60, 1500), random.integers(0, 40, 1500)
    born = np.maximum(users, items * 1.5)
    times = 1_700_000_000 + (DAY * (born + random.random(1500) * (100 - born))).astype(np.int64)
    return Interactions.from_columns(users, items, random.integers(1, 6, 1500).astype(float), times, name="plays")


@pytest.fixture(scope="module")
def parts(plays):
    return plays.split_by_time(at=1_700_000_000 + 50 * DAY)


@pytest.fixture(scope="module")
def model(parts):
    return ImplicitALS(rank=4, epochs=3, seed=0).fit(parts[0])


def known_by_polars(train, test):
    """Return the held-out rows of users and items of the training part, and the users and items that it lacks."""
    before, after = train.to_frame(), test.to_frame()
    known = after.filter(
        pl.col("user").is_in(before["user"].implode()) & pl.col("item").is_in(before["item"].implode())
    )
    return known, set(after["user"]) - set(before["user"]), set(after["item"]) - set(before["item"])


def test_what_comes_after_the_cut_is_counted_and_left_out(parts, model):
    train, test = parts
    known, users, items = known_by_polars(train, test)
    report = evaluate(model, test, k=5)
    assert users
    assert items
    assert (report.n_test, report.n_unknown) == (len(known), len(test) - len(known))
    assert (report.n_without_history, report.n_items_without_history) == (len(users), len(items))
    assert report.on_new_items == "skip"
    alone = evaluate(model, cf.from_frame(known), k=5)
    assert report.metrics == pytest.approx(alone.metrics)
    assert known_part(train, test).to_frame().equals(known)


def test_on_request_lists_are_charged_for_items_that_nobody_could_know(parts, model):
    _, test = parts
    charged, fair = (evaluate(model, test, k=5, on_new_items=how) for how in ("miss", "skip"))
    assert charged["recall@5"] < fair["recall@5"]
    assert charged.n_items_without_history == fair.n_items_without_history
    assert charged.n_test > fair.n_test
    with pytest.raises(cf.SettingError, match="different"):
        better(charged, fair, "ndcg@5")


def test_of_a_random_split_items_that_nobody_had_stay_relevant(plays):
    train, test = plays.split_random(test_fraction=0.2, seed=0)
    rare = plays.items[0]
    report = evaluate(ImplicitALS(rank=3, epochs=2).fit(train.filter(pl.col("item") != rare)), test, k=5)
    assert (report.on_new_items, report.n_items_without_history, report.n_unknown) == ("miss", 1, 0)


def test_with_popular_items_newcomers_are_measured_by_what_could_be_known(parts, model):
    train, test = parts
    report = evaluate(model, test, k=5, on_unknown="popular")
    had = set(train.to_frame()["item"])
    assert report.n_test == test.to_frame()["item"].is_in(list(had)).sum()
    assert report.n_users > evaluate(model, test, k=5).n_users


def test_errors_of_ratings_are_of_what_could_be_known_too(parts):
    train, test = parts
    report = evaluate(ALS(rank=2, epochs=3, seed=0).fit(train), test)
    assert report.n_test == len(known_by_polars(train, test)[0])


def test_all_models_of_a_comparison_are_measured_on_the_same(parts):
    solvers = [ImplicitALS(rank=3, epochs=2), Popularity(), Popularity(window="7d"), Popularity(half_life="7d")]
    reports = compare(solvers, *parts, k=5).reports
    assert len({(report.n_test, report.n_users) for report in reports}) == 1
    assert better(reports[0], reports[2], "ndcg@5").p_value <= 1


def test_where_nothing_could_be_known_the_error_says_so(model, plays):
    late = cf.from_frame(pl.DataFrame({"user": [0, 1], "item": [39, 39], "time": [1.9e9, 1.9e9]}))
    assert 39 not in set(model.items.take(model.seen.indices).to_list())
    with pytest.raises(cf.DataError, match="none of the test ratings has both a user and an item"):
        evaluate(model, late)
    with pytest.raises(cf.SettingError, match="on_new_items is 'drop': choose 'miss' or 'skip'"):
        evaluate(model, plays, on_new_items="drop")


def test_a_report_says_how_far_the_model_has_seen_into_the_test_period(plays):
    train, test = plays.split_random(test_fraction=0.2, seed=0)
    report = evaluate(Popularity().fit(train), test)
    ahead = min(train.timestamps.max(), test.timestamps.max()) - test.timestamps.min()
    assert report.seconds_ahead == ahead
    (note,) = report.notes
    assert note.startswith(f"the training data reach {ahead / DAY:.0f} days into the test period: ")
    assert "expect less tomorrow" in note
    assert note in report._repr_html_()


def test_a_report_on_the_future_has_nothing_to_say(parts, model):
    report = evaluate(model, parts[1])
    assert (report.seconds_ahead, report.notes) == (0, [])


def test_without_times_nothing_is_said_of_them(plays):
    train, test = (dataclasses.replace(part, timestamps=None) for part in plays.split_random(seed=0))
    model = Popularity().fit(train)
    assert model.origin.period is None
    assert evaluate(model, test).notes == []


def test_a_model_knows_the_period_of_its_training_data_in_its_file_too(parts, model, tmp_path):
    first, last = parts[0].timestamps.min(), parts[0].timestamps.max()
    assert model.origin.period == (first, last) == parts[0].period
    loaded = cf.load(model.save(tmp_path / "model.safetensors"))
    assert loaded.origin == model.origin
    assert evaluate(loaded, parts[1]).n_test == evaluate(model, parts[1]).n_test


def test_a_model_from_before_periods_were_kept_has_none():
    assert Origin(solver="ALS", metrics={}).period is None


@pytest.mark.parametrize("period", [["x", "y"], [1], [1, True], 5])
def test_a_period_that_is_none_is_refused(period):
    stored = json.loads(json.dumps({"period": period}))
    with pytest.raises((TypeError, ValueError)):
        Origin(**stored)


def test_the_period_of_a_table_is_in_seconds():
    noon = datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC)
    table = Interactions.from_columns(["a", "b"], ["x", "y"], timestamps=[noon, noon + datetime.timedelta(seconds=9)])
    assert table.period == (noon.timestamp(), noon.timestamp() + 9)
    assert Interactions.from_columns(["a"], ["x"]).period is None


def test_what_a_model_was_trained_on_is_found_among_ratings_with_its_times_and_own_values(plays):
    train, _ = plays.split_random(test_fraction=0.3, seed=1)
    model = Popularity().fit(train.binary())
    shuffled = cf.from_frame(plays.to_frame().filter(pl.col("item") != 39).sample(fraction=1.0, shuffle=True, seed=0))
    assert training_part(model, shuffled) is None, "a part of it is not there"
    more = pl.DataFrame({"user": [-5], "item": [-7], "value": [1.0], "timestamp": [0]}).cast(plays.to_frame().schema)
    for ratings in (
        plays,
        cf.from_frame(pl.concat([plays.to_frame(), more]).sample(fraction=1.0, shuffle=True, seed=0)),
    ):
        found = training_part(model, ratings)
        assert (found.users, found.items) == (train.users, train.items)
        assert (found.matrix != train.binary().matrix).nnz == 0
        assert np.array_equal(found.timestamps, train.timestamps)
    assert training_part(model, dataclasses.replace(plays, timestamps=None)) is None


def test_popularity_of_late_is_no_baseline_where_nothing_late_was_chosen(plays):
    assert late_popularity(plays) == [Popularity(window="7d")]
    assert late_popularity(dataclasses.replace(plays, timestamps=None)) == []
    old = Interactions.from_columns(["a", "b"], ["x", "y"], np.array([1.0, 0.0]), np.array([0, 30 * DAY]))
    assert late_popularity(old) == []


def test_tables_tell_popularities_apart(parts):
    solvers = [Popularity(), Popularity(window="14d"), Popularity(half_life=DAY)]
    assert compare(solvers, *parts, k=5).to_frame()["solver"].to_list() == [
        "Popularity", "Popularity of the last 14 days", "Popularity with a half-life of 1 day",
    ]  # fmt: skip
