"""Reports: errors by their definitions, training rows refused, strangers counted, a row for each solver."""

import dataclasses
import tracemalloc

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.data.passes import stores
from cofactor.data.vocabulary import Vocabulary
from cofactor.errors import DataError
from cofactor.evaluation import compare, evaluate, held_out, metrics
from cofactor.evaluation.held_out import without_training_rows
from cofactor.evaluation.report import Report
from cofactor.model.objectives.squared import SquaredError
from cofactor.solvers import ImplicitALS


@pytest.fixture(scope="module")
def parts(ratings):
    return ratings.split_random(test_fraction=0.2, seed=0)


def model_of(train, score=3.0):
    """Predict one number for everyone, and know what was trained on."""
    model = cf.Factors.from_arrays(
        np.zeros((train.n_users, 1)),
        np.zeros((train.n_items, 1)),
        train.users,
        train.items,
        mean=score,
        seen=train.matrix,
    )
    return dataclasses.replace(model, objective=SquaredError(scale=(1.0, 5.0)))


def test_errors_are_those_of_the_definition():
    difference = np.array([1.0, 4.0, 3.0]) - np.array([2.0, 2.0, 3.0])
    errors = {metric.name: metric.finish(metric.loss(difference).mean()) for metric in metrics.ERROR_METRICS}
    assert errors == {"mse": pytest.approx(5 / 3), "rmse": pytest.approx((5 / 3) ** 0.5), "mae": pytest.approx(1.0)}


def test_a_report_has_the_errors_on_the_held_out_part(parts):
    train, test = parts
    report = evaluate(model_of(train), test)
    values = test.triplets().values.astype(float)
    assert report["mse"] == pytest.approx(np.mean((values - 3) ** 2))
    assert report["mae"] == pytest.approx(np.mean(np.abs(values - 3)))
    assert report.n_test == len(test)
    assert report.to_frame()["rmse"][0] == pytest.approx(report["mse"] ** 0.5)


def test_predictions_are_clipped_to_the_scale_by_default(parts):
    train, test = parts
    assert evaluate(model_of(train, 99.0), test)["mse"] == evaluate(model_of(train, 5.0), test)["mse"]
    assert evaluate(model_of(train, 99.0), test, clip=False)["mse"] > 1000


def test_training_rows_in_the_test_part_are_refused(parts):
    train, test = parts
    with pytest.raises(cf.DataError, match="720 of the 720 test ratings were in the training data"):
        evaluate(model_of(train), train)
    one = Interactions.from_rows(
        test.users, test.items, *(c[:1] for c in (train.triplets().user_rows, train.triplets().item_rows))
    )
    with pytest.raises(cf.DataError, match="1 of the 1 test ratings"):
        evaluate(model_of(train), one)


def test_training_rows_can_be_left_out(parts, ratings):
    train, test = parts
    model = model_of(train)
    left = without_training_rows(model, ratings)
    assert left.to_frame().sort("user", "item").equals(test.to_frame().sort("user", "item"))
    assert evaluate(model, left)["mse"] == pytest.approx(evaluate(model, test)["mse"])


def test_test_ratings_are_matched_by_id(parts):
    train, test = parts
    frame = test.to_frame()
    elsewhere = Interactions.from_columns(
        ["stranger", *frame["user"].reverse()],
        ["i1", *frame["item"].reverse()],
        np.array([1.0, *frame["value"].reverse()]),
    )
    report = evaluate(model_of(train), elsewhere)
    assert report["mse"] == pytest.approx(evaluate(model_of(train), test)["mse"])
    assert (report.n_test, report.n_unknown) == (len(test), 1)


def test_strangers_alone_cannot_be_measured(parts):
    strangers = Interactions.from_columns(["a"], ["b"])
    with pytest.raises(cf.DataError, match="none of the test ratings"):
        evaluate(model_of(parts[0]), strangers)


def test_a_test_part_without_anyone_in_it_cannot_be_measured(parts):
    train, test = parts
    nobody = test.at_least(9).min_counts()
    assert (nobody.n_users, nobody.n_items) == (0, 0)
    with pytest.raises(cf.DataError, match="none of the test ratings"):
        evaluate(model_of(train), nobody)
    assert not len(without_training_rows(model_of(train), nobody))


def test_strangers_cost_no_memory_when_training_rows_are_left_out():
    n_items, n_strangers = 5_000, 1_000
    users, items = (Vocabulary(np.arange(n).tolist(), kind=kind) for kind, n in (("user", 3), ("item", n_items)))
    seen = Interactions.from_rows(users, items, np.zeros(n_items, int), np.arange(n_items))  # the first has seen all
    strangers = Interactions.from_columns([*range(100, 100 + n_strangers), 0, 2], [7] * (n_strangers + 2))
    tracemalloc.start()
    left = without_training_rows(model_of(seen), strangers)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert left.to_frame()["user"].to_list() == [*range(100, 100 + n_strangers), 2]
    assert peak < 2_000_000  # bytes: what one has seen, once for each stranger, would be 40 million


def test_the_models_own_users_are_looked_up_without_a_copy_of_what_they_saw(parts, monkeypatch):
    model, looked_in = model_of(parts[0]), []
    monkeypatch.setattr(held_out, "stores", lambda seen, *rows: looked_in.append(seen) or stores(seen, *rows))
    without_training_rows(model, parts[1])
    assert looked_in[0] is model.seen


def test_a_comparison_has_a_row_for_each_solver(parts):
    @dataclasses.dataclass(frozen=True)
    class Constant:
        score: float

        def fit(self, train):
            return model_of(train, self.score)

    told = []
    comparison = compare([Constant(3.0), Constant(4.0)], *parts, done=lambda solver, report: told.append(solver))
    rows = comparison.to_frame()
    assert rows["solver"].to_list() == ["Constant"] * 2
    assert rows["mse"][0] == pytest.approx(evaluate(model_of(parts[0], 3.0), parts[1])["mse"])
    assert told == [Constant(3.0), Constant(4.0)]
    lists = compare([Constant(3.0)], *parts, k=[2, 5]).to_frame()
    assert {"ndcg@2", "ndcg@5", "mse"} <= set(lists.columns)


def test_only_what_was_liked_enough_is_relevant(parts):
    train, test = parts
    model = model_of(train)
    report = evaluate(model, test, k=5, relevant_from=5.0)
    liked = evaluate(model, test.at_least(5), k=5)
    assert report["recall@5"] == pytest.approx(liked["recall@5"])  # users without any are in neither mean
    assert report["mse"] == evaluate(model, test)["mse"]  # errors are over all ratings
    assert report.n_users == liked.n_users + report.n_without_relevant
    assert report.n_without_relevant > 0
    assert report.per_user["recall@5"].null_count() == report.n_without_relevant
    assert report.to_frame()["n_without_relevant"].to_list() == [report.n_without_relevant]


@pytest.mark.parametrize(
    ("users", "reason"),
    [
        ([1, 2], "the user ids are texts in the model, such as 'u0', and numbers in the test ratings: make them alike"),
        (["v0", "v1"], "give ratings with the model's ids, such as user 'u0' and item"),
    ],
)
def test_ratings_of_nobody_in_the_model_are_refused_with_what_ids_it_has(parts, users, reason):
    train, _ = parts
    test = cf.Interactions.from_columns(users, [train.items[0]] * 2)
    with pytest.raises(cf.DataError, match=reason):
        evaluate(model_of(train), test)


def test_a_model_of_nobody_can_not_be_measured(parts):
    _, test = parts
    empty = cf.Factors.from_arrays(np.zeros((0, 1)), np.zeros((1, 1)), [], ["i0"])
    with pytest.raises(cf.DataError, match="nothing can be measured"):
        evaluate(empty, test)


def test_where_nothing_is_relevant_there_is_no_figure(parts):
    train, test = parts
    report = evaluate(model_of(train), test, k=5, relevant_from=9.0, also=["auc"])
    assert np.isnan([report["ndcg@5"], report["auc"], *report.interval("ndcg@5")]).all()
    assert report["coverage@5"] == 0
    assert report.n_without_relevant == report.n_users


def test_each_users_figures_make_up_the_whole(parts):
    train, test = parts
    report = evaluate(model_of(train), test, k=5)
    rows = report.per_user
    assert rows.columns[:5] == ["user", "n_test", "mse", "rmse", "mae"]
    assert rows["n_test"].sum() == report.n_test == len(test)
    assert (rows["mse"] * rows["n_test"]).sum() / len(test) == pytest.approx(report["mse"])
    assert rows["ndcg@5"].mean() == pytest.approx(report["ndcg@5"])
    one = test.to_frame().filter(user=rows["user"][3])
    assert rows["mae"][3] == pytest.approx(np.abs(one["value"].to_numpy() - 3).mean())
    assert rows["rmse"][3] == pytest.approx(rows["mse"][3] ** 0.5)


def test_the_protocol_is_told_where_lists_were_measured(parts):
    train, test = parts
    assert evaluate(model_of(train), test).protocol == ""
    assert "protocol" not in evaluate(model_of(train), test).to_frame().columns
    assert evaluate(model_of(train), test, k=3).to_frame()["protocol"].to_list() == ["full ranking"]


def test_what_can_be_asked_for_besides_is_named(parts):
    train, test = parts
    assert "auc" not in evaluate(model_of(train), test, k=3).metrics
    with pytest.raises(cf.SettingError, match="also names 'aoc': it can be 'auc'"):
        evaluate(model_of(train), test, also=["aoc"])
    assert "auc" in evaluate(model_of(train), test, also="auc").metrics


def test_a_probit_models_scores_are_measured_like_any_others(ratings):
    from cofactor.solvers import BayesianMF

    train, test = ratings.split_random(test_fraction=0.2, seed=0)
    model = BayesianMF(rank=2, sweeps=12, burn_in=4, n_samples=4, likelihood="probit", seed=0).fit(train)
    report = evaluate(model, test, k=5, also=["auc"])
    predicted = model.score(test.to_frame()["user"], test.to_frame()["item"], clip=True)
    assert report["mae"] == pytest.approx(np.abs(predicted - test.to_frame()["value"].to_numpy()).mean())
    assert 0.4 < report["auc"] < 1


def test_a_figure_that_was_not_measured_is_named_beside_those_that_were():
    with pytest.raises(cf.SettingError, match=r"no 'ndgc@10' in this report; available: mse, ndcg@10"):
        Report({"mse": 1.0, "ndcg@10": 0.5}, n_test=3)["ndgc@10"]


def test_a_frame_in_place_of_ratings_is_refused_with_what_reads_it(parts):
    train, test = parts
    model = model_of(train)
    for frame in (test.to_frame(), model):
        with pytest.raises(cf.DataError, match="where Interactions are needed: make them"):
            evaluate(model, frame)
        with pytest.raises(cf.DataError, match="where Interactions are needed: make them"):
            model.update(frame)


def test_lists_among_given_items_are_those_of_a_model_of_these_items_alone() -> None:
    train, test = cf.load_dataset("synthetic:90x60x1500").split_random(test_fraction=0.3, seed=0)
    model = ImplicitALS(rank=4, epochs=3, seed=0).fit(train)
    some = model.items.ids[10:30]
    report = evaluate(model, test, k=5, candidates=some)
    lists = model.recommend(report.per_user["user"], n=5, candidates=some)
    held = test.to_frame().filter(pl.col("item").is_in(some.to_list()))
    hits = lists.join(held, on=["user", "item"], how="semi")
    relevant = held.group_by("user").len()
    expected = relevant.join(hits.group_by("user").len(name="hits"), on="user", how="left").fill_null(0)
    assert report["recall@5"] == pytest.approx((expected["hits"] / expected["len"]).mean())
    assert report.protocol == "full ranking of 20 items"


def test_candidates_that_the_model_lacks_are_refused() -> None:
    train, test = cf.load_dataset("synthetic:90x60x1500").split_random(test_fraction=0.3, seed=0)
    with pytest.raises(DataError, match="candidates names no item"):
        evaluate(ImplicitALS(rank=4, epochs=3, seed=0).fit(train), test, candidates=[10**6])
