"""A model that heeds time in the service: visitors' latest choices, shares, and times through a refit."""

import sqlite3
import time

import numpy as np
import polars as pl
import pytest

import cofactor as cf
from cofactor.apps.web.ratings_table import RatingsTable
from cofactor.apps.web.refit import merged, refit, stored_in
from cofactor.apps.web.store import RatingsStore
from cofactor.solvers import ImplicitALS

DAY = 86_400
NOW = 1_700_000_000


@pytest.fixture(scope="module")
def model():
    random = np.random.default_rng(0)
    pairs = {(int(u), int(i)) for u, i in zip(random.integers(0, 60, 900), random.integers(0, 40, 900), strict=True)}
    users, items = zip(*sorted(pairs), strict=True)
    frame = pl.DataFrame(
        {
            "user": [f"u{user}" for user in users],
            "item": [f"i{item}" for item in items],
            "time": NOW - random.integers(0, 90 * DAY, len(users)),
        }
    )
    plays = cf.from_frame(frame, user="user", item="item", value=None, time="time")
    return ImplicitALS(rank=6, epochs=4, half_life="30d", recency=0.6, trend="7d", seed=0).fit(plays)


@pytest.fixture
def client(model, make_client, tmp_path):
    return make_client(model.save(tmp_path / "timed.safetensors"))


def listed(client, history):
    answer = client.post(
        "/v1/recommendations", json={"ratings": [{"item": item, "value": 5} for item in history], "n": 10}
    ).json()
    return [entry["item"] for entry in answer["items"]]


def test_a_visitor_gets_the_list_that_place_gives_for_their_choices_in_order(client, model):
    for history in (["i1", "i2", "i3", "i30"], ["i30", "i3", "i2", "i1"]):
        expected = model.place({"visitor": history}).recommend(["visitor"], n=10)["item"].to_list()
        assert listed(client, history) == expected


def test_the_order_of_choices_matters(client):
    scores = []
    for history in ([f"i{i}" for i in range(12)], [f"i{i}" for i in reversed(range(12))]):
        rated = [{"item": item, "value": 5} for item in history]
        answer = client.post("/v1/recommendations", json={"ratings": rated, "n": 20}).json()
        scores.append({entry["item"]: entry["score"] for entry in answer["items"]})
    assert max(abs(scores[0][item] - scores[1][item]) for item in set(scores[0]) & set(scores[1])) > 0.05


def test_a_known_user_gets_the_list_of_the_model(client, model):
    answer = client.get("/v1/users/u3/recommendations?n=10").json()
    assert [entry["item"] for entry in answer["items"]] == model.recommend(["u3"], n=10)["item"].to_list()


def test_a_known_user_who_rates_something_is_placed_with_that_as_the_latest(client, model):
    fresh = next(item for item in model.items.ids if item not in set(model.recommend(["u3"], n=5)["item"]))
    assert client.put(f"/v1/users/u3/ratings/{fresh}", json={"value": 5}).status_code == 200
    answer = client.get("/v1/users/u3/recommendations?n=10").json()
    expected = model.fold_in({"u3": [fresh]}).recommend(["u3"], n=10)["item"].to_list()
    assert [entry["item"] for entry in answer["items"]] == expected


def test_shares_are_those_of_explain(client, model):
    item = model.recommend(["u3"], n=1)["item"][0]
    shares = {e["item"]: e["share"] for e in client.get(f"/v1/users/u3/explanations/{item}").json()["reasons"]}
    expected = dict(zip(*model.explain("u3", item).drop_nulls("item").select("item", "share"), strict=True))
    for rated, share in shares.items():
        assert share == pytest.approx(expected[rated], abs=1e-4)


def test_a_refit_takes_the_times_of_the_store(model, sqlite_url):
    store = RatingsStore(sqlite_url)
    store.write("ann", {"i1": 5.0})
    store.write("bob", {"i2": 4.0})
    days_ago = int(time.time()) - 3 * 86_400
    with sqlite3.connect(store.file) as file:
        file.execute("update cofactor_ratings set rated_at = ? where user_id = 'ann'", (days_ago,))
    stored = stored_in(store, timed=True)
    frame = merged(model, stored.ratings, None, {}, stored.times).to_frame()
    times = {(one["user"], one["item"]): one["timestamp"] for one in frame.iter_rows(named=True)}
    assert times["ann", "i1"] == days_ago
    assert abs(times["bob", "i2"] - time.time()) < 60
    refitted = refit(model, stored)
    assert refitted.seen_times.max() < time.time() + 1
    assert days_ago in refitted.seen_times
    assert stored_in(store).times is None


def test_a_refit_keeps_times_and_gives_new_ratings_the_present(model):
    stored = RatingsTable()
    (user, item, old), *_ = zip(
        model.users.take(np.repeat(np.arange(model.n_users), np.diff(model.seen.indptr))),
        model.items.take(model.seen.indices),
        model.seen_times,
        strict=True,
    )
    before = time.time()
    stored.add([(user, item, 5.0), ("ann", "i1", 5.0)])
    frame = merged(model, stored).to_frame()
    times = {(one["user"], one["item"]): one["timestamp"] for one in frame.iter_rows(named=True)}
    assert times[user, item] == old
    assert times["ann", "i1"] >= before
    assert len(times) == model.seen.nnz + 1
