"""Charts of data, models, lists and searches: what is drawn is what was learnt."""

import dataclasses
import re
import tracemalloc

import numpy as np
import pytest

import cofactor as cf
from cofactor.data import passes
from cofactor.data.passes import as_csr
from cofactor.evaluation import plots
from cofactor.evaluation.plane import item_plane


@pytest.fixture(scope="module")
def model(titled):
    random = np.random.default_rng(0)
    model = cf.Factors.from_arrays(
        random.normal(size=(titled.n_users, 4)), random.normal(size=(titled.n_items, 4)), titled.users, titled.items,
        item_bias=random.normal(size=titled.n_items), mean=3.5, seen=titled.matrix,
    )  # fmt: skip
    return dataclasses.replace(
        model, metadata=titled.metadata, history={"mse": (3.0, 2.0, 1.0), "val_mse": (3.5, 3.0, 2.5)}
    )


def titles_of(chart):
    """Return what the marks of a chart are called."""
    return re.findall(r"<title>(.*?)</title>", chart.picture)


def texts_of(chart):
    return re.findall(r"<text[^>]*>(.*?)</text>", chart.picture)


def test_the_map_counts_what_was_seen_a_part_at_a_time(monkeypatch):
    n_users, n_items = 4_000, 50
    seen = as_csr(
        np.ones(n_users * n_items, np.float32),
        np.tile(np.arange(n_items, dtype=np.int32), n_users),
        np.arange(n_users + 1) * n_items,
        (n_users, n_items),
    )
    vectors = np.random.default_rng(0).normal(size=(n_items, 3))
    model = cf.Factors.from_arrays(np.zeros((n_users, 3)), vectors, range(n_users), range(n_items), seen=seen)
    at_once = item_plane(model)
    monkeypatch.setattr(passes, "_COUNTED_AT_ONCE", 3_000)
    tracemalloc.start()
    plane = item_plane(model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(plane, at_once)
    assert peak < 200_000  # bytes: all 200,000 places as 64-bit numbers would be 1,600,000


def test_the_curve_shows_the_history(model):
    chart = plots.training_curve({"mine": model.history, "bare": {"loss": (5.0,)}})
    assert chart.labels == ["mine, training", "mine, validation", "bare, training"]
    assert titles_of(chart) == [
        "mine, training, 1: 3.0000", "mine, training, 2: 2.0000", "mine, training, 3: 1.0000",
        "mine, validation, 1: 3.5000", "mine, validation, 2: 3.0000", "mine, validation, 3: 2.5000",
        "bare, training, 1: 5.0000",
    ]  # fmt: skip
    assert chart.title == "Mean squared error or loss by epoch"
    one = plots.training_curve({"pairs": {"loss": (0.7, 0.6)}})
    assert one.title == "Loss: 0.7000 at first, 0.6000 in the end"
    assert one.note == "On the training data."
    steep = plots.training_curve({"pairs": {"objective": (900.0, 6.0)}}, figure="objective")
    assert steep.note == "On the training data; the axis is logarithmic."
    with pytest.raises(cf.DataError, match="no training history"):
        plots.training_curve({"none": {}})


def test_errors_are_drawn_in_order_of_rank():
    chart = plots.error_by_rank({"ours": {20: 0.8, 5: 0.9}, "theirs": {10: 1.2}})
    assert titles_of(chart) == ["ours, 5: 0.9000", "ours, 20: 0.8000", "theirs, 10: 1.2000"]
    assert chart.note == "Lower is better."
    assert plots.error_by_rank({"ours": {5: 0.4}}, metric="ndcg@10").title == "nDCG at 10 by rank"


def test_the_map_is_coloured_by_ratings_and_never_by_weights(model):
    assert "mean rating: below" in plots.item_map(model).picture
    lists = dataclasses.replace(model, objective=dataclasses.replace(model.objective, goal="ranking"))
    assert "mean rating" not in plots.item_map(lists).picture


def test_the_plane_holds_the_most_of_the_vectors(model):
    plane = item_plane(model)
    weights = np.bincount(model.seen.indices, minlength=model.n_items)
    centred = model.item_vectors - np.average(model.item_vectors, axis=0, weights=weights)
    strongest = np.linalg.svd(centred * np.sqrt(weights)[:, None], compute_uv=False)[:2]
    assert np.sqrt((plane**2 * weights[:, None]).sum(axis=0)) == pytest.approx(strongest, rel=1e-5)
    assert np.array_equal(plane, item_plane(model))


def test_a_single_factor_and_no_history_of_users_still_has_a_plane():
    bare = cf.Factors.from_arrays(np.ones((2, 1)), np.arange(3.0).reshape(3, 1))
    assert item_plane(bare)[:, 1].tolist() == [0, 0, 0]
    assert plots.item_map(bare).picture.count("<circle") == 3


@pytest.mark.parametrize("biased", [True, False])
def test_the_diagram_names_its_parts(model, biased):
    shown = model if biased else dataclasses.replace(model, item_bias=None, mean=0.0)
    texts = set(texts_of(plots.model_diagram(shown)))
    assert {"user vectors", "item vectors", "dot product", "score", "60 × 4", "40 × 4"} <= texts
    assert ("item bias" in texts) == biased


@pytest.fixture(scope="module")
def reports(ratings):
    from cofactor.evaluation import evaluate
    from cofactor.solvers import ALS, ImplicitALS, Popularity

    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    solvers = {"ALS": ALS(rank=3, seed=0), "implicit": ImplicitALS(rank=3, seed=0), "popular": Popularity()}
    return {label: evaluate(solver.fit(train), test, k=[1, 5, 10]) for label, solver in solvers.items()}


def test_errors_by_rank_have_bands_and_what_has_no_rank_is_a_level_line():
    errors = {"ours": {5: 0.9, 20: 0.8}, "biases": {0: 0.95}}
    chart = plots.error_by_rank(errors, intervals={"ours": {5: (0.85, 0.95), 20: (0.78, 0.83)}})
    assert chart.labels == ["ours", "biases (0.950)"]
    assert titles_of(chart)[2:] == ["biases (0.950), 5: 0.9500", "biases (0.950), 20: 0.9500"]
    assert chart.picture.count('class="band') == 1
    assert chart.note == "Lower is better; the band: 95 % intervals over users."


def test_recall_is_drawn_at_every_length_that_was_measured(reports):
    chart = plots.recall_by_cut_off(reports)
    expected = [f"{label}, {k}: {report[f'recall@{k}']:.4f}" for label, report in reports.items() for k in (1, 5, 10)]
    assert titles_of(chart) == expected
    assert "full ranking" in chart.note
    with pytest.raises(cf.DataError, match="no report has auc at any length"):
        plots.recall_by_cut_off(reports, metric="auc")


@pytest.mark.parametrize("against", ["novelty", "popularity_share"])
def test_each_model_is_a_point(reports, against):
    chart = plots.accuracy_against_popularity(reports, 5, against=against)
    assert chart.labels == list(reports)
    assert [title.split(":")[0] for title in titles_of(chart)] == list(reports)
    with pytest.raises(cf.DataError, match="evaluate with k=7"):
        plots.accuracy_against_popularity(reports, 7)
