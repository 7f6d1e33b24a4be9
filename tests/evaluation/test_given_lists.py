"""Anybody's lists through the same metrics; what lists are like beyond their hits; figures by groups of users."""

import math
import re

import numpy as np
import pandas as pd
import polars as pl
import pytest

import cofactor as cf
from cofactor.evaluation import better, evaluate, evaluate_lists, tune
from cofactor.evaluation.beyond import thirds_of
from cofactor.lists import Diversify
from cofactor.solvers import ImplicitALS, Popularity

BEYOND = ["ild", "calibration", "recall_popular", "recall_middle", "recall_rare"]


@pytest.fixture(scope="module")
def parts():
    """Ratings of items with up to three genres, some with none, split in two."""
    random = np.random.default_rng(0)
    liked = np.arange(60, 0, -1) / np.arange(60, 0, -1).sum()
    pairs = [(user, item) for user in range(1, 121) for item in random.choice(60, 5 + user % 20, False, liked) + 1]
    table = pl.DataFrame(pairs, ["user", "item"], orient="row").with_columns(value=random.integers(1, 6, len(pairs)))
    genres = [None if k % 11 == 0 else "|".join(random.choice(list("ABCDE"), k % 3 + 1, False)) for k in range(1, 61)]
    films = pl.DataFrame({"item": range(1, 61), "title": [f"Film {k}" for k in range(1, 61)], "genres": genres})
    ratings = cf.from_frame(table, value="value", items=films)
    return ratings.split_per_user(test_fraction=0.3, seed=0)


@pytest.fixture(scope="module")
def model(parts):
    return ImplicitALS(rank=4, epochs=5, seed=0).fit(parts[0])


def sets_of(train):
    texts = zip(train.items, train.metadata.genres, strict=True)
    return {item: set(text.split("|")) if text else set() for item, text in texts}


def lists_of(frame):
    return {user: part["item"].to_list() for (user,), part in frame.group_by("user", maintain_order=True)}


def distance(a, b):
    a, b = a or {"(none)"}, b or {"(none)"}
    return 1 - len(a & b) / math.sqrt(len(a) * len(b))


def shares(items, sets):
    known = [item for item in items if sets[item]]
    total = {}
    for item in known:
        for genre in sets[item]:
            total[genre] = total.get(genre, 0) + 1 / len(sets[item]) / len(known)
    return total


def divergence(had, listed, sets):
    p, q = shares(had, sets), shares(listed, sets)
    return sum(value * math.log(value / (0.99 * q.get(genre, 0) + 0.01 * value)) for genre, value in p.items())


@pytest.mark.parametrize("relevant_from", [None, 4.0])
def test_a_models_own_lists_are_measured_as_the_model_is(parts, model, relevant_from):
    train, test = parts
    settings = {"k": [3, 10], "relevant_from": relevant_from}
    ours = evaluate(model, test, also=BEYOND, **settings)
    shuffled = model.recommend(model.users, n=10).sample(fraction=1, shuffle=True, seed=0)
    for frame in (shuffled, shuffled.to_pandas(), shuffled.lazy()):
        theirs = evaluate_lists(frame, test, train, **settings)
        assert theirs.metrics.keys() == ours.metrics.keys()
        assert theirs.metrics == pytest.approx(ours.metrics, rel=1e-12)
        assert (theirs.counts, theirs.protocol) == (ours.counts, ours.protocol)
    assert theirs.per_user.equals(ours.per_user)
    assert better(theirs, ours, "ndcg@10").mean == 0


def test_lists_are_compared_with_a_model_on_the_same_users(parts, model):
    train, test = parts
    popular = Popularity().fit(train)
    theirs = evaluate_lists(popular.recommend(train.users), test, train)
    assert better(evaluate(model, test), theirs, "ndcg@10") == better(
        evaluate(model, test), evaluate(popular, test), "ndcg@10"
    )


def test_the_distance_in_a_list_and_its_mix_are_those_of_every_pair_and_item(parts, model):
    train, test = parts
    report, sets = evaluate(model, test, k=[1, 5], also=["ild", "calibration"]), sets_of(train)
    lists = lists_of(model.recommend(model.users, n=5))
    history = lists_of(train.to_frame())
    for row in report.per_user.iter_rows(named=True):
        items = lists[row["user"]]
        pairs = [distance(sets[a], sets[b]) for k, a in enumerate(items) for b in items[:k]]
        assert row["ild@1"] is None
        assert row["ild@5"] == pytest.approx(np.mean(pairs))
        for k in (1, 5):
            expected = divergence(history[row["user"]], items[:k], sets)
            assert row[f"calibration@{k}"] == pytest.approx(expected, abs=1e-9)


def test_what_is_asked_for_beyond_hits_is_of_the_lists_among_candidates(parts, model):
    train, test = parts
    few = list(range(1, 41))
    report = evaluate(model, test, k=5, candidates=few, also=["ild", "recall_rare"])
    lists = lists_of(model.recommend(report.per_user["user"], n=5, candidates=few))
    for row in report.per_user.iter_rows(named=True):
        items = lists[row["user"]]
        pairs = [distance(sets_of(train)[a], sets_of(train)[b]) for k, a in enumerate(items) for b in items[:k]]
        assert row["ild@5"] in (None, pytest.approx(np.mean(pairs)))
    assert report.per_user["ild@5"].null_count() == report.n_without_relevant < report.n_users


def test_recall_by_thirds_counts_each_third_by_itself(parts, model):
    train, test = parts
    counts = np.bincount(train.matrix.indices, minlength=train.n_items)
    thirds = dict(zip(train.items, thirds_of(counts), strict=True))
    report = evaluate(model, test, k=8, also=BEYOND)
    lists = lists_of(model.recommend(model.users, n=8))
    held_out = lists_of(test.to_frame())
    for row in report.per_user.iter_rows(named=True):
        for third, name in enumerate(("recall_popular", "recall_middle", "recall_rare")):
            wanted = {item for item in held_out[row["user"]] if thirds[item] == third}
            expected = len(wanted & set(lists[row["user"]])) / len(wanted) if wanted else None
            assert row[f"{name}@8"] == (None if expected is None else pytest.approx(expected))


def test_thirds_are_of_the_training_data_and_equal_counts_are_in_row_order():
    assert thirds_of(np.array([1, 6, 1, 3, 1, 0])).tolist() == [2, 0, 2, 1, 2, 2]
    assert thirds_of(np.array([2, 2, 2])).tolist() == [0, 1, 2]
    assert thirds_of(np.zeros(2, int)).tolist() == [0, 0]


def test_diverse_lists_are_farther_apart(parts, model):
    train, test = parts
    plain, diverse = (
        evaluate_lists(model.recommend(train.users, n=5, rerank=rules), test, train, k=5)
        for rules in ([], [Diversify("genres", 0.3)])
    )
    assert better(diverse, plain, "ild@5").low > 0


def test_without_the_training_data_all_users_are_measured_by_hits_alone(parts, model):
    train, test = parts
    frame = model.recommend(model.users, n=5)
    alone, whole = evaluate_lists(frame, test, k=5), evaluate_lists(frame, test, train, k=5)
    assert set(whole.metrics) - set(alone.metrics) == {
        "novelty@5", "popularity_share@5", "calibration@5", "recall_popular@5", "recall_middle@5", "recall_rare@5",
    }  # fmt: skip
    assert {name: alone[name] for name in ("ndcg@5", "map@5", "ild@5", "hit@5")} == pytest.approx(
        {name: whole[name] for name in ("ndcg@5", "map@5", "ild@5", "hit@5")}
    )


def test_short_and_missing_lists_and_unknown_items_are_misses(parts, model, caplog):
    caplog.set_level("INFO", logger="cofactor")
    train, test = parts
    items = test.to_frame().filter(user=1)["item"].to_list()
    frame = pl.DataFrame({"user": [1, 1, 1, 999], "item": [4711, items[0], items[1], 1], "position": [2, 3, 7, 1]})
    report = evaluate_lists(frame, test, train, k=[2, 3])
    row = report.per_user.row(by_predicate=pl.col("user") == 1, named=True)
    assert row["precision@2"] == pytest.approx(1 / 2)
    assert row["precision@3"] == pytest.approx(2 / 3)
    assert row["mrr@3"] == pytest.approx(1 / 2)
    others = report.per_user.filter(pl.col("user") != 1)
    assert others["ndcg@3"].to_list() == [0.0] * len(others)
    assert f"{len(others)} of {len(others) + 1} users have no list: they count as misses" in caplog.text
    seen = train.to_frame().filter(user=1)["item"][0]
    evaluate_lists(pl.DataFrame({"user": [1], "item": [seen], "position": [1]}), test, train)
    assert "1 of 1 listed items were in training: they cannot be hits" in caplog.text
    nothing = evaluate_lists(frame.clear(), test, train)
    assert nothing["ndcg@10"] == 0
    assert nothing["coverage@10"] == 0


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            {"user": [1], "item": [2]},
            "have no column 'position', but user, item: they must have user, item and position",
        ),
        ({"user": [1, 1], "item": [2, 2], "position": [1, 2]}, "the list of user 1 lists item 2 twice"),
        ({"user": [1, 1], "item": [2, 3], "position": [1, 1]}, "the list of user 1 has two items at position 1"),
        ({"user": [1], "item": [2], "position": ["first"]}, "positions of the lists must be numbers"),
        ({"user": [1], "item": [2], "position": [None]}, "positions of the lists must be numbers"),
        ({"user": ["1"], "item": [2], "position": [1]}, "the lists name users such as '1', and the ratings such as 1"),
        ({"user": [1], "item": ["2"], "position": [1]}, "the lists name items such as '2', and the ratings such as 1"),
    ],
)
def test_lists_that_are_none_are_refused(parts, columns, says):
    with pytest.raises(cf.DataError, match=re.escape(says)):
        evaluate_lists(pl.DataFrame(columns), parts[1], parts[0])


def test_what_is_asked_for_must_be_measurable(parts, model):
    train, test = parts
    frame = model.recommend(model.users)
    with pytest.raises(cf.SettingError, match="also names 'auc': it can be 'ild', 'calibration', 'recall_popular'"):
        evaluate_lists(frame, test, train, also=["auc"])
    with pytest.raises(cf.SettingError, match="no column 'brand': what is known of the items is item, title, genres"):
        evaluate_lists(frame, test, train, also="ild", by="brand")
    assert "ild@10" not in evaluate_lists(frame, test, train, by="brand").metrics
    with pytest.raises(cf.DataError, match="where Interactions are needed"):
        evaluate_lists(frame, test, train.to_frame())
    with pytest.raises(cf.DataError, match="is not a data frame"):
        evaluate_lists(model, test, train)
    from cofactor.solvers import ALS

    with pytest.raises(cf.SettingError, match="also names 'ild', which is of lists: say how long they are by k"):
        evaluate(ALS(rank=2, epochs=1).fit(train), test, also="ild")


def test_users_without_history_are_measured_with_the_others(parts):
    train, test = parts
    few = train.filter(pl.col("user") > 5)
    report = evaluate(ImplicitALS(rank=4, epochs=2, seed=0).fit(few), test, on_unknown="popular", also=BEYOND)
    new = report.per_user.filter(pl.col("user") <= 5)
    assert new["calibration@10"].null_count() == len(new) == 5
    assert new["ild@10"].null_count() == 0


def test_rare_items_can_be_tuned_for(parts):
    pytest.importorskip("optuna")
    found = tune(ImplicitALS(rank=2, epochs=1), parts[0], metric="recall_rare@5", trials=2, split="per-user", folds=1)
    assert 0 <= found.value <= 1
    with pytest.raises(cf.SettingError, match="unknown metric 'ild@5'"):
        tune(ImplicitALS(), parts[0], metric="ild@5")


@pytest.mark.parametrize("frame", [pl.DataFrame, pd.DataFrame])
def test_figures_by_group_are_those_of_the_groups_users(parts, model, frame):
    report = evaluate(model, parts[1], k=5)
    people = {"user": list(range(2, 121)), "gender": ["F" if k % 3 else "M" for k in range(2, 121)]}
    found = report.by(frame(people), "gender")
    assert found.columns == ["gender", "n_users", "metric", "value", "low", "high"]
    rows = report.per_user.with_columns(
        gender=pl.when(pl.col("user") == 1)
        .then(None)
        .when(pl.col("user") % 3 > 0)
        .then(pl.lit("F"))
        .otherwise(pl.lit("M"))
    )
    assert found["gender"].unique(maintain_order=True).to_list() == [None, "F", "M"]
    for (gender,), part in rows.group_by("gender"):
        here = found.filter(pl.col("gender").eq_missing(gender), metric="ndcg@5")
        assert here["n_users"].item() == len(part)
        assert here["value"].item() == pytest.approx(part["ndcg@5"].mean())
        assert here["low"].item() <= here["value"].item() <= here["high"].item()
    wider = report.by(frame(people), "gender", level=0.99).filter(gender="F", metric="ndcg@5")
    assert wider["high"].item() > found.filter(gender="F", metric="ndcg@5")["high"].item()


def test_groups_must_be_told_once_for_each_user(parts, model):
    report = evaluate(model, parts[1], k=5)
    with pytest.raises(cf.DataError, match="has no column 'age': it has user, gender"):
        report.by(pl.DataFrame({"user": [1], "gender": ["F"]}), "age")
    with pytest.raises(cf.DataError, match="says two things of user 1"):
        report.by(pl.DataFrame({"user": [1, 1], "gender": ["F", "M"]}), "gender")
    with pytest.raises(cf.DataError, match="names users such as '1', and the report such as 1"):
        report.by(pl.DataFrame({"user": ["1"], "gender": ["F"]}), "gender")
    with pytest.raises(cf.SettingError, match="level is 95"):
        report.by(pl.DataFrame({"user": [1], "gender": ["F"]}), "gender", level=95)
