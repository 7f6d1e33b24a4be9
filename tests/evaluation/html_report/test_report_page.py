"""The page about a model: its figures are evaluate's, its texts are escaped, and it needs nothing but itself."""

import dataclasses
import re

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.data.interactions import Interactions
from cofactor.evaluation import calibration, evaluate, exposure, report_page
from cofactor.solvers import ALS, BiasOnly, ImplicitALS, Popularity

SECTIONS = [
    "segments", "data", "training", "ranks", "calibration", "lists", "map", "users", "figures", "card", "missing",
]  # fmt: skip


def sections(page):
    return re.findall(r'<section id="(\w+)"', page)


def test_every_figure_is_the_one_that_evaluate_gives(stars, lists, parts, read):
    for (model, page), lengths in ((stars, [1, 3, 5, 10, 20]), (lists, [1, 5, 10, 20])):
        expected = evaluate(model, parts[1], k=lengths)
        shown = read(page).figures
        assert {name: {value} for name, value in expected.metrics.items()} == {
            name: shown[name] for name in expected.metrics
        }
        low, high = expected.interval("ndcg@10")
        assert f"{low:.4f} – {high:.4f}" in read(page).text


def test_what_counts_as_liked_is_told_and_counts_for_baselines_too(lists, parts, read):
    train, test = parts
    page = read(report_page(lists[0], test, relevant_from=4.0, examples=0))
    expected = evaluate(lists[0], test, k=10, relevant_from=4.0)
    assert page.figures["ndcg@10"] == {expected["ndcg@10"]} != read(lists[1]).figures["ndcg@10"]
    popular = evaluate(Popularity().fit(train), test, k=10, relevant_from=4.0)
    assert page.figures["popularity alone ndcg@10"] == {popular["ndcg@10"]}
    for words in (
        "of which those of 4 or more count as chosen",
        "every one that was held out and rated 4 or more is relevant",
        f"{expected.n_without_relevant} users have none",
    ):
        assert words in page.text


def test_baselines_are_trained_on_what_the_model_was_trained_on(stars, lists, parts, read):
    train, test = parts
    shown = read(stars[1]).figures
    assert shown["popularity alone ndcg@10"] == {evaluate(Popularity().fit(train), test, k=10)["ndcg@10"]}
    assert shown["biases alone recall@3"] == {evaluate(BiasOnly().fit(train), test, k=3)["recall@3"]}
    assert "biases alone" not in read(lists[1]).text


def test_calibration_is_that_of_the_model(stars, parts, read):
    shown = read(stars[1]).figures
    for level, share, _ in calibration(stars[0], parts[1]).iter_rows():
        assert shown[f"inside {level}"] == {share}


def test_other_ranks_learn_from_the_training_part_alone(predictor, parts, read, monkeypatch):
    seen, fit = [], ALS.fit
    monkeypatch.setattr(
        ALS, "fit", lambda solver, train, **more: seen.append((solver, train)) or fit(solver, train, **more)
    )
    whole = report_page(predictor, joined(parts), ranks=[1, 3, 2])
    assert [solver for solver, _ in seen] == [ALS(rank=rank, epochs=4) for rank in (1, 2)]  # its own is 3
    for _, train in seen:
        assert (train.matrix != parts[0].matrix).nnz == 0
    shown = read(whole).figures
    assert shown["rank 3 mse"] == shown["mse"]
    assert shown["rank 1 mse"] == {evaluate(ALS(rank=1, epochs=4).fit(parts[0]), parts[1])["mse"]}


def joined(parts):
    """Return both parts as one table, as a file holds them."""
    one, other = parts
    whole = (one.matrix + other.matrix).tocsr()
    return dataclasses.replace(one, matrix=whole, timestamps=None, order=None)


def test_training_ratings_among_the_data_change_no_figure(lists, parts, read):
    model, page = lists
    whole = read(report_page(model, joined(parts)))
    assert whole.figures == read(page).figures
    assert "720 of these ratings trained the model; 180 were held out" in whole.text
    assert "0 of these ratings trained the model; 180 were held out" in read(page).text


def test_the_page_has_every_section_that_can_be_had(stars, lists):
    assert sections(stars[1]) == SECTIONS[:-1]
    assert sections(lists[1]) == [name for name in SECTIONS if name not in ("ranks", "calibration")]
    assert "Calibration</b>: the model gives no intervals" in lists[1]


def test_the_room_that_lists_give_to_groups_is_that_of_exposure(lists, parts, read):
    model, (train, test) = lists[0], parts
    kinds = pl.Series(["tea", "coffee", "milk"] * train.n_items)[: train.n_items]
    train, test = (one.with_items(pl.DataFrame({"item": one.items.ids, "kind": kinds})) for one in (train, test))
    page = read(report_page(model, test, examples=0)).text
    users = [user for user in test.users if user in set(evaluate(model, test, k=10).measured_users().users)]
    found = exposure(model.recommend(users, 10, on_unknown="skip"), test, by="kind").drop_nulls()
    for group, share, chosen, times in found.select("group", "exposure", "chosen", "ratio").iter_rows():
        assert f"{group} {100 * share:.0f} % {100 * chosen:.0f} % {times:.2f}" in page
    far = max(found.iter_rows(named=True), key=lambda one: abs(np.log(one["ratio"])))
    assert f"Lists show {far['group']} {far['ratio']:.2f} times as much as people choose it" in page
    assert "times as much as people choose it" not in read(lists[1]).text


def test_whatever_stands_in_titles_ids_and_names_is_text(stars, parts, read):
    page = read(stars[1])
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert "img" not in {tag for tag, _ in page.elements}
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert " ".join(parts[0].metadata.titles[0].replace("\x07", "\ufffd").split()) in page.text
    assert "Stars & co – cofactor report" in page.text
    assert "<b>stars</b>" in page.text
    assert "\x07" not in stars[1]


def test_nothing_is_fetched_from_anywhere(stars, lists, read):
    for _, page in (stars, lists):
        for tag, attributes in read(page).elements:
            assert not {"src", "srcset", "data", "style", "xlink:href"} & set(attributes), tag
            assert attributes.get("href", "#").startswith("#")
        style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
        assert not re.search(r"url\(|@import|@font-face|http", style)
        assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page


def test_the_html_is_sound(stars, lists, read):
    for _, page in (stars, lists):
        found = read(page)
        assert page.startswith("<!doctype html>\n<html lang=")
        assert found.faults == []
        ids = found.ids()
        assert len(set(ids)) == len(ids)
        for _, attributes in found.elements:
            for name in ("aria-labelledby", "href"):
                if name in attributes:
                    assert attributes[name].removeprefix("#") in ids


def test_every_picture_has_words_and_a_table(stars, read):
    _, *figures = stars[1].split("<figure")  # a table stands in its figure, or beside it
    assert len(figures) == 11
    for figure in figures:
        found = read(f"<figure{figure}")
        pictures = [
            attributes for tag, attributes in found.elements if tag == "svg" and attributes.get("role") == "img"
        ]
        assert len(pictures) == 1
        assert len(pictures[0]["aria-label"]) > 20
        assert "table" in [tag for tag, _ in found.elements]
        assert [tag for tag, _ in found.elements].count("td") > 3


def test_people_are_shown_with_what_they_had_and_their_list(lists, parts, read):
    model, page = lists
    people = re.findall(r"<article.*?</article>", page, re.DOTALL)
    assert len(people) == 3
    had = []
    for article in people:
        found = read(article)
        user = re.search(r"User (u\d+)", found.text)[1]
        row = int(model.users.rows([user])[0])
        had.append(int(np.diff(model.seen.indptr)[row]))
        assert f"{had[-1]} in training" in found.text
        listed = model.recommend([user], n=10)
        assert all(title in found.text for title in listed["title"] if title.startswith("Film"))
        held = set(parts[1].user_history(user)["item"]) & set(listed["item"])
        assert len(re.findall("[✓•✗] rated", found.text)) == len(held)
    assert had == sorted(had)
    assert "<article" not in report_page(model, parts[1], examples=0)


def test_a_page_may_have_no_titles_times_history_or_spread(ratings, read):
    train, test = dataclasses.replace(ratings, timestamps=None, order=None).split_random(seed=1)
    model = Popularity().fit(train)
    page = report_page(model, test)
    assert sections(page) == ["data", "lists", "users", "figures", "card", "missing"]
    assert read(page).faults == []
    for reason in ("the model has no training history", "no other rank was asked for", "the model has no vectors"):
        assert reason in page
    assert "popularity alone" not in page  # it is the model itself


def test_vectors_from_elsewhere_have_a_page(ratings, read):
    model = cf.Factors.from_arrays(
        np.ones((60, 1)), np.ones((40, 1)), users=ratings.users.ids.to_list(), items=ratings.items.ids.to_list()
    )
    page = report_page(model, ratings, name="elsewhere")
    assert read(page).faults == []
    assert read(page).figures["rmse"] == {evaluate(model, ratings)["rmse"]}
    assert sections(page) == ["data", "lists", "map", "figures", "card", "missing"]
    with pytest.raises(cf.SettingError, match="made by from_arrays"):
        report_page(model, ratings, ranks=[2])


@pytest.mark.parametrize("values", [None, [5.0, 1.0, 3.0], [1.0, 900.0, 20_000.0]])
def test_three_interactions_are_enough(read, values):
    values = None if values is None else np.array(values)
    tiny = Interactions.from_columns([1, 1, 2], [7, 8, 7], values)
    train, test = tiny.split_rows([1])
    model = ImplicitALS(rank=2, epochs=2).fit(train.binary())
    page = report_page(model, tiny)
    assert read(page).faults == []
    assert read(page).figures["hit@10"] == {evaluate(model, test)["hit@10"]}
    assert not re.search(r"\bnan\b", read(page).text.lower())


def test_what_cannot_be_is_refused(lists, parts):
    model, _ = lists
    with pytest.raises(cf.DataError, match="trained on every one of these"):
        report_page(model, parts[0])
    with pytest.raises(cf.SettingError, match="Popularity has no rank"):
        report_page(Popularity().fit(parts[0]), parts[1], ranks=[5])
    for examples in (-1, 1.5, "3", True):
        with pytest.raises(cf.SettingError, match=f"examples is {examples!r}"):
            report_page(model, parts[1], examples=examples)
    with pytest.raises(cf.SettingError, match="k is 0"):
        report_page(model, parts[1], k=0)
    with pytest.raises(cf.SettingError, match=r"rank=0"):
        report_page(model, parts[1], ranks=[0])
