"""Ratings of items that a newer model has lost: they stay, can be kept and can be deleted."""

import pytest

import cofactor as cf
from cofactor.solvers import ImplicitALS


@pytest.fixture
def client(make_client, models, titled, tmp_path):
    """A service of a model that has lost the items i30 to i39, of which ann and bob rated some."""
    client = make_client(models["ranking"])
    for user in ("ann", "bob"):
        for item in ("i1", "i30", "i31"):
            assert client.put(f"/v1/users/{user}/ratings/{item}", json={"value": 5}).status_code == 200
    frame = titled.to_frame()
    fewer = frame.filter(~frame["item"].is_in([f"i{k}" for k in range(30, 40)]))
    model = ImplicitALS(rank=4, epochs=2).fit(cf.from_frame(fewer).at_least(4).binary())
    return make_client(model.save(tmp_path / "newer.safetensors"))


def kept(client, user="ann"):
    return {one["item"] for one in client.get(f"/v1/users/{user}/ratings").json()["ratings"]}


def put_all(client, *items, user="ann"):
    body = {"ratings": [{"item": item, "value": 4} for item in items]}
    return client.put(f"/v1/users/{user}/ratings", json=body)


def test_they_are_shown_and_lists_go_on(client):
    assert kept(client) == {"i1", "i30", "i31"}
    assert client.get("/v1/users/ann/recommendations").json()["items"]


def test_one_can_be_deleted(client):
    answer = client.delete("/v1/users/ann/ratings/i30")
    assert (answer.status_code, answer.json()["changed"]) == (200, ["i30"])
    assert kept(client) == {"i1", "i31"}
    assert client.delete("/v1/users/ann/ratings/i30").status_code == 404  # nobody has it now
    assert kept(client, "bob") == {"i1", "i30", "i31"}


def test_what_was_read_can_be_written_back(client):
    assert put_all(client, *kept(client)).status_code == 200
    assert kept(client) == {"i1", "i30", "i31"}
    assert put_all(client, "i2", "i31").status_code == 200
    assert kept(client) == {"i2", "i31"}
    assert client.delete("/v1/users/ann/ratings").status_code == 200
    assert kept(client) == set()


@pytest.mark.parametrize("items", [("i1", "i35"), ("i35",), ("nothing", "i1", "i30")])
def test_new_ratings_of_them_are_refused_and_it_is_said_which(client, items):
    answer = put_all(client, *items)
    assert answer.status_code == 422
    unknown = [place for place, item in enumerate(items) if item in ("i35", "nothing")]
    assert [one["where"] for one in answer.json()["errors"]] == [f"body.ratings.{place}.item" for place in unknown]
    assert kept(client) == {"i1", "i30", "i31"}
    assert put_all(client, "i30", user="carl").status_code == 422  # not carl's
    assert client.put("/v1/users/ann/ratings/i35", json={"value": 5}).status_code == 404


def test_whoever_rated_only_such_items_gets_what_is_popular_and_can_begin_anew(client):
    assert client.delete("/v1/users/bob/ratings/i1").status_code == 200
    assert kept(client, "bob") == {"i30", "i31"}
    assert client.get("/v1/users/bob/recommendations").json()["popular"] is True
    assert client.put("/v1/users/bob/ratings/i2", json={"value": 5}).status_code == 200
    assert client.get("/v1/users/bob/recommendations").json()["popular"] is False
    assert kept(client, "bob") == {"i2", "i30", "i31"}


def test_whoever_rated_such_items_can_be_erased(client):
    assert client.delete("/v1/users/ann").status_code == 200
    assert kept(client) == set()
    assert kept(client, "bob") == {"i1", "i30", "i31"}


def test_such_items_in_a_visitor_s_request_are_named_and_change_nothing(client):
    asked = {"ratings": [{"item": item, "value": 5} for item in ("i1", "i2")]}
    plain = client.post("/v1/recommendations", json=asked).json()
    asked["ratings"].append({"item": "i30", "value": 5})
    answer = client.post("/v1/recommendations", json={**asked, "exclude": ["i31"]}).json()
    assert answer["unknown"] == ["i30"]
    assert [one["item"] for one in answer["items"]] == [one["item"] for one in plain["items"]]
