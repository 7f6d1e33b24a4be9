"""``cofactor online``: what a service's lists led to, from its store; and how another model would do."""

import random
import time

import polars as pl
import pytest
from clisupport import as_json, run

import cofactor as cf
from cofactor.apps.web.events_store import Event, EventsStore, ServedList, logged_lists
from cofactor.apps.web.experiment import explored
from cofactor.apps.web.list_ids import new_id
from cofactor.apps.web.store import RatingsStore

NOW = time.time()


def fill(url, rates, users=400):
    """Store lists of two arms, from which people choose with these probabilities, and return how many."""
    chance, store = random.Random(1), RatingsStore(url)
    lists, events = [], []
    for user in range(users):
        arm = "AB"[user % 2]
        for visit in range(2):
            when = NOW - 86_400 * (8 - 5 * user / users) + 3600 * visit
            one = ServedList(new_id("x", when), when, f"u{user}", "a b", arm, "model", "{}", ("i1", "i2"))
            lists.append(one)
            events.append(Event(one.list_id, "", "shown", when))
            if chance.random() < rates[arm]:
                events.append(Event(one.list_id, "i2", "chosen", when))
    EventsStore(store).write(lists, events)
    store.close()
    return len(lists)


def test_a_worse_model_is_stopped_in_the_first_line(sqlite_url):
    fill(sqlite_url, {"A": 0.6, "B": 0.1})
    text = run("online", sqlite_url).stdout
    assert text.splitlines()[:2] == ["B is worse for people: stop it.", "This holds however often you have looked."]
    assert "95 %, all looks" in text
    told = as_json("online", sqlite_url.removeprefix("sqlite:///"))
    assert told["harmful"] is True
    assert told["differences"][0]["always_high"] < 0
    frame = logged_lists(EventsStore(RatingsStore(sqlite_url)))
    means = dict(
        frame.group_by("arm", "list_id")
        .agg(pl.col("chosen").any())
        .group_by("arm")
        .agg(pl.col("chosen").mean())
        .iter_rows()
    )
    assert {rate["arm"]: rate["mean"] for rate in told["rates"][:2]} == pytest.approx(means)


def test_what_is_written_can_be_measured_in_python(sqlite_url, tmp_path):
    from cofactor.evaluation import online

    n = fill(sqlite_url, {"A": 0.3, "B": 0.3})
    run("online", sqlite_url, "-o", tmp_path / "lists.parquet")
    lists = pl.read_parquet(tmp_path / "lists.parquet")
    assert len(lists) == 2 * n
    assert online(lists).differences[0].mean == as_json("online", sqlite_url)["differences"][0]["mean"]


def test_a_store_beside_the_model_is_found_by_the_model(make_client, models, tmp_path):
    import shutil

    model = shutil.copy(models["ranking"], tmp_path / "m.safetensors")
    client = make_client(model, events=True, ratings=None)
    found = client.get("/v1/users/1/recommendations").json()
    client.post("/v1/events", json={"events": [{"list_id": found["list_id"], "kind": "shown"}]})
    client.app.service.events.flush()
    told = as_json("online", model)
    assert told["verdict"] == "There is one arm only, so there is nothing to compare."
    assert [(rate["arm"], rate["mean"], rate["n_lists"]) for rate in told["rates"]] == [("A", 0.0, 1)] * 3


def test_another_model_is_judged_by_lists_with_chance(sqlite_url, models):
    """People choose only what the other model would show first, so its lists are chosen from more."""
    model, other = cf.load(models["ranking"]), cf.load(models["other"])
    chance, lists, events = random.Random(2), [], []
    users = list(model.users.ids)
    for user in users * 20:
        best = [str(item) for item in model.recommend([user], n=9)["item"]]
        wanted = {str(item) for item in other.recommend([user], n=3)["item"]}
        found, likely = explored({"items": [{"item": item} for item in best]}, 3, 0.5, chance)
        items = tuple(item["item"] for item in found["items"])
        lists.append(ServedList(new_id("x"), NOW, str(user), "", "A", "model", "{}", items, "", likely))
        events += [Event(lists[-1].list_id, item, "shown", NOW) for item in items]
        events += [Event(lists[-1].list_id, item, "chosen", NOW) for item in items if item in wanted]
    EventsStore(RatingsStore(sqlite_url)).write(lists, events)
    told = as_json("online", sqlite_url, "--target", models["other"])
    assert told["mean"] == pytest.approx(1.0)
    assert told["logged"] < 0.9
    assert told["n_lists"] == len(lists)
    assert "would be chosen" in run("online", sqlite_url, "--target", models["other"]).stdout


def test_what_cannot_be_told_is_said_with_a_remedy(sqlite_url, models, tmp_path):
    assert "start the service with --events" in refused(2, empty(sqlite_url))
    assert "is not there: name the service's model" in refused(2, tmp_path / "no.db")
    assert "name what 'cofactor serve' logs" in refused(2, f"sqlite:///{tmp_path}/other.db")
    fill(sqlite_url, {"A": 0.3, "B": 0.3}, users=4)
    assert "--explore 0.1" in refused(2, sqlite_url, "--target", models["other"])
    assert "--days 0: it must be 1 or more" in refused(2, sqlite_url, "--days", "0")
    assert "no list is stored" in refused(2, sqlite_url, "--days", "1")
    assert "there are: 'a b'" in refused(2, sqlite_url, "--experiment", "spring")
    assert ".parquet or .csv" in refused(2, sqlite_url, "-o", tmp_path / "x.txt")


def test_unshown_lists_are_counted_with_served(sqlite_url):
    store = RatingsStore(sqlite_url)
    EventsStore(store).write([ServedList(new_id("x"), NOW, "ann", "", "A", "m", "{}", ("i1",))], [])
    assert "--served" in refused(2, sqlite_url)
    assert as_json("online", sqlite_url, "--served")["rates"][0]["n_lists"] == 1


def empty(url):
    RatingsStore(url).write("ann", {"i1": 1.0})
    return url


def refused(code, *arguments):
    return run("online", *arguments, code=code).stderr
