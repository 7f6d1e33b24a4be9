"""Pictures: what is drawn is what was learnt."""

import dataclasses
import tracemalloc

import numpy as np
import pytest

import cofactor as cf
from cofactor.data import passes
from cofactor.data.passes import as_csr
from cofactor.evaluation.plane import item_plane

plots = pytest.importorskip("cofactor.evaluation.plots", reason="the extra plots is not installed")


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


def lines_of(figure):
    return {line.get_label(): list(line.get_ydata()) for line in figure.axes[0].get_lines()}


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
    monkeypatch.setattr(passes, "_ROWS_AT_ONCE", 3_000)
    tracemalloc.start()
    plane = item_plane(model)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(plane, at_once)
    assert peak < 200_000  # bytes: all 200,000 places as 64-bit numbers would be 1,600,000


def said(figure):
    return figure.axes[0].metadata[0].get_text()


def test_the_curve_shows_the_history_on_a_log_axis(model):
    figure = plots.training_curve({"mine": model.history, "bare": {"loss": (5.0,)}})
    assert lines_of(figure) == {
        "mine, training": [3.0, 2.0, 1.0], "mine, validation": [3.5, 3.0, 2.5], "bare, training": [5.0],
    }  # fmt: skip
    assert figure.axes[0].get_yscale() == "log"
    assert said(figure) == "mean squared error or loss, log axis"
    assert said(plots.training_curve({"pairs": {"loss": (0.7, 0.6)}})) == "loss, log axis"
    with pytest.raises(cf.DataError, match="no training history"):
        plots.training_curve({"none": {}})


def test_errors_are_drawn_in_order_of_rank():
    figure = plots.error_by_rank({"ours": {20: 0.8, 5: 0.9}, "theirs": {10: 1.2}})
    assert lines_of(figure) == {"ours": [0.9, 0.8], "theirs": [1.2]}
    assert figure.axes[0].get_xticks().tolist() == [5, 10, 20]


def test_the_map_names_films_without_covering(model, tmp_path):
    figure = plots.item_map(model, labels=10)
    texts = [text for text in figure.axes[0].texts if text.get_text().startswith("Film")]
    assert 0 < len(texts) <= 10
    boxes = [text.get_window_extent() for text in texts]
    assert not any(one.overlaps(two) for k, one in enumerate(boxes) for two in boxes[:k])
    figure.savefig(tmp_path / "map.png")


def test_the_plane_holds_the_most_of_the_vectors(model):
    plane = plots.item_plane(model)
    weights = np.bincount(model.seen.indices, minlength=model.n_items)
    centred = model.item_vectors - np.average(model.item_vectors, axis=0, weights=weights)
    strongest = np.linalg.svd(centred * np.sqrt(weights)[:, None], compute_uv=False)[:2]
    assert np.sqrt((plane**2 * weights[:, None]).sum(axis=0)) == pytest.approx(strongest, rel=1e-5)
    assert np.array_equal(plane, plots.item_plane(model))


def test_a_single_factor_and_no_history_of_users_still_has_a_plane():
    bare = cf.Factors.from_arrays(np.ones((2, 1)), np.arange(3.0).reshape(3, 1))
    assert plots.item_plane(bare)[:, 1].tolist() == [0, 0, 0]
    assert plots.item_map(bare).axes


@pytest.mark.parametrize("biased", [True, False])
def test_the_diagram_names_its_parts(model, biased):
    shown = model if biased else dataclasses.replace(model, item_bias=None, mean=0.0)
    texts = {text.get_text() for text in plots.model_diagram(shown).axes[0].metadata}
    assert {"user vectors", "item vectors", "dot product", "score", "60 × 4", "40 × 4"} <= texts
    assert ("item bias" in texts) == biased


@pytest.fixture(scope="module")
def reports(ratings):
    from cofactor.evaluation import evaluate
    from cofactor.solvers import ALS, ImplicitALS, Popularity

    train, test = ratings.split_per_user(test_fraction=0.25, seed=0)
    solvers = {"ALS": ALS(rank=3, seed=0), "implicit": ImplicitALS(rank=3, seed=0), "popular": Popularity()}
    return {label: evaluate(solver.fit(train), test, k=[1, 5, 10]) for label, solver in solvers.items()}


def test_errors_by_rank_have_bands_and_what_has_no_rank_is_a_dashed_line():
    errors = {"ours": {5: 0.9, 20: 0.8}, "biases": {0: 0.95}}
    figure = plots.error_by_rank(errors, intervals={"ours": {5: (0.85, 0.95), 20: (0.78, 0.83)}})
    assert lines_of(figure) == {"ours": [0.9, 0.8], "biases (0.950)": [0.95, 0.95]}
    assert figure.axes[0].get_xticks().tolist() == [5, 20]
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (0.78, 0.95)


def test_recall_is_drawn_at_every_length_that_was_measured(reports):
    from cofactor.evaluation import list_plots

    figure = list_plots.recall_by_cut_off(reports)
    expected = {label: [report[f"recall@{k}"] for k in (1, 5, 10)] for label, report in reports.items()}
    assert lines_of(figure) == expected
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["1", "5", "10"]
    assert any("full ranking" in text.get_text() for text in figure.axes[0].metadata)
    with pytest.raises(cf.DataError, match="no report has auc at any length"):
        list_plots.recall_by_cut_off(reports, metric="auc")


@pytest.mark.parametrize("against", ["novelty", "popularity_share"])
def test_each_model_is_a_labelled_point_and_no_label_covers_another(reports, against):
    from cofactor.evaluation import list_plots

    figure = list_plots.accuracy_against_popularity(reports, 5, against=against)
    labels = [text for text in figure.axes[0].texts if text.get_text() in reports]
    assert [text.get_text() for text in labels] == list(reports)
    assert [text.xy for text in labels] == [(r[f"{against}@5"], r["ndcg@5"]) for r in reports.values()]
    boxes = [text.get_window_extent() for text in labels]
    assert not any(one.overlaps(two) for k, one in enumerate(boxes) for two in boxes[:k])
    with pytest.raises(cf.DataError, match="evaluate with k=7"):
        list_plots.accuracy_against_popularity(reports, 7)
