"""Items that are put while a service runs: in lists at once, in all processes, after restarts, in the next model."""

import datetime

import polars as pl
import pytest
from websupport import until

import cofactor as cf
from cofactor.apps.web.item_attributes import UnfitAttribute, fitting, told
from cofactor.apps.web.items_store import ItemsStore
from cofactor.apps.web.refit import merged, refit, stored_in
from cofactor.apps.web.store import RatingsStore
from cofactor.solvers import ImplicitALS

KINDS = ["jazz", "rock", "folk", "soul"]


def goods(items):
    return pl.DataFrame(
        {"item": items, "title": [f"Record {k}" for k in items], "kind": [KINDS[k % 4] for k in items],
         "year": [1950 + k % 40 for k in items]}
    )  # fmt: skip


@pytest.fixture(scope="module")
def plays():
    """Plays of people each of whom prefers one kind of music."""
    import numpy as np

    random = np.random.default_rng(0)
    rows = []
    for user in range(100):
        likely = np.where(np.arange(48) % 4 == user % 4, 12.0, 1.0)
        rows += [(user, int(item)) for item in random.choice(48, 12, replace=False, p=likely / likely.sum())]
    frame = pl.DataFrame(rows, schema=["user", "item"], orient="row")
    return cf.from_frame(frame, user="user", item="item", value=None).with_items(goods(list(range(48))))


@pytest.fixture(scope="module")
def saved(plays, tmp_path_factory):
    model = ImplicitALS(rank=8, epochs=6, seed=0, item_features=("kind", "year")).fit(plays)
    return model.save(tmp_path_factory.mktemp("records") / "records.safetensors")


@pytest.fixture
def client(make_client, saved):
    return make_client(saved)


NEW = {"title": "Record 900", "kind": "jazz", "year": 1988}


def put(client, item, attributes):
    return client.put(f"/v1/items/{item}", json={"attributes": attributes})


def listed(client, user, **query):
    return client.get(f"/v1/users/{user}/recommendations", params={"n": 60, **query}).json()["items"]


def test_a_new_item_is_in_lists_at_once_and_marked_as_new_as_python_places_it(client, saved):
    assert put(client, 900, NEW).status_code == 200
    told_of = client.get("/v1/items/900").json()
    assert (told_of["new"], told_of["rated_by"], told_of["attributes"]) == (True, 0, NEW)
    python = cf.load(saved).fold_in_items(pl.DataFrame([{"item": 900, **NEW}]))
    for user in (4, 5):
        entries, expected = listed(client, user), python.recommend([user], n=60)
        assert [entry["item"] for entry in entries] == [str(item) for item in expected["item"]]
        assert [entry["new"] for entry in entries] == expected["new"].to_list()
        assert sum(entry["new"] for entry in entries) == 1
    place = {user: [entry["item"] for entry in listed(client, user)].index("900") for user in (4, 5)}
    assert place[4] < place[5]  # of whom the first likes jazz
    assert "900" in [entry["item"] for entry in listed(client, 4, where="kind = 'jazz' and year = 1988")]
    assert client.get("/v1/items?search=record 900").json()["items"][0]["item"] == "900"
    visitor = {"ratings": [{"item": "0", "value": 5}, {"item": "4", "value": 5}], "n": 60}
    assert "900" in [entry["item"] for entry in client.post("/v1/recommendations", json=visitor).json()["items"]]


def test_changed_attributes_of_a_known_item_count_at_once_and_deleting_takes_them_back(client):
    before = client.get("/v1/items/3").json()
    changed = put(client, 3, {"kind": "jazz", "title": "Another"}).json()
    assert changed["attributes"] == {**before["attributes"], "kind": "jazz", "title": "Another"}
    assert (changed["new"], changed["title"], changed["model"] != before["model"]) == (False, "Another", True)
    assert "3" in [entry["item"] for entry in client.get("/v1/popular?n=60&where=kind='jazz'").json()["items"]]
    assert client.delete("/v1/items/3").json() == {"item": "3", "known": True}
    assert client.get("/v1/items/3").json() == before


def test_a_new_item_that_is_deleted_is_gone_and_what_was_never_put_cannot_be(client):
    put(client, 900, NEW)
    assert client.delete("/v1/items/900").json() == {"item": "900", "known": False}
    assert client.get("/v1/items/900").status_code == 404
    assert client.delete("/v1/items/900").status_code == 404
    assert client.delete("/v1/items/3").status_code == 404


def test_putting_twice_is_putting_once_and_the_last_word_counts(client):
    assert put(client, 900, NEW).json() == put(client, 900, NEW).json()
    put(client, 900, {"kind": "rock"})
    assert client.get("/v1/items/900").json()["attributes"] == {"title": None, "kind": "rock", "year": None}


def test_first_ratings_move_a_new_item_as_fold_in_does(client, saved):
    put(client, 900, NEW)
    before = [entry["item"] for entry in listed(client, 41)].index("900")
    raters = [1, 5, 9, 13, 17, 21, 25, 29]  # who like rock
    for user in raters:
        assert client.put(f"/v1/users/{user}/ratings/900", json={"value": 5}).status_code == 200
    until(lambda: [entry["item"] for entry in listed(client, 41)].index("900") < before)
    described = cf.load(saved).fold_in_items(pl.DataFrame([{"item": 900, **NEW}]))
    python = described.fold_in_items({900: dict.fromkeys(raters, 1.0)})
    served = client.app.service.models.current
    row = served.items.rows["900"]

    def close():
        found = client.app.service.models.current.model.item_vectors[row]
        return abs(found - python.item_vectors[row]).max() < 1e-4

    until(close)


def test_it_survives_a_restart_and_a_reload_and_the_next_training_takes_it(make_client, saved, tmp_path):
    model = tmp_path / "model.safetensors"
    model.write_bytes(saved.read_bytes())
    first = make_client(model)
    put(first, 900, NEW)
    put(first, 3, {"kind": "jazz"})
    first.put("/v1/users/4/ratings/900", json={"value": 5})
    again = make_client(model)
    assert again.get("/v1/items/900").json()["new"]
    assert again.post("/v1/admin/reload").status_code == 200
    assert again.get("/v1/items/3").json()["attributes"]["kind"] == "jazz"

    store = RatingsStore(f"sqlite:///{tmp_path}/ratings.db")
    old = cf.load(model)
    stored = stored_in(store)
    data = merged(old, stored.ratings, put=stored.put)
    assert data.items.ids.to_list() == [*range(48), 900]
    next_model = refit(old, stored)
    known = next_model.item_table.filter(pl.col("item").is_in([3, 900]))
    assert known["kind"].to_list() == ["jazz", "jazz"]
    next_model.save(model)
    again.post("/v1/admin/reload")
    entry = next(one for one in listed(again, 8) if one["item"] == "900")
    assert (entry["new"], entry["rated_by"]) == (False, 1)
    assert 900 in next_model.recommend([8], n=60)["item"].to_list()


def test_every_worker_has_it(serve, saved):
    service = serve(saved, "--workers", "2")
    assert service.ask("PUT", "/v1/items/900", {"attributes": NEW})[0] == 200
    asked = {"ratings": [{"item": "0", "value": 5}], "n": 60}

    def everywhere():
        lists = [service.ask("POST", "/v1/recommendations", asked)[1]["items"] for _ in range(12)]
        return all("900" in [entry["item"] for entry in one] for one in lists)

    until(everywhere, 20)


def test_a_service_that_shares_the_store_takes_it_up(make_client, saved, store_url):
    one, other = (make_client(saved, ratings=store_url) for _ in range(2))
    assert put(one, 900, NEW).status_code == 200
    until(lambda: other.get("/v1/items/900").status_code == 200, 20)
    one.delete("/v1/items/900")
    until(lambda: other.get("/v1/items/900").status_code == 404, 20)


REFUSED = {
    "no such column": ({"colour": "red"}, "colour", "of items it knows title, kind, year"),
    "text for a number": ({"year": "1999"}, "year", "a whole number"),
    "a fraction": ({"year": 1.5}, "year", "a whole number"),
    "truth": ({"year": True}, "year", "a whole number"),
    "too large": ({"year": 2**80}, "year", "too large"),
    "number for a text": ({"kind": 3}, "kind", "a text"),
    "too long": ({"kind": "x" * 10_001}, "kind", "a text"),
    "a list": ({"kind": ["jazz"]}, "kind", "a text"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_attributes_that_do_not_fit_are_refused_by_name_and_nothing_is_stored(client, case):
    attributes, name, said = REFUSED[case]
    answer = put(client, 900, attributes)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["where"] == f"body.attributes.{name}"
    assert said in error["problem"]
    assert ItemsStore(client.app.service.ratings.store).since(-1) == []


def test_a_new_item_needs_an_id_of_the_model_s_kind_and_a_model_that_learnt_from_attributes(client, ranking):
    assert put(client, "nine", NEW).json()["type"] == "tag:cofactor,2026:bad-id"
    assert put(client, "0900", NEW).status_code == 422
    answer = put(ranking, "premiere", {"title": "Premiere"})
    assert (answer.status_code, answer.json()["type"]) == (422, "tag:cofactor,2026:no-new-items")
    assert "--item-features" in answer.json()["detail"]
    assert put(ranking, "i1", {"title": "Renamed"}).json()["title"] == "Renamed"


def test_putting_takes_a_token_where_there_is_one(make_client, saved, tmp_path):
    (tmp_path / "tokens").write_text("a-token-of-many-letters\n")
    client = make_client(saved, token_file=tmp_path / "tokens")
    assert put(client, 900, NEW).status_code == 401
    assert client.delete("/v1/items/900").status_code == 401
    client.headers["authorization"] = "Bearer a-token-of-many-letters"
    assert put(client, 900, NEW).status_code == 200


def test_attributes_of_every_type_go_through_json_and_back():
    table = pl.DataFrame(
        {
            "item": [1], "since": [datetime.date(2024, 5, 31)], "at": [datetime.datetime(2024, 5, 31, 12, 30)],
            "hour": [datetime.time(12, 30)], "tags": [["a", "b"]], "sizes": [[1.5]], "adult": [True], "price": [2.5],
            "small": pl.Series([3], dtype=pl.Int8),
        }
    )  # fmt: skip
    columns = table.drop("item")
    assert fitting(told(table, 0), columns) == columns.row(0, named=True)
    for name, value in (("small", 300), ("since", "May"), ("since", 5), ("tags", "a"), ("tags", [1]), ("adult", 1)):
        with pytest.raises(UnfitAttribute):
            fitting({name: value}, columns)


def test_a_table_of_a_store_of_the_last_version_is_migrated(tmp_path):
    import sqlite3

    url = f"sqlite:///{tmp_path}/old.db"
    RatingsStore(url).write("ann", {"tea": 5.0})
    with sqlite3.connect(tmp_path / "old.db") as old:
        for newer in ("cofactor_items", "cofactor_rules", "cofactor_lists", "cofactor_events"):
            old.execute(f"drop table {newer}")
        old.execute("update cofactor_version set version_num = '0002'")
    items = ItemsStore(RatingsStore(url))
    items.write("tea", {"kind": "green"})
    assert [(change.item, change.attributes) for change in items.since(-1)] == [("tea", {"kind": "green"})]
    assert RatingsStore(url).since(-1).rows == [("ann", "tea", 5.0)]
