"""What objects show of themselves in a notebook: whole and escaped HTML, with nothing to fetch."""

from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.data import notebook
from cofactor.evaluation import compare, evaluate
from cofactor.solvers import Popularity
from cofactor.solvers.als import ALS


def texts_of(shown):
    """Read the HTML, which must be whole, and return the texts of its cells, row by row."""
    return [["".join(cell.itertext()) for cell in row] for row in ElementTree.fromstring(shown).iter("tr")]


@pytest.fixture(scope="module")
def parts():
    return cf.load_dataset("synthetic:60x40x600").split_random(test_fraction=0.2, seed=0)


@pytest.fixture(scope="module")
def objects(parts):
    train, test = parts
    model = ALS(rank=2, epochs=2).fit(train)
    both = compare([ALS(rank=2, epochs=2), Popularity()], train, test, k=5)
    return {"interactions": train, "model": model, "report": evaluate(model, test, k=[5, 10]), "comparison": both}


@pytest.mark.parametrize("name", ["interactions", "model", "report", "comparison"])
def test_it_is_whole_fetches_nothing_and_has_no_colour_of_its_own(name, objects):
    shown = objects[name]._repr_html_()
    assert len(texts_of(shown)) > 1
    for unwanted in ("<script", "<style", "<link", "<img", "http", "url(", ": #", "background", " color:"):
        assert unwanted not in shown


def test_interactions_show_their_size_and_values(objects):
    shown = dict(texts_of(objects["interactions"]._repr_html_()))
    assert shown["users"] == "60"
    assert shown["ratings"] == "480"
    assert shown["values"] == "1 to 5"
    assert shown["also known"] == "times, title"
    assert "values" not in dict(texts_of(objects["interactions"].binary()._repr_html_()))


def test_interactions_without_users_show_themselves_too(objects):
    none = objects["interactions"].at_least(9).min_counts(per_user=1)
    assert dict(texts_of(none._repr_html_()))["users"] == "0"


def test_a_model_shows_where_it_comes_from(objects):
    shown = objects["model"]._repr_html_()
    known = dict(texts_of(shown))
    assert repr(objects["model"]) in shown
    assert known["trained for"] == "ratings"
    assert known["learnt from"] == objects["model"].origin.data
    assert "rank=2" in known["settings"]
    last = objects["model"].history["mse"][-1]
    assert known["mse at the end"] == f"{last:.4f}"


def test_a_model_of_ones_own_vectors_shows_itself_too():
    model = cf.Factors.from_arrays(np.ones((3, 2)), np.ones((4, 2)))
    assert dict(texts_of(model._repr_html_()))["known pairs"] == "0"


def test_a_report_shows_every_metric_and_by_what_protocol(objects):
    report = objects["report"]
    assert texts_of(report._repr_html_())[1:] == [[name, f"{value:.4f}"] for name, value in report.metrics.items()]
    assert report.protocol in report._repr_html_()
    assert f"{report.n_test:,} held-out ratings" in report._repr_html_()


def test_a_comparison_shows_a_row_for_each_solver(objects):
    head, *rows = texts_of(objects["comparison"]._repr_html_())
    assert head == objects["comparison"].to_frame().columns
    assert [row[0] for row in rows] == ["ALS", "Popularity"]
    assert rows[1][head.index("mse")] == "–"  # popularity predicts no ratings


def test_names_from_outside_are_only_text():
    table = pl.DataFrame({"user": ["u"], "item": ["i"], "value": [1.0]})
    named = cf.from_frame(table, user="user", item="item", value="value", name="<script>alert('&')</script>")
    shown = named._repr_html_()
    assert "<script" not in shown
    assert "&lt;script&gt;" in shown
    assert "<b>" not in notebook.table("<b>", ["<b>"], [["<b>", "<b>"]], "<b>")


def test_what_is_missing_is_a_dash_or_left_out():
    assert texts_of(notebook.table("t", ["a", "b", "c"], [["x", None, float("nan")]]))[1] == ["x", "–", "–"]
    assert texts_of(notebook.facts("t", {"a": None, "b": "", "c": 0, "d": True})) == [["c", "0"], ["d", "yes"]]
