"""Sampled negatives, users who come after training, and splits by time."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from scipy import sparse

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.evaluation import evaluate, evaluate_by_fold_in, evaluate_sampled, protocols
from cofactor.solvers import ALS, ImplicitALS, Popularity


@pytest.fixture(scope="module")
def last(ratings):
    return ratings.split_last()


def dense(model):
    return model.score(np.repeat(list(model.users), model.n_items).tolist(), list(model.items) * model.n_users).reshape(
        model.n_users, model.n_items
    )


def test_negatives_are_never_what_the_user_met_and_none_twice():
    random = np.random.default_rng(0)
    taken = sparse.csr_array(random.random((5, 30)) < np.array([[0], [0.2], [0.5], [0.9], [1]]))
    cases = np.repeat(np.arange(5), 200)
    drawn = protocols.drawn(taken, cases, 8, random)
    for case, user in enumerate(cases):
        items = drawn.indices[drawn.indptr[case] : drawn.indptr[case + 1]]
        free = np.flatnonzero(~taken.toarray()[user])
        assert set(items) <= set(free)
        assert len(set(items)) == len(items) == min(8, len(free))


def test_more_negatives_than_there_are_items_are_all_that_are_left_whatever_their_number():
    taken = sparse.csr_array(np.array([[True, False, False], [False, False, False], [True, True, True]]))
    drawn = protocols.drawn(taken, np.array([1, 0, 0, 2]), 10**12, np.random.default_rng(0))
    assert drawn.toarray().tolist() == [[1, 1, 1], [0, 1, 1], [0, 1, 1], [0, 0, 0]]


def test_negatives_are_drawn_evenly():
    taken = sparse.csr_array(np.arange(30)[None] < 10)
    counts = np.bincount(protocols.drawn(taken, np.zeros(4000, int), 8, np.random.default_rng(0)).indices)
    assert counts[:10].sum() == 0
    assert counts[10:] == pytest.approx(np.full(20, 1600), rel=0.08)


def test_a_held_out_item_is_ranked_among_the_negatives_that_are_given(last):
    train, test = last
    model = ImplicitALS(rank=4, epochs=3, seed=0).fit(train)
    scores, met = dense(model), (train.matrix + test.matrix).toarray() > 0
    random = np.random.default_rng(0)
    rows = {user: random.choice(np.flatnonzero(~met[user]), 9, replace=False) for user in range(60)}
    names = [f"u{user}" for user in rows for _ in range(9)]
    given = Interactions.from_columns(names, [f"i{item}" for row in rows.values() for item in row])
    report = evaluate_sampled(model, test, negatives=given, k=[1, 3])
    places = []
    for user, row in rows.items():
        for item in test.matrix[[user]].indices:
            places.append(1 + int((scores[user, row] >= scores[user, item]).sum()))
    places = np.array(places)
    assert report["hit@1"] == pytest.approx(np.mean(places == 1))
    assert report["hit@3"] == pytest.approx(np.mean(places <= 3))
    assert report["ndcg@3"] == pytest.approx(np.mean(np.where(places <= 3, 1 / np.log2(places + 1), 0)))
    assert report["mrr@3"] == pytest.approx(np.mean(np.where(places <= 3, 1 / places, 0)))
    assert report.protocol == "9 given, sampled negatives a user"


def test_given_negatives_that_the_user_met_are_not_ranked(last):
    train, test = last
    model = Popularity().fit(train)
    names = list(train.users)
    everything = Interactions.from_columns(np.repeat(names, 40).tolist(), list(train.items) * 60)
    unknown = Interactions.from_columns(["u0", *np.repeat(names, 40)], ["new", *list(train.items) * 60])
    report = evaluate_sampled(model, test, negatives=everything)
    assert report.metrics == evaluate_sampled(model, test, negatives=40).metrics  # all that are left
    assert report.metrics == evaluate_sampled(model, test, negatives=unknown).metrics
    with pytest.raises(cf.DataError, match="59 users, such as 'u1', have no negative"):
        evaluate_sampled(model, test, negatives=Interactions.from_columns(["u0"] * 40, list(train.items)))


def test_among_all_items_the_sampled_figures_are_those_of_a_full_ranking(last):
    train, test = last
    model = ImplicitALS(rank=4, epochs=3, seed=0).fit(train)
    sampled, full = evaluate_sampled(model, test, negatives=1000, k=5), evaluate(model, test, k=5)
    assert sampled["hit@5"] == pytest.approx(full["hit@5"])
    assert sampled["ndcg@5"] == pytest.approx(full["ndcg@5"])
    few = evaluate_sampled(model, test, negatives=5, k=5)
    assert few["hit@5"] > full["hit@5"]


def test_a_sampled_report_says_so_wherever_it_is_printed(last):
    train, test = last
    report = evaluate_sampled(Popularity().fit(train), test)
    assert report.protocol == "99 sampled negatives a user"
    assert report.to_frame()["protocol"].to_list() == [report.protocol]
    assert set(report.intervals()["protocol"]) == {report.protocol}
    assert report.protocol in repr(report)
    assert report.n_users == report.per_user.height == 60


def test_a_model_to_which_all_items_are_equal_gets_nothing(last):
    train, test = last
    flat = cf.Factors.from_arrays(np.zeros((60, 1)), np.zeros((40, 1)), train.users, train.items, seen=train.matrix)
    assert evaluate_sampled(flat, test, negatives=10, k=10)["hit@10"] == 0


def test_the_draw_hangs_on_the_seed_alone(last):
    train, test = last
    model = ImplicitALS(rank=4, epochs=3, seed=0).fit(train)
    once = evaluate_sampled(model, test, negatives=5, k=2, seed=1)
    assert once == evaluate_sampled(model, test, negatives=5, k=2, seed=1)
    assert once != evaluate_sampled(model, test, negatives=5, k=2, seed=2)


def test_each_of_several_held_out_items_is_ranked_by_itself(ratings):
    train, test = ratings.split_last(3)
    model = ImplicitALS(rank=4, epochs=3, seed=0).fit(train)
    report = evaluate_sampled(model, test, negatives=1000, k=4)
    scores, met = dense(model), (train.matrix + test.matrix).toarray() > 0
    hits = []
    for user in range(60):
        free = scores[user, ~met[user]]
        own = test.matrix[[user]].indices
        hits.append(np.mean([(free >= scores[user, item]).sum() < 4 for item in own]))
    assert report["hit@4"] == pytest.approx(np.mean(hits))
    assert report.n_test == 180


@pytest.mark.parametrize("negatives", [0, -1, True, 9.5])
def test_no_negatives_are_refused(last, negatives):
    train, test = last
    with pytest.raises(cf.SettingError, match="negatives is"):
        evaluate_sampled(Popularity().fit(train), test, negatives=negatives)


def test_training_rows_are_refused_here_too(last):
    train, _ = last
    with pytest.raises(cf.DataError, match="were in the training data"):
        evaluate_sampled(Popularity().fit(train), train)


@pytest.fixture(scope="module")
def visitors(ratings):
    train, theirs = ratings.split_users(n_users=15, seed=0)
    return train, *theirs.split_per_user(test_fraction=0.3, seed=0)


@pytest.mark.parametrize("solver", [ImplicitALS(rank=4, epochs=3, seed=0), ALS(rank=4, epochs=3, seed=0)])
def test_strangers_are_placed_by_what_is_known_of_them_and_measured_on_the_rest(visitors, solver, monkeypatch):
    train, known, test = visitors
    model = solver.fit(train)
    placed = dataclasses.replace(model.place(known), objective=dataclasses.replace(model.objective, goal="ranking"))
    expected = evaluate(placed, test, k=[3, 8]).metrics
    report = evaluate_by_fold_in(model, known, test, k=[3, 8])
    by_crowd = ("novelty", "popularity_share")  # of the model's users here, of the strangers there
    for name, value in report.metrics.items():
        assert name.startswith(by_crowd) or value == pytest.approx(expected[name]), name
    assert (report.n_users, report.n_test, report.n_unknown) == (15, len(test), 0)
    monkeypatch.setattr(protocols, "USERS_AT_ONCE", 4)
    in_batches = evaluate_by_fold_in(model, known, test, k=[3, 8])
    assert in_batches.metrics == pytest.approx(report.metrics)
    assert in_batches.per_user["user"].equals(report.per_user["user"])


def test_the_better_part_of_what_strangers_like_is_found(visitors):
    train, known, test = visitors
    model = ImplicitALS(rank=4, epochs=3, seed=0).fit(train)
    strict = evaluate_by_fold_in(model, known, test, k=5, relevant_from=5.0)
    with_five = test.to_frame().filter(pl.col("value") == 5)["user"].n_unique()
    assert 0 < strict.n_without_relevant == 15 - with_five


def test_strangers_who_are_none_are_refused(visitors):
    train, known, test = visitors
    model = ImplicitALS(rank=2, epochs=1).fit(train)
    with pytest.raises(cf.DataError, match=r"15 of the users, such as .*, are in the model already"):
        evaluate_by_fold_in(ImplicitALS(rank=2, epochs=1).fit(known), known, test)
    with pytest.raises(cf.DataError, match=f"{len(test)} of the {len(test)} test ratings are among the known"):
        evaluate_by_fold_in(model, test, test)
    with pytest.raises(cf.DataError, match="nothing can be measured"):
        evaluate_by_fold_in(model, known, train)


def test_held_out_ratings_of_people_of_whom_nothing_is_known_are_counted(visitors):
    train, known, test = visitors
    model = ImplicitALS(rank=2, epochs=1).fit(train)
    names = set(known.users.ids[:10])
    fewer = known.filter(pl.col("user").is_in(list(names)))
    report = evaluate_by_fold_in(model, fewer, test)
    assert report.n_users == 10
    assert report.n_test + report.n_unknown == len(test)
    assert report.n_unknown > 0


def test_the_future_is_measured_and_newcomers_in_it_are_counted(ratings):
    before, after = ratings.split_by_time(test_fraction=0.5)
    train = before.min_counts(per_user=5, per_item=8)  # who has hardly been there is not in the model
    model = ImplicitALS(rank=4, epochs=3, seed=0).fit(train)
    report = evaluate(model, after, k=5)
    frame = after.to_frame()
    known = frame["user"].is_in(list(train.users)) & frame["item"].is_in(list(train.items))
    assert 0 < report.n_unknown == (~known).sum()
    assert report.n_test == known.sum()
    assert 0 < report["ndcg@5"] < 1
    assert train.timestamps.max() < after.timestamps.min()
