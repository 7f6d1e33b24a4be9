"""Conditions and rules in requests: the lists that Python gives, and what is wrong with them, by field."""

import datetime

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.apps.web.recommendations import warm_rules
from cofactor.apps.web.served_model import load_served
from cofactor.kernels import greedy
from cofactor.lists import AtMost, Boost, Calibrate, Diversify
from cofactor.solvers import ImplicitALS


@pytest.fixture(scope="module")
def shop(titled, tmp_path_factory):
    """A model file whose items have attributes of every kind."""
    n = titled.n_items
    brands = ["Acme", "O'Duff", "|", "'x' in (price)"]
    table = titled.item_table.with_columns(
        genres=pl.Series([["Comedy", "Drama|War", "War", None][k % 4] for k in range(n)]),
        tags=pl.Series([[["new"], ["new", "hot"], [], None][k % 4] for k in range(n)], dtype=pl.List(pl.String)),
        adult=pl.Series([k % 3 == 0 for k in range(n)]),
        price=pl.Series([None if k % 7 == 0 else float(k) for k in range(n)]),
        brand=pl.Series([brands[k % 3 if k % 3 < 2 else 3] for k in range(n)]),
        since=pl.Series([datetime.date(2024, 1 + k % 3, 1) for k in range(n)]),
        **{"box `size`": pl.Series([k % 2 for k in range(n)])},
    )
    model = ImplicitALS(rank=4, epochs=4, seed=0).fit(titled.with_items(table).at_least(4).binary())
    return model.save(tmp_path_factory.mktemp("shop") / "shop.safetensors")


@pytest.fixture
def client(make_client, shop):
    return make_client(shop)


@pytest.fixture
def model(shop):
    return cf.load(shop)


def items(answer):
    assert answer.status_code == 200, answer.text
    return [entry["item"] for entry in answer.json()["items"]]


CHOICES = {
    "condition": ({"where": "price < 20 and not adult"}, {"where": "price < 20 and not adult"}),
    "at most": ({"at_most": 1}, {"rerank": [AtMost(1, per="genres")]}),
    "at most per": ({"at_most": 2, "per": "brand"}, {"rerank": [AtMost(2, per="brand")]}),
    "diversify": ({"diversify": "genres", "strength": 0.5}, {"rerank": [Diversify("genres", 0.5)]}),
    "diversify alone": ({"diversify": "tags"}, {"rerank": [Diversify("tags")]}),
    "calibrate": ({"calibrate": "genres", "strength": 0.9}, {"rerank": [Calibrate("genres", 0.9)]}),
    "boost": ({"boost": "'War' in genres", "weight": 0.5}, {"rerank": [Boost("'War' in genres", 0.5)]}),
    "all": (
        {"where": "price > 3", "boost": "adult", "weight": -0.3, "at_most": 3, "per": "since", "diversify": "brand"},
        {"where": "price > 3", "rerank": [Boost("adult", -0.3), AtMost(3, per="since"), Diversify("brand")]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("choice", CHOICES)
def test_conditions_and_rules_give_the_lists_of_python(client, model, choice):
    query, same = CHOICES[choice]
    plain = model.recommend(["u3"], n=8)["item"].to_list()
    expected = model.recommend(["u3"], n=8, **same)
    answer = client.get("/v1/users/u3/recommendations", params={"n": 8, **query})
    assert items(answer) == expected["item"].to_list() != plain
    assert [entry["score"] for entry in answer.json()["items"]] == expected["score"].to_list()

    body = {"ratings": [{"item": "i1", "value": 5}, {"item": "i7", "value": 4}], "n": 8, **query}
    visitor = model.place({"v": ["i1", "i7"]}).recommend(["v"], n=8, **same)["item"].to_list()
    assert items(client.post("/v1/recommendations", json=body)) == visitor

    nobody = {key: value for key, value in same.items() if key == "where" or choice != "calibrate"}
    popular = model.recommend(["nobody"], n=8, on_unknown="popular", **nobody)["item"].to_list()
    assert items(client.get("/v1/users/nobody/recommendations", params={"n": 8, **query})) == popular
    assert items(client.get("/v1/popular", params={"n": 8, **query})) == popular


def test_a_model_of_draws_keeps_to_rules_too(make_client, titled, tmp_path):
    from cofactor.solvers import BayesianMF

    model = BayesianMF(rank=3, sweeps=12, burn_in=4, n_samples=4, seed=0).fit(
        titled.with_items(titled.item_table.with_columns(half=pl.Series([k % 2 for k in range(titled.n_items)])))
    )
    client = make_client(model.save(tmp_path / "draws.safetensors"))
    answer = client.get("/v1/users/u3/recommendations?n=6&by=cautious&at_most=3&per=half&where=half<2")
    expected = model.recommend(["u3"], 6, by="cautious", rerank=[AtMost(3, per="half")])
    assert items(answer) == expected["item"].to_list()


def test_similar_items_obey_a_condition(client, model):
    near = client.get("/v1/items/i4/similar", params={"n": 5, "where": "adult"})
    assert items(near) == model.similar_items("i4", 5, where="adult")["item"].to_list()


def test_every_value_comes_with_the_condition_that_finds_its_items(client, model):
    told = {one["name"]: one for one in client.get("/v1/attributes").json()["attributes"]}
    assert set(told) == set(model.item_table.columns) - {"item"}
    assert {name: one["type"] for name, one in told.items()} == {
        "title": "text", "genres": "list", "tags": "list", "adult": "boolean", "price": "number", "brand": "text",
        "since": "date", "box `size`": "number",
    }  # fmt: skip
    assert [value["value"] for value in told["genres"]["values"]] == ["Comedy", "Drama", "War"]
    assert (told["price"]["low"], told["price"]["high"]) == (1.0, model.n_items - 1.0)
    assert told["tags"]["known"] == model.item_table["tags"].is_not_null().sum()
    tried = 0
    for one in told.values():
        for value in one["values"] or []:
            found = client.get("/v1/popular", params={"n": 500, "where": value["where"]})
            assert len(items(found)) == value["count"]
            tried += 1
    assert tried > 20


def test_a_column_of_many_values_is_told_without_them(make_client, tmp_path):
    vectors = np.random.default_rng(0).normal(size=(60, 2))
    model = cf.Factors.from_arrays(vectors[:3], vectors, titles=[f"title {k}" for k in range(60)])
    client = make_client(model.save(tmp_path / "many.safetensors"))
    assert client.get("/v1/attributes").json()["attributes"][0]["values"] is None


REFUSED = {
    "no column": ({"where": "pric < 3"}, "where", "did you mean 'price'"),
    "cut off": ({"where": "price <"}, "where", "from character"),
    "polars": ({"where": "pl.col('price').map_elements(print)"}, "where", "from character"),
    "python": ({"where": "__import__('os').system('true')"}, "where", "is no part of a condition"),
    "sql": ({"where": "price < 3; drop table items"}, "where", "';"),
    "no condition": ({"where": "brand"}, "where", "compare it with a value"),
    "boost": ({"boost": "pric < 3", "weight": 1}, "boost", "did you mean 'price'"),
    "no such groups": ({"at_most": 2, "per": "maker"}, "per", "there is no column 'maker'"),
    "nothing to vary": ({"diversify": "maker"}, "diversify", "what is known of the items is item, title"),
    "no mix": ({"calibrate": "maker"}, "calibrate", "what is known of the items is item, title"),
    "half a cap": ({"per": "brand"}, "per", "give at_most too"),
    "strength alone": ({"strength": 0.5}, "strength", "give one of them too"),
    "weight alone": ({"weight": 0.5}, "boost", "give both, or neither"),
    "boost alone": ({"boost": "adult"}, "weight", "give both, or neither"),
    "two mixes": ({"diversify": "brand", "calibrate": "genres"}, "calibrate", "leave one of the two out"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_by_field_before_anything_is_stored(client, case):
    query, field, said = REFUSED[case]
    visitor = {"ratings": [{"item": "i1", "value": 5}], **query}
    for part, answer in (
        ("query", client.get("/v1/users/u3/recommendations", params=query)),
        ("query", client.get("/v1/popular", params=query)),
        ("query", client.get("/v1/users/u3/explanations/i5", params=query)),
        ("query", client.put("/v1/users/u3/ratings/i5", json={"value": 4}, params=query)),
        ("body", client.post("/v1/recommendations", json=visitor)),
        ("body", client.post("/v1/explanations", json={**visitor, "item": "i5"})),
    ):
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["where"] == f"{part}.{field}"
        assert said in error["problem"]
    assert client.app.service.ratings.store.since(-1).rows == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"where": "x" * 2001}, "where"), ({"where": ""}, "where"), ({"at_most": 0}, "at_most"),
        ({"diversify": "genres", "strength": 2}, "strength"), ({"boost": "adult", "weight": "nan"}, "weight"),
    ],
)  # fmt: skip
def test_values_have_their_limits(client, query, field):
    answer = client.get("/v1/users/u3/recommendations", params=query)
    assert (answer.status_code, [error["where"] for error in answer.json()["errors"]]) == (422, [f"query.{field}"])


def test_a_condition_nested_a_thousand_times_is_refused_and_not_run(client):
    assert client.get("/v1/popular", params={"where": "(" * 1000 + "adult"}).status_code == 422
    many = " or ".join(["adult"] * 200)
    assert client.get("/v1/popular", params={"where": many}).status_code == 200


def test_an_explanation_speaks_of_the_list_that_was_asked_for(client):
    for query in (
        {"where": "price > 9", "n": 500},
        {"genres": "war", "n": 500},
        {"at_most": 2, "n": 12},
        {"diversify": "brand"},
    ):
        listed = client.get("/v1/users/u3/recommendations", params=query).json()["items"]
        entry = listed[-1]
        why = client.get(f"/v1/users/u3/explanations/{entry['item']}", params=query).json()
        assert why["position"] == entry["position"]
        body = {"ratings": [{"item": "i1", "value": 5}, {"item": "i7", "value": 4}], **query}
        body["genres"] = [query["genres"]] if "genres" in query else []
        mine = items(client.post("/v1/recommendations", json=body))
        told = client.post("/v1/explanations", json={**body, "item": mine[3]}).json()
        assert told["position"] == 4
        for reason in told["reasons"]:
            others = [rating for rating in body["ratings"] if rating["item"] != reason["item"]]
            without = items(client.post("/v1/recommendations", json={**body, "ratings": others}))
            assert reason["position_without"] == (without.index(mine[3]) + 1 if mine[3] in without else None)
    outside = client.get("/v1/users/u3/explanations/i2", params={"where": "price > 9"}).json()
    assert outside["position"] is None


def test_the_shares_and_the_rest_make_up_a_boosted_score_too(client):
    query = {"boost": "price > 20", "weight": 2.5}
    listed = client.get("/v1/users/u3/recommendations", params=query).json()["items"][0]
    why = client.get(f"/v1/users/u3/explanations/{listed['item']}", params=query).json()
    assert why["score"] == pytest.approx(listed["score"], abs=1e-6)
    assert sum(reason["share"] for reason in why["reasons"]) + why["rest"] == pytest.approx(why["score"])


def test_moves_are_told_within_the_list_that_rules_make(client):
    query = {"at_most": 2, "n": 6}
    before = items(client.get("/v1/users/u3/recommendations", params=query))
    answer = client.put(f"/v1/users/u3/ratings/{before[0]}", json={"value": 5}, params=query).json()["list"]["items"]
    assert answer
    for entry in answer:
        was = before.index(entry["item"]) + 1 if entry["item"] in before else None
        assert (entry["was"], entry["moved"]) == (was, None if was is None else was - entry["position"])


def test_the_description_says_what_a_list_can_be_asked_for(client):
    document = client.get("/openapi.json").json()
    told = {one["name"] for one in document["paths"]["/v1/users/{user}/recommendations"]["get"]["parameters"]}
    body = document["components"]["schemas"]["VisitorList"]["properties"]
    rules = {"where", "at_most", "per", "diversify", "calibrate", "strength", "boost", "weight"}
    assert rules <= told
    assert rules <= set(body)
    assert "where" in {one["name"] for one in document["paths"]["/v1/items/{item}/similar"]["get"]["parameters"]}
    assert "/v1/attributes" in document["paths"]


def test_what_rules_need_is_loaded_before_somebody_asks_for_them(shop, tmp_path, monkeypatch):
    used = []
    for name in ("take_at_most", "take_far_apart", "take_calibrated"):
        kernel = getattr(greedy, name)
        monkeypatch.setattr(greedy, name, lambda *given, kernel=kernel, name=name: (used.append(name), kernel(*given)))
    warm_rules(load_served(shop))
    assert set(used) == {"take_at_most", "take_far_apart", "take_calibrated"}
    bare = cf.Factors.from_arrays(np.eye(3), np.eye(3)).save(tmp_path / "bare.safetensors")
    warm_rules(load_served(bare))
