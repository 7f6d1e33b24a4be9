"""Rules for all lists: whoever runs the service hides, pins and moves items, and says what holds by default."""

import polars as pl
import pytest
from websupport import until

import cofactor as cf
from cofactor.apps.web.house_rules import HouseRules, house_rules
from cofactor.apps.web.list_rules import ListRules
from cofactor.apps.web.recommendations import ServiceListRequest
from cofactor.apps.web.rules_store import LISTS, RulesStore, SetRule
from cofactor.apps.web.store import RatingsStore, StoreAway

VISITOR = {"ratings": [{"item": "i1", "value": 5}, {"item": "i3", "value": 4}]}


def lists(client, n=8):
    """Return the lists of a user, a visitor, and nobody."""
    user = client.get(f"/v1/users/u3/recommendations?n={n}").json()
    visitor = client.post("/v1/recommendations", json={**VISITOR, "n": n}).json()
    popular = client.get(f"/v1/popular?n={n}").json()
    return [[item["item"] for item in found["items"]] for found in (user, visitor, popular)]


def put(client, path, **body):
    answer = client.put(f"/v1/admin/rules/{path}?by=ann", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["rules"]


def test_a_hidden_item_is_in_no_list_and_comes_back(ranking):
    before = lists(ranking)
    gone = before[0][0]
    rules = put(ranking, f"items/{gone}", hide=True)
    assert [(one["item"], one["rule"], one["by"], one["fits"]) for one in rules] == [
        (gone, {"hide": True}, "ann", True)
    ]
    assert rules[0]["at"] > 1_700_000_000
    assert all(gone not in found for found in lists(ranking, 500))
    near = ranking.get("/v1/items/i1/similar?n=100").json()["items"]
    assert gone not in [item["item"] for item in near]
    assert ranking.get("/v1/model").json()["rules"]["hidden"] == 1
    assert ranking.delete(f"/v1/admin/rules/items/{gone}?by=bob").json()["rules"] == []
    assert lists(ranking) == before
    assert ranking.delete(f"/v1/admin/rules/items/{gone}?by=bob").status_code == 404


def test_a_pinned_item_has_its_place_but_not_for_whom_it_is_nothing_new_or_nothing_wanted(ranking):
    before = lists(ranking, 500)
    last = before[0][-1]
    put(ranking, f"items/{last}", pin=2)
    after = lists(ranking)
    seen = [last in found for found in before]
    assert [found[1] == last for found in after] == seen
    assert after[0][:1] + after[0][2:] == before[0][:7]
    named = ranking.get("/v1/users/u3/recommendations").json()["items"]
    assert [item["position"] for item in named if item.get("pinned")] == [2]
    other = [item for item in before[0] if item != last][:20]
    query = "&".join(f"candidates={item}" for item in other)
    assert last not in [one["item"] for one in ranking.get(f"/v1/users/u3/recommendations?{query}").json()["items"]]
    ranking.put(f"/v1/users/ann/ratings/{last}", json={"value": 5})
    assert last not in [one["item"] for one in ranking.get("/v1/users/ann/recommendations").json()["items"]]
    assert ranking.get(f"/v1/users/u3/explanations/{last}").json()["position"] == 2


def test_items_move_up_and_down_by_places_in_every_list(ranking):
    before = lists(ranking, 500)
    for found, name in zip(before, ("user", "visitor", "popular"), strict=True):
        up, down = found[6], found[0]
        put(ranking, f"items/{up}", boost=4)
        put(ranking, f"items/{down}", boost=-3)
        moved = dict(zip(("user", "visitor", "popular"), lists(ranking), strict=True))[name]
        expected = [one for one in found if one not in (up, down)]
        assert [one for one in moved if one not in (up, down)] == expected[:6]
        assert (moved.index(up), moved.index(down)) in {(1, 3), (1, 4), (2, 3), (2, 4)}
        for item in (up, down):
            ranking.delete(f"/v1/admin/rules/items/{item}?by=ann")
    assert lists(ranking, 500) == before


def test_rules_by_default_hold_where_a_request_says_nothing(ranking):
    def asked(query=""):
        found = ranking.get(f"/v1/users/u3/recommendations?n=6{query}").json()["items"]
        return [item["item"] for item in found]

    plain, mixed = asked(), asked("&calibrate=genres&strength=1")
    assert plain != mixed
    put(ranking, "lists", calibrate="genres", strength=1)
    assert asked() == mixed
    assert asked("&diversify=genres&strength=0") == plain
    assert ranking.get("/v1/model").json()["rules"]["lists"] == {"calibrate": "genres", "strength": 1.0}
    assert ranking.delete("/v1/admin/rules/lists?by=ann").json()["rules"] == []
    assert asked() == plain


def test_what_a_request_asks_for_itself_comes_first():
    house = HouseRules(lists={"at_most": 2, "per": "brand", "diversify": "brand", "strength": 0.5})
    applied = lambda **asked: house.applied(ServiceListRequest(rules=ListRules(**asked))).rules  # noqa: E731
    assert applied() == ListRules(at_most=2, per="brand", diversify="brand", strength=0.5)
    assert applied(at_most=9) == ListRules(at_most=9, diversify="brand", strength=0.5)
    assert applied(calibrate="tags") == ListRules(at_most=2, per="brand", calibrate="tags")
    assert applied(where="price > 3").where == "price > 3"
    assert house.applied(house.applied(ServiceListRequest())) == house.applied(ServiceListRequest())


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("items/i1", {}, 422), ("items/i1", {"hide": True, "pin": 1}, 422), ("items/i1", {"boost": 0}, 422),
        ("items/i1", {"hide": False}, 422), ("items/i1", {"pin": 0}, 422), ("items/none", {"hide": True}, 404),
        ("lists", {}, 422), ("lists", {"per": "genres"}, 422), ("lists", {"diversify": "colour"}, 422),
    ],
)  # fmt: skip
def test_a_rule_that_says_nothing_or_does_not_fit_is_refused(ranking, path, body, status):
    assert ranking.put(f"/v1/admin/rules/{path}?by=ann", json=body).status_code == status
    assert ranking.put(f"/v1/admin/rules/{path}", json={"hide": True}).status_code == 422  # by nobody
    assert ranking.get("/v1/admin/rules").json()["rules"] == []


def test_rules_reach_every_worker(serve):
    service = serve(None, "--workers", "2")
    first = service.ask("GET", "/v1/popular")[1]["items"][0]["item"]
    assert service.ask("PUT", f"/v1/admin/rules/items/{first}?by=ann", {"hide": True})[0] == 200
    tops = lambda: {service.ask("GET", "/v1/popular")[1]["items"][0]["item"] for _ in range(16)}  # noqa: E731
    until(lambda: first not in tops())
    assert "ann" not in service.log()


def test_rules_are_there_after_a_restart_and_a_reload(make_client, models):
    first = make_client(models["ranking"]).get("/v1/popular").json()["items"][0]["item"]
    put(make_client(models["ranking"]), f"items/{first}", hide=True)
    again = make_client(models["ranking"])
    for _ in range(2):
        assert first not in lists(again)[2]
        assert again.get("/v1/admin/rules").json()["rules"][0]["by"] == "ann"
        assert again.post("/v1/admin/reload").status_code == 200


def test_a_rule_of_what_the_model_lacks_does_nothing_and_says_so(models):
    model = cf.load(models["ranking"])
    rows = {str(one): row for row, one in enumerate(model.items)}
    from cofactor.model.factors import attributes_of

    rules = [SetRule("gone", {"hide": True}, "ann", 1, 1), SetRule(LISTS, {"at_most": 1, "per": "colour"}, "ann", 1, 2)]
    found = house_rules(rules, rows, attributes_of(model))
    assert found.unfit == ("gone", "lists")
    assert not len(found.hidden)
    assert found.lists == {}
    assert found.placing is None


def test_rules_are_kept_in_every_kind_of_store(store):
    rules = RulesStore(store)
    rules.write("tea", {"pin": 1}, "ann")
    rules.write(LISTS, {"at_most": 2}, "bob")
    first = rules.since(-1)
    assert [(one.item, one.rule, one.by) for one in first] == [
        ("tea", {"pin": 1}, "ann"),
        (LISTS, {"at_most": 2}, "bob"),
    ]
    rules.write("tea", None, "eve")
    assert [(one.item, one.rule, one.by) for one in rules.since(first[-1].revision)] == [("tea", None, "eve")]


def test_a_rule_that_is_none_is_said(sqlite_url, tmp_path):
    import sqlite3

    store = RatingsStore(sqlite_url)
    RulesStore(store).write("tea", {"pin": 1}, "ann")
    with sqlite3.connect(tmp_path / "ratings.db") as other:
        other.execute("update cofactor_rules set rule = 'no json'")
    other.close()
    with pytest.raises(StoreAway, match="cofactor_rules"):
        RulesStore(store).since(-1)


def test_an_item_says_who_rated_it_and_how_many_lists_it_is_in(ranking):
    top = ranking.get("/v1/popular?n=1").json()["items"][0]["item"]
    ranking.put(f"/v1/users/zoe/ratings/{top}", json={"value": 5})
    found = ranking.get(f"/v1/admin/items/{top}").json()
    assert [(one["user"], one["rating"]) for one in found["stored"]] == [("zoe", 5.0)]
    assert len(found["trained"]) == min(found["rated_by"], 50)
    model = ranking.app.service.models.current.model
    listed = model.recommend(list(model.users), 10, on_unknown="popular").filter(pl.col("item") == top)
    assert found["people"] == model.n_users
    assert found["share"] == pytest.approx(listed.height / model.n_users)
    put(ranking, f"items/{top}", hide=True)
    hidden = ranking.get(f"/v1/admin/items/{top}").json()
    assert (hidden["share"], hidden["rule"]["rule"]) == (0.0, {"hide": True})


def test_all_of_a_person_can_be_handed_to_them_and_is_gone_after_erasing(ranking):
    kept = ranking.get("/v1/users/u3/ratings").json()["ratings"]
    gone = kept[0]["item"]
    ranking.put("/v1/users/u3/ratings/i1", json={"value": 2})
    ranking.delete(f"/v1/users/u3/ratings/{gone}")
    found = ranking.get("/v1/admin/users/u3").json()
    assert found["in_model"]
    by_item = {one["item"]: (one["rating"], one["source"]) for one in found["ratings"]}
    assert by_item["i1"] == (2.0, "stored")
    if gone != "i1":
        assert by_item[gone] == (None, "stored")
    assert {one["item"] for one in kept} <= set(by_item)
    assert all((one["rated_at"] is None) == (one["source"] == "trained") for one in found["ratings"])
    assert ranking.delete("/v1/users/u3").status_code == 200
    assert ranking.get("/v1/admin/users/u3").json() == {"user": "u3", "in_model": False, "ratings": []}


def test_a_list_is_tried_without_a_rating(ranking):
    for item, value in {"i1": 5, "i4": 5, "i6": 5}.items():
        ranking.put(f"/v1/users/ann/ratings/{item}", json={"value": value})
    full = ranking.get("/v1/users/ann/recommendations?n=10").json()["items"]
    same = ranking.post("/v1/admin/users/ann/what-if", json={"without": []}).json()["items"]
    assert [item["item"] for item in same] == [item["item"] for item in full]
    assert {item["moved"] for item in same} == {0}
    fewer = ranking.post("/v1/admin/users/ann/what-if", json={"without": ["i4"], "n": 10}).json()["items"]
    really = ranking.post(
        "/v1/recommendations", json={"ratings": [{"item": "i1", "value": 5}, {"item": "i6", "value": 5}]}
    ).json()["items"]
    assert [item["item"] for item in fewer] == [item["item"] for item in really]
    nothing = ranking.post("/v1/admin/users/ann/what-if", json={"without": ["i1", "i4", "i6"]}).json()
    assert nothing["popular"]
