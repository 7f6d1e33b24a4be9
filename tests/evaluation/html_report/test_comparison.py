"""Two models on one page: the verdict, the differences, both lists for the same people, marks by what they rated."""

import re

import polars as pl
import pytest

import cofactor as cf
from cofactor.evaluation import better, evaluate, report_page
from cofactor.evaluation.metrics import METRICS
from cofactor.solvers import ALS, ImplicitALS


@pytest.fixture(scope="module")
def pair(lists, parts):
    other = ImplicitALS(rank=1, epochs=1).fit(parts[0])
    return other, report_page(lists[0], parts[1], name="new", against=other, against_name="old", examples=4)


def test_the_first_line_is_the_verdict_with_its_interval(pair, lists, parts, read):
    ours, theirs = evaluate(lists[0], parts[1]), evaluate(pair[0], parts[1])
    found, text = better(ours, theirs, "ndcg@10"), read(pair[1]).text.replace("−", "-")
    assert f"nDCG at 10 {ours['ndcg@10']:.4f} against {theirs['ndcg@10']:.4f}, {found.mean:+.4f}" in text
    assert f"(95 % interval {found.low:+.4f} to {found.high:+.4f}); higher is better" in text
    clear = not found.low <= 0 <= found.high
    who = f"new is {'better' if found.mean > 0 else 'worse'} than old" if clear else "No clear difference between new"
    assert text.index(who) < text.index("for top-n lists")


def test_without_another_model_the_best_baseline_is_the_measure(stars, lists, read):
    assert re.search(r"(better than|worse than|between \S+ and) popularity", read(lists[1]).text)
    assert re.search(r"(better|worse) than biases alone|between \S+ and biases alone", read(stars[1]).text)
    assert "root mean squared error" in read(stars[1]).text.partition("lower is better")[0]


def test_both_lists_stand_side_by_side_for_the_same_people(pair, lists, read):
    articles = re.findall(r"<article.*?</article>", pair[1], re.DOTALL)
    assert len(articles) == 4
    for article in articles:
        text = read(article).text
        user = re.search(r"User (u\d+)", text)[1]
        before, _, rest = text.partition("new , first 10")
        ours, _, theirs = rest.partition("old , first 10")
        assert before
        for model, shown in ((lists[0], ours), (pair[0], theirs)):
            titles = model.recommend([user], n=10)["title"].to_list()
            places = [shown.index(title) for title in titles if title.startswith("Film")]
            assert places == sorted(places)


def test_a_held_out_item_that_was_disliked_gets_no_tick(pair, lists, parts, read):
    rated = {(u, i): v for u, i, v in parts[1].to_frame().select("user", "item", "value").iter_rows()}
    signs = {1: "✗", 2: "✗", 3: "•", 4: "✓", 5: "✓"}
    expected, shown = [], []
    for article in re.findall(r"<article.*?</article>", report_page(lists[0], parts[1], examples=40), re.DOTALL):
        text = read(article).text
        user = re.search(r"User (u\d+)", text)[1]
        listed = lists[0].recommend([user], n=10)["item"]
        expected += [f"{signs[rated[user, i]]} rated {rated[user, i]:g}" for i in listed if (user, i) in rated]
        shown += re.findall(r"[✓•✗] rated [\d.]+", text)
    assert shown == expected
    assert {"✓ rated 5", "✗ rated 1"} <= set(shown)


def test_plays_are_hits_whatever_their_count(parts, read):
    plays = cf.from_frame(pl.DataFrame({"user": [1, 1, 2, 2, 3], "item": [7, 8, 7, 8, 8], "value": [1, 40, 900, 2, 7]}))
    train, test = plays.split_rows([1, 3])
    text = read(report_page(ImplicitALS(rank=1, epochs=1).fit(train), test, examples=5)).text
    assert "✓ held out: 40" in text
    assert "✗" not in text


def test_every_metric_has_a_definition_and_a_direction_on_the_page(pair, stars, read):
    for page in (pair[1], stars[1]):
        found = read(page)
        ids = set(found.ids())
        links = [attributes for tag, attributes in found.elements if attributes.get("class") == "term"]
        assert len(links) > 10
        for link in links:
            kind = link["href"].removeprefix("#metric-")
            assert link["href"].removeprefix("#") in ids
            assert link["title"] == METRICS[kind].definition
            assert METRICS[kind].definition in found.text
        assert found.text.count("is better") >= len(links)


def test_a_table_of_epochs_says_what_it_leaves_out(parts, read):
    train, test = parts
    text = read(report_page(ALS(rank=2, epochs=30).fit(train), test, examples=0)).text
    assert "20 of 30 epochs; the picture has all." in text
    assert "the picture has all" not in read(report_page(ALS(rank=2, epochs=9).fit(train), test, examples=0)).text


def test_models_of_other_users_and_items_are_compared_by_what_both_know(parts, read):
    train, test = parts
    kept = pl.col("user").is_in(train.users.ids.to_list()[:30])
    fewer = cf.from_frame(train.to_frame().filter(kept).drop("timestamp"))
    whole, small = ImplicitALS(rank=3, epochs=3).fit(train), ImplicitALS(rank=3, epochs=3).fit(fewer)
    known = pl.col("item").is_in(small.items.ids.to_list())
    both = test.to_frame().filter(kept & known)
    page = read(report_page(whole, test, against=small, against_name="small", examples=0))
    measured = [evaluate(model, cf.from_frame(both.drop("timestamp"))) for model in (whole, small)]
    assert page.figures["ndcg@10"] == {measured[0]["ndcg@10"]}
    assert page.figures["small ndcg@10"] == {measured[1]["ndcg@10"]}
    assert f"{len(test) - len(both):,} held-out ratings are left out" in page.text
    strangers = cf.from_frame(pl.DataFrame({"user": ["x", "y"], "item": ["a", "b"]}))
    with pytest.raises(cf.DataError, match="in all of the models: compare models"):
        report_page(whole, test, against=ImplicitALS(rank=1, epochs=1).fit(strangers))


def test_names_of_models_are_text(lists, parts, read):
    page = read(report_page(lists[0], parts[1], against=lists[0], against_name="<script>x</script>", examples=1))
    assert page.faults == []
    assert [tag for tag, _ in page.elements].count("script") == 1
