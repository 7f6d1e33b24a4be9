"""Users and items without history: counted apart, never measured by an invented list."""

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.evaluation import better, compare, evaluate, evaluate_by_fold_in, evaluate_sampled, tune
from cofactor.solvers import ALS, BPR, ImplicitALS, Popularity


@pytest.fixture(scope="module")
def parts(ratings):
    """All ratings of the first ten users are held out; their ids stay in the vocabulary."""
    _, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    rows = ratings.to_frame().with_row_index("row")
    warm = rows.join(test.to_frame().select("user", "item"), on=["user", "item"])["row"]
    cold = rows.filter(pl.col("user").is_in(list(ratings.users.ids[:10])))["row"]
    return ratings.split_rows(np.union1d(warm, cold))


@pytest.fixture(scope="module")
def model(parts):
    return ImplicitALS(rank=4, epochs=3, seed=0).fit(parts[0].binary())


def cold_users(parts):
    return set(parts[0].users.ids[:10])


def test_vectors_that_were_drawn_at_random_and_never_trained_are_no_history(parts):
    train, test = parts
    model = BPR(rank=4, epochs=1, seed=0).fit(train.binary())
    assert evaluate(model, test, k=5).n_without_history == 10


@pytest.mark.parametrize("solver", [ImplicitALS(rank=4, epochs=3, seed=0), ALS(rank=3, epochs=3, seed=0)])
def test_users_without_training_rows_are_counted_and_not_measured(parts, solver):
    train, test = parts
    report = evaluate(solver.fit(train), test, k=5)
    assert report.n_without_history == 10
    assert report.n_users == 50
    assert not cold_users(parts) & set(report.per_user["user"])
    assert report.n_test + report.n_unknown == len(test)
    assert report.to_frame()["n_without_history"].to_list() == [10]
    warm = evaluate(solver.fit(train), test.filter(~pl.col("user").is_in(list(cold_users(parts)))), k=5)
    assert warm.n_without_history == 0
    assert warm.metrics == report.metrics


def test_with_popular_items_everybody_is_measured_by_what_they_would_be_shown(parts, model):
    train, test = parts
    report = evaluate(model, test, k=5, on_unknown="popular", also=["auc"])
    popular = evaluate(Popularity().fit(train.binary()), test, k=5, on_unknown="popular", also=["auc"])
    assert (report.n_users, report.n_without_history, report.n_unknown) == (60, 10, 0)
    assert report.protocol == "full ranking, popular items for users without history"
    cold = pl.col("user").is_in(list(cold_users(parts)))
    shown, expected = (r.per_user.filter(cold).sort("user") for r in (report, popular))
    assert shown.equals(expected)
    counts = np.bincount(train.matrix.indices, minlength=train.n_items)
    first = set(train.items.take(np.argsort(-counts, kind="stable")[:5]))
    user = shown["user"][0]
    held = set(test.to_frame().filter(user=user)["item"])
    assert shown["recall@5"][0] == pytest.approx(len(first & held) / len(held))
    alone = evaluate(model, test, k=5, also=["auc"]).per_user
    assert report.per_user.filter(~cold).equals(alone)


def test_users_whom_the_model_does_not_have_are_shown_popular_items_too(parts, ratings):
    train, test = parts
    known = train.min_counts(per_user=1)  # the ten are not even in the vocabulary
    inside, outside = (evaluate(Popularity().fit(table), test, k=5, on_unknown="popular") for table in (train, known))
    assert outside.n_without_history == inside.n_without_history == 10
    assert outside.n_users == 60
    assert outside["ndcg@5"] == pytest.approx(inside["ndcg@5"])
    assert evaluate(Popularity().fit(known), test, k=5).n_without_history == 10


def test_values_of_zero_are_no_history_to_a_model_for_lists(parts):
    train, test = parts
    frame = train.to_frame()
    user = train.users[20]
    zeros = frame.with_columns(value=pl.when(pl.col("user") == user).then(0.0).otherwise(pl.col("value")))
    table = cf.from_frame(zeros, user="user", item="item", value="value")
    lists = evaluate(ImplicitALS(rank=3, epochs=2, values="as given").fit(table), test, k=5)
    assert user not in set(lists.per_user["user"])
    errors = evaluate(ALS(rank=3, epochs=2).fit(table), test)
    assert user in set(errors.per_user["user"])
    shown = evaluate(ImplicitALS(rank=3, epochs=2, values="as given").fit(table), test, k=5, on_unknown="popular")
    assert user in set(shown.per_user["user"])


def test_a_held_out_value_of_zero_is_not_relevant(parts, model):
    _, test = parts
    frame = test.to_frame().with_row_index("row")
    zeros = frame.with_columns(value=pl.when(pl.col("row") % 2 == 0).then(0.0).otherwise(pl.col("value")))
    table = cf.from_frame(zeros.drop("row"), user="user", item="item", value="value")
    rest = cf.from_frame(zeros.filter(pl.col("value") != 0).drop("row"), user="user", item="item", value="value")
    with_zeros, without = (evaluate(model, part, k=5) for part in (table, rest))
    assert with_zeros["ndcg@5"] == pytest.approx(without["ndcg@5"])
    assert with_zeros.n_test > without.n_test
    explicit = evaluate(model, table, k=5, relevant_from=0)
    assert explicit["ndcg@5"] == evaluate(model, test, k=5)["ndcg@5"]
    sampled, fewer = (evaluate_sampled(model, part, negatives=1000, k=5) for part in (table, rest))
    assert sampled["hit@5"] >= fewer["hit@5"] - 1e-9 > 0


def test_held_out_items_that_nobody_had_are_counted(ratings):
    item = ratings.items[0]
    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    train = train.filter(pl.col("item") != item)
    report = evaluate(ImplicitALS(rank=3, epochs=2).fit(train), test, k=5)
    assert report.n_items_without_history == 1
    assert report.to_frame()["n_items_without_history"].to_list() == [1]


def test_where_nobody_has_history_the_error_says_what_to_do(parts, model):
    _, test = parts
    cold = test.filter(pl.col("user").is_in(list(cold_users(parts))))
    with pytest.raises(cf.DataError, match='on_unknown="popular"'):
        evaluate(model, cold)
    assert evaluate(model, cold, on_unknown="popular").n_users == 10
    with pytest.raises(cf.SettingError, match="on_unknown is 'raise': choose 'skip' or 'popular'"):
        evaluate(model, cold, on_unknown="raise")


def test_sampled_negatives_leave_them_out_or_rank_by_popularity(parts, model):
    train, test = parts
    report = evaluate_sampled(model, test, negatives=5)
    assert (report.n_users, report.n_without_history) == (50, 10)
    shown = evaluate_sampled(model, test, negatives=1000, k=5, on_unknown="popular")
    popular = evaluate_sampled(Popularity().fit(train.binary()), test, negatives=1000, k=5, on_unknown="popular")
    cold = pl.col("user").is_in(list(cold_users(parts)))
    assert shown.per_user.filter(cold).equals(popular.per_user.filter(cold))
    assert shown.protocol == "1000 sampled negatives a user, popular items for users without history"


def test_visitors_of_whom_nothing_is_known_are_counted_or_shown_popular_items(ratings):
    train, theirs = ratings.split_users(n_users=15, seed=0)
    known, test = theirs.split_per_user(test_fraction=0.3, seed=0)
    model = ImplicitALS(rank=4, epochs=3, values="as given", seed=0).fit(train)
    nameless = known.users[0]
    fewer = known.filter(pl.col("user") != nameless)
    report = evaluate_by_fold_in(model, fewer, test, k=5)
    assert (report.n_users, report.n_without_history) == (14, 1)
    shown = evaluate_by_fold_in(model, fewer, test, k=5, on_unknown="popular")
    assert (shown.n_users, shown.n_unknown) == (15, 0)
    assert shown.per_user["user"][-1] == nameless
    zeros = known.to_frame().with_columns(
        value=pl.when(pl.col("user") == nameless).then(0.0).otherwise(pl.col("value"))
    )
    table = cf.from_frame(zeros, user="user", item="item", value="value")
    assert evaluate_by_fold_in(model, table, test, k=5).n_without_history == 1


def test_comparing_and_tuning_measure_the_same_users(parts):
    train, test = parts
    compared = compare([ImplicitALS(rank=3, epochs=2), Popularity()], train, test, k=5)
    assert compared.to_frame()["n_without_history"].to_list() == [10, 10]
    assert better(*compared.reports, "ndcg@5").n_users == 50
    everybody = compare([ImplicitALS(rank=3, epochs=2), Popularity()], train, test, k=5, on_unknown="popular")
    assert better(*everybody.reports, "ndcg@5").n_users == 60
    with pytest.raises(cf.SettingError, match="measure both alike"):
        better(compared.reports[0], everybody.reports[0], "ndcg@5")
    pytest.importorskip("optuna", reason="the extra tune is not installed")
    best = tune(ImplicitALS(rank=2), train, metric="ndcg@5", trials=1, split="time", folds=1, fixed={"epochs": 1})
    assert 0 <= best.value <= 1


def test_vectors_from_elsewhere_know_everybody(ratings):
    vectors = np.ones((ratings.n_users, 1)), np.ones((ratings.n_items, 1))
    model = cf.Factors.from_arrays(*vectors, ratings.users, ratings.items)
    assert evaluate(model, ratings).n_without_history == 0
