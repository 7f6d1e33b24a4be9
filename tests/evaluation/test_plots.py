"""Pictures: what is drawn is what was learnt."""

import dataclasses

import numpy as np
import pytest

import cofactor as cf

plots = pytest.importorskip("cofactor.evaluation.plots", reason="the extra plots is not installed")


@pytest.fixture(scope="module")
def model(titled):
    random = np.random.default_rng(0)
    model = cf.Factors.from_arrays(
        random.normal(size=(titled.n_users, 4)), random.normal(size=(titled.n_items, 4)), titled.users, titled.items,
        item_bias=random.normal(size=titled.n_items), mean=3.5, seen=titled.matrix,
    )  # fmt: skip
    return dataclasses.replace(model, texts=titled.texts, history={"mse": (3.0, 2.0, 1.0), "val_mse": (3.5, 3.0, 2.5)})


def lines_of(figure):
    return {line.get_label(): line.get_ydata().tolist() for line in figure.axes[0].get_lines()}


def test_the_curve_shows_the_history_on_a_log_axis(model):
    figure = plots.training_curve({"mine": model.history, "bare": {"loss": (5.0,)}})
    assert lines_of(figure) == {
        "mine, training": [3.0, 2.0, 1.0], "mine, validation": [3.5, 3.0, 2.5], "bare, training": [5.0],
    }  # fmt: skip
    assert figure.axes[0].get_yscale() == "log"
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
    texts = {text.get_text() for text in plots.model_diagram(shown).axes[0].texts}
    assert {"user vectors", "item vectors", "dot product", "score", "60 × 4", "40 × 4"} <= texts
    assert ("item bias" in texts) == biased
