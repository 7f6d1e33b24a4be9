"""What is rising follows the ratings that are stored, without training, in every process."""

import dataclasses
import time

import numpy as np
import polars as pl
import pytest
from websupport import until

import cofactor as cf
from cofactor.apps.web import news_cache
from cofactor.apps.web.rising import Events, events_in, with_rising
from cofactor.apps.web.scale import scale_of
from cofactor.apps.web.store import RatingsStore
from cofactor.model.trend import LEVELS
from cofactor.solvers import ImplicitALS

DAY = 86_400


@pytest.fixture(scope="module")
def model():
    """A model of choices up to ten days ago."""
    random = np.random.default_rng(0)
    pairs = sorted({(int(u), int(i)) for u, i in zip(*random.integers(0, 40, (2, 600)), strict=True)})
    frame = pl.DataFrame(
        {
            "user": [f"u{user}" for user, _ in pairs],
            "item": [f"i{item}" for _, item in pairs],
            "time": time.time() - 10 * DAY - random.integers(0, 60 * DAY, len(pairs)),
        }
    )
    plays = cf.from_frame(frame, user="user", item="item", value=None, time="time")
    return ImplicitALS(rank=4, epochs=3, trend="7d", trend_weight=3.0, seed=0).fit(plays)


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(news_cache, "TREND_SECONDS", 0.0)
    monkeypatch.setattr(news_cache, "PAUSE", 0)


def burst(store, item, users=25):
    for user in range(users):
        store.write(f"new {user}", {item: 5.0})


def place(client, item, user="u3"):
    listed = client.get(f"/v1/users/{user}/recommendations?n=60").json()["items"]
    return next((entry["position"] for entry in listed if entry["item"] == item), None)


def last_item(model, user="u3"):
    return model.recommend([user], n=60)["item"][-1]


def test_a_burst_of_ratings_moves_an_item_up_and_taking_them_back_moves_it_down(
    make_client, model, tmp_path, store_url, hurried
):
    client = make_client(model.save(tmp_path / "m.safetensors"), ratings=store_url)
    item, before = last_item(model), client.get("/v1/model").json()
    assert place(client, item) == len(model.recommend(["u3"], n=60))
    store = RatingsStore(store_url)
    burst(store, item)
    until(lambda: place(client, item) == 1, 20)
    after = client.get("/v1/model").json()
    assert after["model"] != before["model"]
    assert before["trend"]["half_life_seconds"] == after["trend"]["half_life_seconds"] == 7 * DAY
    assert before["trend"]["counted_to"] < after["trend"]["counted_to"]
    popular = client.get("/v1/popular?n=1").json()["items"]
    assert popular[0]["item"] == item
    for user in range(25):
        store.write(f"new {user}", {item: None})
    until(lambda: place(client, item) != 1, 20)


def test_every_worker_follows(serve, model, tmp_path, monkeypatch):
    service = serve(model.save(tmp_path / "m.safetensors"), "--workers", "2")
    item = last_item(model)
    burst(RatingsStore(f"sqlite:///{tmp_path}/ratings.db"), item)
    service.stop()
    service.start()  # which counts at once what else is counted within a minute

    def everywhere():
        lists = [service.ask("GET", "/v1/users/u3/recommendations?n=1")[1]["items"] for _ in range(12)]
        return all(one[0]["item"] == item for one in lists)

    until(everywhere, 20)


def test_levels_are_those_of_all_choices_together(model):
    now = model.timing.now + 3 * DAY
    row = model.seen.indptr[5]
    known, deleted = (model.items.ids[int(model.seen.indices[row + k])] for k in (0, 1))
    user = model.users.ids[5]
    rows = [
        (user, known, 5.0, now - DAY), (user, deleted, None, now), ("ann", "i3", 4.0, now),
        ("bob", "i3", 1.0, now - 2 * DAY), ("ann", "no such item", 5.0, now + DAY), ("eve", "i4", 99.0, now + DAY),
    ]  # fmt: skip
    table = pl.DataFrame(rows, schema={"user": str, "item": str, "value": float, "time": float}, orient="row")
    found = with_rising(model, Events(table), scale_of(model))

    kept = np.ones(model.seen.nnz, bool)
    kept[[row, row + 1]] = False
    items = [*model.seen.indices[kept], model.items.row(known), model.items.row("i3"), model.items.row("i3")]
    times = [*model.seen_times[kept], now - DAY, now, now - 2 * DAY]
    later = dataclasses.replace(model.timing, now=now)
    expected = later.levels(np.array(items), np.array(times), model.n_items)
    assert found.extras[LEVELS] == pytest.approx(expected, abs=1e-5)
    assert with_rising(model, Events(table.clear()), scale_of(model)) is model


def test_what_has_aged_away_is_not_read(sqlite_url, monkeypatch):
    store = RatingsStore(sqlite_url)
    store.write("ann", {"tea": 5.0})
    assert events_in(store, 1.0).table["item"].to_list() == ["tea"]
    now = time.time()
    monkeypatch.setattr("cofactor.apps.web.rising.time.time", lambda: now + 100)
    assert events_in(store, 1.0).table.height == 0


def test_a_model_without_a_trend_reads_nothing(make_client, models, hurried, monkeypatch):
    asked = []
    monkeypatch.setattr(news_cache, "events_in", lambda *_: asked.append(1))
    client = make_client(models["ranking"])
    client.put("/v1/users/ann/ratings/i1", json={"value": 5})
    time.sleep(0.6)
    assert asked == []
    assert client.get("/v1/model").json()["trend"] is None
