"""What the addresses of the service answer: the same lists, places, shares and figures as the model gives."""

import re

import numpy as np
import polars as pl
import pytest
from websupport import until

import cofactor as cf
from cofactor.solvers import ImplicitALS


def put(client, user, item, value, **query):
    return client.put(f"/v1/users/{user}/ratings/{item}", json={"value": value}, params=query)


def items(answer):
    return [entry["item"] for entry in answer.json()["items"]]


def visit(client, ratings, **more):
    listed = [{"item": item, "value": value} for item, value in ratings.items()]
    return client.post("/v1/recommendations", json={"ratings": listed, **more})


def test_a_known_user_gets_the_model_s_list(client):
    model = cf.load(client.app.service.settings.model)
    answer = client.get("/v1/users/u3/recommendations?n=7")
    expected = model.recommend(["u3"], 7)
    assert items(answer) == expected["item"].to_list()
    assert [entry["score"] for entry in answer.json()["items"]] == expected["score"].to_list()
    assert [entry["title"] for entry in answer.json()["items"]] == expected["title"].to_list()
    assert [entry["position"] for entry in answer.json()["items"]] == list(range(1, 8))


def test_a_visitor_gets_the_list_that_fold_in_gives_and_nothing_is_stored(client):
    service = client.app.service
    model = service.models.current.model
    answer = visit(client, {"i1": 5, "i7": 4}, n=5)
    values = {"i1": 5.0, "i7": 4.0} if model.objective.goal == "rating" else {"i1": 1.0, "i7": 1.0}
    assert items(answer) == model.place({"v": values}).recommend(["v"], 5)["item"].to_list()
    assert service.ratings.store.since(-1).rows == []


def test_every_list_says_which_model_made_it(client):
    digest = client.get("/v1/model").json()["model"]
    answers = [
        client.get("/v1/users/u1/recommendations"), visit(client, {"i1": 5}), client.get("/v1/popular"),
        client.get("/v1/items/i3/similar"), client.get("/v1/items?search=film"), client.get("/v1/map"),
        client.get("/v1/users/u1/explanations/i2"), visit(client, {}), client.get("/v1/users/nobody/recommendations"),
    ]  # fmt: skip
    for answer in answers:
        document = answer.json()
        assert (answer.status_code, document["model"], document["exact"]) == (200, digest, True)
        assert document["solver"] in ("ALS", "ImplicitALS")


def test_who_rated_nothing_gets_the_popular_items_marked_as_such(client, titled):
    counts = np.bincount(client.app.service.models.current.model.seen.indices, minlength=titled.n_items)
    for answer in (visit(client, {}), client.get("/v1/users/nobody/recommendations"), client.get("/v1/popular")):
        document = answer.json()
        assert document["popular"] is True
        assert [entry["rated_by"] for entry in document["items"]] == sorted(counts, reverse=True)[:10]
        assert all(entry["score"] is None for entry in document["items"])
    assert client.get("/v1/users/u1/recommendations").json()["popular"] is False


def test_a_put_answers_with_the_new_list_and_how_each_place_moved(client):
    before = client.get("/v1/users/u3/recommendations?n=500").json()["items"]
    places = {entry["item"]: entry["position"] for entry in before}
    answer = put(client, "u3", before[0]["item"], 5, n=500).json()
    assert answer["changed"] == [before[0]["item"]]
    after = answer["list"]["items"]
    assert before[0]["item"] not in [entry["item"] for entry in after]
    for entry in after:
        assert entry["was"] == places[entry["item"]]
        assert entry["moved"] == places[entry["item"]] - entry["position"]
    again = client.get("/v1/users/u3/recommendations?n=500").json()["items"]
    assert [entry["item"] for entry in again] == [entry["item"] for entry in after]


def test_stored_ratings_lie_over_those_of_the_training_data(client):
    served = client.app.service.models.current
    put(client, "u3", "i5", 5)
    answer = client.get("/v1/users/u3/recommendations?n=40")
    value = 5.0 if served.scale.liked_from is None else 1.0
    expected = served.model.fold_in({"u3": {"i5": value}}).recommend(["u3"], 40)
    assert items(answer) == expected["item"].to_list()


def test_a_deletion_counts_from_the_next_answer_on(client):
    first = client.get("/v1/users/new/recommendations?n=40")
    put(client, "new", "i5", 5)
    assert items(client.get("/v1/users/new/recommendations?n=40")) != items(first)
    gone = client.delete("/v1/users/new/ratings/i5?n=40")
    assert gone.status_code == 200
    assert items(client.get("/v1/users/new/recommendations?n=40")) == items(first)
    assert [entry["item"] for entry in gone.json()["list"]["items"]] == items(first)
    assert client.get("/v1/users/new/ratings").json()["ratings"] == []


def test_a_rating_of_the_training_data_can_be_taken_back(client):
    kept = client.get("/v1/users/u3/ratings").json()["ratings"]
    assert kept
    assert {rating["source"] for rating in kept} == {"trained"}
    item = kept[0]["item"]
    client.delete(f"/v1/users/u3/ratings/{item}")
    left = client.get("/v1/users/u3/ratings").json()["ratings"]
    assert [rating["item"] for rating in left] == [rating["item"] for rating in kept if rating["item"] != item]
    assert item in items(client.get("/v1/users/u3/recommendations?n=500"))
    client.delete("/v1/users/u3/ratings")
    assert client.get("/v1/users/u3/ratings").json()["ratings"] == []
    assert client.get("/v1/users/u3/recommendations").json()["popular"] is True


def test_doing_it_twice_changes_nothing(client):
    for call in (lambda: put(client, "ann", "i5", 4), lambda: client.delete("/v1/users/ann/ratings/i5")):
        first, second = call().json(), call().json()
        assert [entry["item"] for entry in first["list"]["items"]] == [
            entry["item"] for entry in second["list"]["items"]
        ]
        assert all(entry["moved"] == 0 for entry in second["list"]["items"])


def test_putting_all_ratings_replaces_those_kept_before(client):
    put(client, "ann", "i1", 5)
    body = {"ratings": [{"item": "i2", "value": 4}, {"item": "i3", "value": 2}, {"item": "i3", "value": 3}]}
    assert client.put("/v1/users/ann/ratings", json=body).json()["changed"] == ["i1", "i2", "i3"]
    kept = client.get("/v1/users/ann/ratings").json()["ratings"]
    assert {rating["item"]: rating["rating"] for rating in kept} == {"i2": 4.0, "i3": 3.0}
    assert {rating["source"] for rating in kept} == {"stored"}


def test_a_low_rating_is_no_like_but_keeps_the_item_out(ranking):
    liked = visit(ranking, {"i1": 5}, n=40)
    both = visit(ranking, {"i1": 5, items(liked)[0]: 2}, n=40)
    assert items(both) == items(liked)[1:]
    assert [entry["score"] for entry in both.json()["items"]] == [e["score"] for e in liked.json()["items"]][1:]
    only_bad = visit(ranking, {"i1": 1})
    assert only_bad.json()["popular"] is True
    assert "i1" not in items(only_bad)


def test_a_model_for_lists_that_learnt_from_stars_shows_them_as_they_are(make_client, models, titled):
    client = make_client(models["stars"])
    assert client.get("/v1/model").json()["scale"] == {"low": 1.0, "high": 5.0, "step": 1.0, "liked_from": None}
    given = titled.to_frame().filter(pl.col("user") == "u3")
    shown = client.get("/v1/users/u3/ratings").json()["ratings"]
    assert {one["item"]: one["rating"] for one in shown} == dict(zip(given["item"], given["value"], strict=True))
    listed = client.get("/v1/users/u3/recommendations?n=500&reasons=5").json()["items"]
    assert {reason["rating"] for entry in listed for reason in entry["reasons"]} <= {2.0, 3.0, 4.0, 5.0}


def test_a_single_star_pushes_similar_items_down_in_a_model_that_learnt_from_stars(make_client, models):
    client = make_client(models["stars"])
    first = visit(client, {"i1": 5}, n=500).json()["items"]
    disliked = first[0]["item"]
    alike = items(client.get(f"/v1/items/{disliked}/similar?n=10"))
    both = visit(client, {"i1": 5, disliked: 1}, n=500).json()["items"]
    before, after = ({entry["item"]: entry["score"] for entry in listed} for listed in (first, both))
    assert disliked not in after
    assert np.mean([after[item] - before[item] for item in alike if item in after]) < 0


def test_how_often_something_was_played_is_no_rating(make_client, tmp_path):
    users, played, counts = [*"aaabbbccc"], [*"xyzxywyzw"], [37, 2, 1, 120, 3, 1, 9, 4, 2]
    plays = cf.Interactions.from_columns(users, played, counts)
    client = make_client(ImplicitALS(rank=2).fit(plays).save(tmp_path / "plays.safetensors"))
    scale = client.get("/v1/model").json()["scale"]
    kept = {one["item"]: one["rating"] for one in client.get("/v1/users/a/ratings").json()["ratings"]}
    assert kept == {"x": 5.0, "y": 5.0, "z": 5.0}  # thumbs up: all of them were chosen
    assert scale["liked_from"] == 4.0
    why = client.get("/v1/users/a/explanations/w").json()
    assert {reason["rating"] for reason in why["reasons"]} == {5.0}


def test_dislikes_alone_leave_the_popular_list_without_them(make_client, models):
    client = make_client(models["stars"])
    popular = items(client.get("/v1/popular?n=30"))
    disliked = popular[:3]
    listed = visit(client, dict.fromkeys(disliked, 1), n=20)
    assert listed.json()["popular"] is True  # the vector is zero: by score the list would be the order of the catalogue
    assert items(listed) == popular[3:23]


@pytest.mark.parametrize(
    "path",
    [
        "popular", "users/u3/recommendations", "users/u3/ratings", "users/u3/explanations/i1", "model",
        "items", "items/i1", "items/i1/similar", "map",
    ],
)  # fmt: skip
def test_a_misspelt_parameter_is_refused_by_name(client, path):
    query = {"search": "film"} if path == "items" else {}
    assert client.get(f"/v1/{path}", params=query).status_code == 200
    refused = client.get(f"/v1/{path}", params={**query, "genre": "War"})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [{"where": "query.genre", "problem": "unknown parameter"}]


def test_what_belongs_into_the_body_is_refused_in_the_query(client):
    for path, asked in (("recommendations", {}), ("explanations", {"item": "i1"})):
        body = {"ratings": [{"item": "i2", "value": 5}], **asked}
        assert client.post(f"/v1/{path}", json=body).status_code == 200
        refused = client.post(f"/v1/{path}?n=3", json=body)
        assert refused.status_code == 422
        assert refused.json()["errors"] == [{"where": "query.n", "problem": "unknown parameter"}]


def test_filters(client):
    whole = client.get("/v1/users/u3/recommendations?n=500").json()["items"]
    ask = lambda **query: client.get("/v1/users/u3/recommendations", params={"n": 500, **query}).json()["items"]  # noqa: E731
    names = lambda entries: [entry["item"] for entry in entries]  # noqa: E731
    kept = lambda passes: names(entry for entry in whole if passes(entry))  # noqa: E731
    assert names(ask(exclude=["i1", "i2", "no such"])) == kept(lambda e: e["item"] not in ("i1", "i2"))
    assert names(ask(candidates=["i1", "i2", "i9"])) == kept(lambda e: e["item"] in ("i1", "i2", "i9"))
    assert names(ask(genres="WAR")) == kept(lambda e: "War" in e["genres"])
    assert names(ask(genres=["war", "comedy"])) == []
    assert names(ask(year_from=1960, year_to=1970)) == kept(lambda e: 1960 <= e["year"] <= 1970)
    few = sorted(entry["rated_by"] for entry in whole)[5]
    assert names(ask(raters_to=few)) == kept(lambda e: e["rated_by"] <= few)
    assert names(ask(n=3)) == names(whole[:3])
    popular = client.get("/v1/popular?n=500&genres=war").json()["items"]
    assert popular
    assert all("War" in entry["genres"] for entry in popular)
    body = visit(client, {"i1": 5}, genres=["Comedy"], year_to=1960, n=500).json()["items"]
    assert body
    assert all("Comedy" in entry["genres"] and entry["year"] <= 1960 for entry in body)


def test_a_visitor_is_told_how_places_moved_and_which_items_are_unknown(client):
    before = visit(client, {"i1": 5}, n=500).json()["items"]
    after = visit(client, {"i1": 5, "i2": 5, "no such": 3}, before=[{"item": "i1", "value": 5}], n=500).json()
    places = {entry["item"]: entry["position"] for entry in before}
    assert all(entry["was"] == places[entry["item"]] for entry in after["items"])
    assert after["unknown"] == ["no such"]


@pytest.mark.parametrize("who", ["u3", "visitor"])
def test_the_shares_of_an_explanation_add_up_to_the_score(client, who):
    ratings = {"i1": 5, "i7": 4, "i9": 2, "i11": 5}
    if who == "visitor":
        listed = visit(client, ratings, n=1).json()["items"][0]
        body = {"ratings": [{"item": item, "value": value} for item, value in ratings.items()], "item": listed["item"]}
        why = client.post("/v1/explanations", json=body).json()
    else:
        listed = client.get("/v1/users/u3/recommendations?n=1").json()["items"][0]
        why = client.get(f"/v1/users/u3/explanations/{listed['item']}").json()
    assert (why["position"], why["score"]) == (1, pytest.approx(listed["score"], abs=1e-6))
    assert sum(reason["share"] for reason in why["reasons"]) + why["rest"] == pytest.approx(why["score"], abs=1e-9)


def test_the_position_without_a_rating_is_the_place_in_the_list_without_it(client):
    ratings = {"i1": 5, "i7": 4, "i9": 5, "i11": 5}
    listed = visit(client, ratings, n=9).json()["items"][8]["item"]
    body = {"ratings": [{"item": item, "value": value} for item, value in ratings.items()], "item": listed}
    why = client.post("/v1/explanations", json=body).json()
    assert why["position"] == 9
    assert {reason["item"] for reason in why["reasons"]} == set(ratings)
    for reason in why["reasons"]:
        others = {item: value for item, value in ratings.items() if item != reason["item"]}
        assert items(visit(client, others, n=500)).index(listed) + 1 == reason["position_without"]


def test_the_only_rating_explained_leaves_the_popular_list(client):
    listed = items(visit(client, {"i1": 5}))[0]
    why = client.post("/v1/explanations", json={"ratings": [{"item": "i1", "value": 5}], "item": listed}).json()
    assert why["reasons"][0]["position_without"] == items(client.get("/v1/popular?n=500")).index(listed) + 1


def test_a_reason_is_named_only_if_the_item_would_stand_lower_without_that_rating(client):
    ratings = {"i1": 5, "i7": 4, "i9": 5, "i2": 2, "i12": 4, "i15": 5, "i4": 1}
    given = [{"item": item, "value": value} for item, value in ratings.items()]
    listed = visit(client, ratings, n=20, reasons=3).json()["items"]
    named = 0
    for entry in listed:
        told = client.post("/v1/explanations", json={"ratings": given, "item": entry["item"]}).json()
        known = {reason["item"]: reason for reason in told["reasons"]}
        assert told["position"] == entry["position"]
        shares = [reason["share"] for reason in entry["reasons"]]
        assert shares == sorted(shares, reverse=True)
        for reason in entry["reasons"]:
            named += 1
            same = known[reason["item"]]
            assert reason["share"] == pytest.approx(same["share"], abs=1e-6)
            assert reason["rating"] == ratings[reason["item"]]
            assert same["position_without"] is None or same["position_without"] > entry["position"] - (
                entry["position"] == 1
            )
    assert named > 10


def test_a_list_that_no_rating_raises_has_no_reasons(make_client, models):
    listed = visit(make_client(models["rating"]), {"i1": 1}, n=5, reasons=2)
    assert listed.status_code == 200
    assert all(reason["share"] > 0 for entry in listed.json()["items"] for reason in entry["reasons"])


def test_rows_name_different_ratings_where_several_would_do(make_client, models):
    ratings = {"i1": 5, "i7": 4, "i9": 5, "i12": 4, "i15": 5, "i3": 5, "i20": 5}
    listed = visit(make_client(models["stars"]), ratings, n=20, reasons=1).json()["items"]
    first = [entry["reasons"][0]["item"] for entry in listed if entry["reasons"]]
    assert max(map(first.count, first)) <= len(first) / 2


def test_nothing_can_be_explained_to_who_rated_nothing(client):
    why = client.get("/v1/users/nobody/explanations/i4").json()
    assert (why["popular"], why["score"], why["reasons"]) == (True, None, [])
    assert why["position"] == items(client.get("/v1/popular?n=500")).index("i4") + 1


def test_items(client):
    assert client.get("/v1/items/i4").json()["title"] == "Film 4 (1954)"
    near = client.get("/v1/items/i4/similar?n=3").json()
    model = client.app.service.models.current.model
    assert items(client.get("/v1/items/i4/similar?n=3")) == model.similar_items("i4", 3)["item"].to_list()
    assert near["title"] == "Film 4 (1954)"
    assert items(client.get("/v1/items?search=film 17")) == ["i17"]
    known, shown = (client.get(f"/v1/map?n=5{more}").json()["items"] for more in ("", "&item=i4"))
    assert len(known) == 5
    assert {entry["item"] for entry in shown} == {entry["item"] for entry in known} | {"i4"}
    assert all(-1 <= entry[axis] <= 1 for entry in shown for axis in "xy")


def test_the_card_says_what_ratings_mean(make_client, models):
    rating = make_client(models["rating"]).get("/v1/model").json()
    assert rating["goal"] == "rating"
    assert rating["scale"] == {"low": 1.0, "high": 5.0, "step": 1.0, "liked_from": None}
    ranking = make_client(models["ranking"]).get("/v1/model").json()
    assert ranking["scale"] == {"low": 1.0, "high": 5.0, "step": 1.0, "liked_from": 4.0}
    assert ranking["genres"] == ["Comedy", "Drama", "War"]
    assert ranking["years"] == {"from": 1950, "to": 1989}
    assert (ranking["data"], ranking["trained_by"].split()[0], ranking["needs_token"]) == ("made-up", "cofactor", False)


def test_a_reload_serves_the_new_file_and_a_bad_one_changes_nothing(make_client, models, tmp_path):
    path = tmp_path / "served.safetensors"
    path.write_bytes(models["ranking"].read_bytes())
    client = make_client(path)
    old = client.get("/v1/model").json()["model"]
    path.write_bytes(models["other"].read_bytes())
    assert client.get("/v1/model").json()["model"] == old
    answer = client.post("/v1/admin/reload").json()
    assert answer["changed"]
    new = client.get("/v1/model").json()["model"]
    assert new == answer["model"] != old
    for garbage in (b"", b"garbage" * 1000, models["rating"].read_bytes()[:5000]):
        path.write_bytes(garbage)
        refused = client.post("/v1/admin/reload")
        assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
        assert client.get("/v1/users/u1/recommendations").json()["model"] == new
    path.unlink()
    assert client.post("/v1/admin/reload").status_code == 409


def test_the_metrics_count(client):
    visit(client, {"i1": 5})
    put(client, "ann", "i1", 4)
    client.get("/v1/users/secret-name/recommendations?n=-1")
    client.get("/no/such/thing")
    text = client.get("/metrics").text
    assert 'cofactor_requests_total{route="/v1/recommendations",status="2xx"} 1\n' in text
    assert 'cofactor_requests_total{route="/v1/users/{user}/recommendations",status="4xx"} 1\n' in text
    assert 'cofactor_requests_total{route="other",status="4xx"} 1\n' in text
    assert 'cofactor_request_seconds_count{route="/v1/recommendations"} 1\n' in text
    assert "cofactor_ratings_written_total 1\n" in text
    assert "cofactor_store_up 1\n" in text
    assert "cofactor_model_age_seconds " in text
    assert "secret-name" not in text


def test_every_address_is_counted_by_its_name(client):
    paths = client.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method in methods:
            client.request(method, path.format(user="u3", item="i1", name="m"))
    client.get("/")
    counted = re.findall(r'cofactor_request_seconds_count{route="([^"]+)"}', client.get("/metrics").text)
    assert {*paths, "/", "other"} == set(counted)  # the description itself is another


def test_health_and_readiness(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    until(lambda: client.get("/readyz").status_code == 200)
    ready = client.get("/readyz").json()
    assert (ready["ready"], ready["store"], ready["writes"], ready["failing"]) == (True, "current", True, [])


def test_a_model_that_knows_how_sure_it_is_orders_by_it(make_client, titled, tmp_path):
    from cofactor.solvers import BayesianMF

    model = BayesianMF(rank=3, sweeps=20, burn_in=10, n_samples=8, seed=0).fit(titled)
    client = make_client(model.save(tmp_path / "sure.safetensors"))
    assert client.get("/v1/model").json()["has_spread"]
    for by in ("mean", "optimistic", "cautious"):
        answer = client.get(f"/v1/users/u3/recommendations?n=40&by={by}")
        assert items(answer) == model.recommend(["u3"], 40, by=by)["item"].to_list()
    placed = visit(client, {"i1": 5, "i7": 4}, by="cautious", n=40)
    expected = model.place({"v": {"i1": 5, "i7": 4}}).recommend(["v"], 40, by="cautious")
    assert items(placed) == expected["item"].to_list()


@pytest.mark.parametrize(
    "query",
    [
        "n=4&reasons=2", "n=0", "n=x", "n=1&n=2", "by=least", "candidates=i1&candidates=i2", "exclude=", "genres=",
        "year_from=1e3", "raters_to=-1", "reasons=6", "misspelt=1", "n=501&misspelt=1&year_to=0", "n=", "by",
    ],
)  # fmt: skip
def test_a_direct_route_reads_a_query_as_fastapi_reads_it(client, query):
    direct = client.get(f"/v1/users/nobody/recommendations?{query}")
    by_fastapi = client.delete(f"/v1/users/nobody/ratings/i1?{query}")
    assert direct.status_code == by_fastapi.status_code
    if direct.status_code == 422:
        assert direct.json() == by_fastapi.json()
    else:
        listed = [entry["item"] for entry in by_fastapi.json()["list"]["items"]]
        assert items(direct) == listed


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "where"),
    [
        ("GET", "/v1/users/a%01/recommendations", None, 422, "path.user"),
        ("GET", f"/v1/users/{'a' * 201}/recommendations", None, 422, "path.user"),
        ("GET", "/v1/users/%20/recommendations", None, 200, None),
        ("POST", "/v1/recommendations", {"ratings": [{"item": "i1", "value": 6}]}, 422, None),
        ("POST", "/v1/recommendations", {"ratings": 5}, 422, "body.ratings"),
        ("POST", "/v1/recommendations", {"ratings": [], "n": "3"}, 422, "body.n"),
        ("POST", "/v1/recommendations", {}, 422, "body.ratings"),
        ("PUT", "/v1/recommendations", {}, 405, None),
    ],
)
def test_a_direct_route_says_what_is_wrong(client, method, path, body, status, where):
    answer = client.request(method, path, json=body)
    assert answer.status_code == status
    assert where is None or [error["where"] for error in answer.json()["errors"]] == [where]


@pytest.mark.parametrize("query", ["n=-1", "by=optimistic", "year_from=x"])
def test_a_change_that_is_refused_changes_nothing(client, query):
    assert client.put("/v1/users/ann/ratings/i1", json={"value": 4}).status_code == 200
    kept = client.get("/v1/users/ann/ratings").json()
    everything = {"ratings": [{"item": "i3", "value": 1}]}
    for method, path, body in (
        ("PUT", "/i1", {"value": 1}), ("PUT", "/i2", {"value": 1}), ("PUT", "", everything),
        ("DELETE", "/i1", None), ("DELETE", "", None),
    ):  # fmt: skip
        assert client.request(method, f"/v1/users/ann/ratings{path}?{query}", json=body).status_code == 422
    assert client.get("/v1/users/ann/ratings").json() == kept


def test_a_model_that_cannot_place_newcomers_takes_no_ratings(make_client, tmp_path, titled):
    from cofactor.solvers import BayesianMF

    model = BayesianMF(rank=2, sweeps=4, burn_in=1, n_samples=2, likelihood="probit").fit(titled)
    client = make_client(model.save(tmp_path / "probit.safetensors"))
    answer = client.put("/v1/users/u1/ratings/i1", json={"value": 4})
    assert (answer.status_code, answer.json()["type"]) == (422, "tag:cofactor,2026:no-newcomers")
    assert all(rating["source"] == "trained" for rating in client.get("/v1/users/u1/ratings").json()["ratings"])
