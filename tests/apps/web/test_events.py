"""What became of lists that were served: taken at once, stored once, erased with the person, refused where unknown."""

import threading
import time

import polars as pl
import pytest
from clisupport import run
from websupport import until

from cofactor.apps.web import event_log, events_store, sqlite
from cofactor.apps.web.event_log import EventLog, NewList
from cofactor.apps.web.events_store import Event, EventsStore, ServedList, logged_lists
from cofactor.apps.web.health import Health
from cofactor.apps.web.list_ids import first_id_of, made_at, new_id
from cofactor.apps.web.prometheus import Metrics
from cofactor.apps.web.store import RatingsStore, StoreAway

NAMES = ("list_id", "kind", "item")
TODAY = int(time.time() // 86_400)


@pytest.fixture
def client(make_client, models):
    return make_client(models["ranking"], events=True)


def served(client, user="1", **query):
    return client.get(f"/v1/users/{user}/recommendations", params={"n": 3, **query}).json()


def tell(client, *events):
    return client.post("/v1/events", json={"events": [dict(zip(NAMES, one, strict=False)) for one in events]})


def stored(client):
    client.app.service.events.flush()
    return logged_lists(EventsStore(client.app.service.ratings.store))


def test_a_list_and_what_became_of_it_are_stored(client):
    found = served(client, year_from=1)
    name, items = found["list_id"], [item["item"] for item in found["items"]]
    assert tell(client, (name, "shown"), (name, "opened", items[1]), (name, "chosen", items[1])).status_code == 202
    assert tell(client, (name, "dismissed", items[2])).json() == {"accepted": 1}
    frame = stored(client)
    assert frame["item"].to_list() == items
    assert frame["position"].to_list() == [1, 2, 3]
    done = frame.select("shown", "opened", "chosen", "dismissed").rows()
    assert done == [(True, False, False, False), (True, True, True, False), (True, False, False, True)]
    assert frame.select("list_id", "user", "arm", "model", "request").unique().rows() == [
        (name, "1", "A", found["model"], '{"year_from": 1, "n": 3}')
    ]
    assert abs(frame["time"].max().timestamp() - time.time()) < 60


def test_every_kind_of_list_has_an_id_of_its_own_and_visitors_no_name(client):
    visitor = client.post("/v1/recommendations", json={"ratings": [{"item": "i1", "value": 5}], "n": 2}).json()
    popular = client.get("/v1/popular?n=2").json()
    after = client.put("/v1/users/ann/ratings/i1", json={"value": 5}, params={"n": 2}).json()["list"]
    names = [one["list_id"] for one in (visitor, popular, after)]
    assert len({*names}) == 3
    assert dict(stored(client).select("list_id", "user").unique().rows()) == dict(
        zip(names, [None, None, "ann"], strict=True)
    )


def test_sending_events_again_changes_nothing(client):
    found = served(client)
    event = (found["list_id"], "chosen", found["items"][0]["item"])
    for _ in range(3):
        assert tell(client, event, event).status_code == 202
        before = stored(client)
    assert before["chosen"].to_list() == [True, False, False]
    store = client.app.service.ratings.store
    assert store.reading(lambda c: c.exec_driver_sql("select count(*) from cofactor_events").scalar_one()) == 1


def test_events_of_unknown_lists_are_refused_with_their_places_and_none_is_taken(client):
    found = served(client)
    item = found["items"][0]["item"]
    foreign, old = new_id("another store"), first_id_of(TODAY)
    answer = tell(client, (found["list_id"], "chosen", item), (foreign, "chosen", item), (old, "shown"))
    assert answer.status_code == 422
    assert answer.json()["type"].endswith("unknown-list")
    assert answer.json()["errors"] == [
        {"where": "body.events.1.list_id", "problem": "unknown list"},
        {"where": "body.events.2.list_id", "problem": "unknown list"},
    ]
    assert foreign not in answer.text
    assert not stored(client)["chosen"].any()


def test_a_list_older_than_lists_are_kept_is_unknown(client, monkeypatch):
    name = served(client)["list_id"]
    later = time.time() + 91 * 86_400
    monkeypatch.setattr(event_log.time, "time", lambda: later)
    assert tell(client, (name, "shown")).status_code == 422


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"events": []}, "body.events"),
        ({"events": [{"list_id": "x", "kind": "liked"}]}, "body.events.0.kind"),
        ({"events": [{"list_id": "x", "kind": "shown", "user": "ann"}]}, "body.events.0.user"),
        ({"events": [{"list_id": "x", "kind": "shown"}] * 1001}, "body.events"),
        ({"events": [{"list_id": "x" * 41, "kind": "shown"}]}, "body.events.0.list_id"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(client, body, where):
    answer = client.post("/v1/events", json=body)
    assert answer.status_code == 422
    assert where in {one["where"] for one in answer.json()["errors"]}


def test_an_event_of_no_item_must_be_of_a_list_shown(client):
    answer = tell(client, (served(client)["list_id"], "chosen"))
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"where": "body.events.0.item", "problem": "needed for all kinds but shown"}]


def test_an_item_that_was_not_in_its_list_is_left_out(client):
    assert tell(client, (served(client)["list_id"], "chosen", "elsewhere")).status_code == 202
    assert not stored(client)["chosen"].any()
    assert "cofactor_events_dropped_total 1" in client.get("/metrics").text


def test_a_service_without_events_gives_no_ids_and_takes_none(ranking):
    found = served(ranking)
    assert "list_id" not in found
    answer = tell(ranking, (new_id("x"), "shown"))
    assert answer.status_code == 404
    assert "--events" in answer.json()["detail"]


def test_erasing_somebody_erases_their_lists_and_events(client):
    names = {user: served(client, user)["list_id"] for user in ("1", "2")}
    for name in names.values():
        tell(client, (name, "shown"))
    assert set(stored(client)["user"]) == {"1", "2"}
    assert client.delete("/v1/users/1").status_code == 200
    tell(client, (names["1"], "shown"))  # a page that is still open
    assert set(stored(client)["user"]) == {"2"}
    store = client.app.service.ratings.store
    assert store.reading(lambda c: c.exec_driver_sql("select list_id from cofactor_events").scalars().all()) == [
        names["2"]
    ]


def test_a_list_in_memory_of_somebody_who_is_erased_is_never_stored(client):
    served(client, "1")
    assert client.delete("/v1/users/1").status_code == 200
    assert stored(client).is_empty()
    served(client, "1")  # somebody new, who has that name now
    assert set(stored(client)["user"]) == {"1"}


def test_forget_erases_lists_of_users_who_rated_nothing(client, models, tmp_path):
    served(client, "somebody")
    assert not stored(client).is_empty()
    new, ratings = tmp_path / "new.safetensors", f"sqlite:///{tmp_path}/ratings.db"
    assert run("forget", models["ranking"], "somebody", "--ratings", ratings, "-o", new).exit_code == 0
    assert stored(client).is_empty()


def kept(name, *, user="ann", day=TODAY, revision=0, items=("tea", "rye")):
    return ServedList(name, 86_400.0 * day, user, "", "A", "model", "{}", items, revision=revision)


def test_lists_and_events_are_stored_in_every_database(store):
    events, (first, second) = EventsStore(store), sorted(new_id("x") for _ in range(2))
    chosen = Event(first, "tea", "chosen", 1.0)
    for _ in range(2):
        written = events.write([kept(first), kept(second, user="Ann")], [chosen, Event(second, "", "shown", 1.0)])
        assert (written.lists, written.events) == (2, 2)
    stray = Event(new_id("x"), "tea", "shown", 1.0)
    assert events.write([], [stray, Event(first, "oat", "shown", 1.0)]) == (0, 0, [stray], 1)
    frame = logged_lists(events)
    assert frame.filter(list_id=first)["chosen"].to_list() == [True, False]
    assert frame.filter(list_id=second)["shown"].to_list() == [True, True]
    revision = store.since(-1).revision
    assert store.since(revision).rows == []
    assert store.erase("ann") == 0
    assert set(logged_lists(events)["user"]) == {"Ann"}


def test_old_days_are_deleted_and_later_ones_stay(sqlite_url, monkeypatch):
    monkeypatch.setattr(events_store, "_AT_ONCE", 7)
    store = RatingsStore(sqlite_url)
    events, names = EventsStore(store), {}
    for day in (100, 101, 102):
        names[day] = [new_id("x", 86_400 * day + 5.0) for _ in range(20)]
        events.write(
            [kept(one, day=day) for one in names[day]], [Event(one, "tea", "chosen", 1.0) for one in names[day]]
        )
        assert {made_at(one, "x") for one in names[day]} == {86_400 * day + 5.0}
    assert events.expire(102) == 40
    frame = logged_lists(events)
    assert set(frame["list_id"]) == set(names[102])
    assert frame["chosen"].sum() == 20
    assert logged_lists(events, 103).is_empty()
    left = store.reading(lambda c: c.exec_driver_sql("select count(*) from cofactor_events").scalar_one())
    assert left == 20


@pytest.fixture
def log(sqlite_url):
    """A log that flushes when told to."""
    store = RatingsStore(sqlite_url)
    return EventLog(store, lambda: ("shop", 0), 90, Health(), Metrics(None, []))


def a_list(user="ann"):
    return NewList(user, "", "A", "model", "{}", ("tea", "rye"))


def test_an_event_waits_for_its_list_that_another_worker_still_has(log, sqlite_url, monkeypatch):
    other = EventLog(RatingsStore(sqlite_url), lambda: ("shop", 0), 90, Health(), Metrics(None, []))
    name = log.keep(a_list())
    other.take([(name, "tea", "chosen")])
    other.flush()
    assert logged_lists(other._store).is_empty()
    log.flush()
    other.flush()
    assert logged_lists(other._store)["chosen"].to_list() == [True, False]
    other.take([(new_id("shop"), "tea", "chosen")])
    other.flush()
    assert len(other._events) == 1
    later = time.time() + 60
    monkeypatch.setattr(event_log.time, "time", lambda: later)
    other.flush()
    assert not other._events
    assert "cofactor_events_dropped_total 1" in other._metrics.text([])


def test_what_a_store_that_is_away_cannot_take_is_kept_up_to_a_limit(log, monkeypatch):
    monkeypatch.setattr(event_log, "MOST_LISTS", 5)
    monkeypatch.setattr(event_log, "MOST_EVENTS", 4)
    names = [log.keep(a_list(f"u{k}")) for k in range(7)]
    assert [name is None for name in names] == [False] * 5 + [True] * 2
    log.take([(name, "tea", "chosen") for name in names[:4]])
    assert not log.is_open

    def away(*_):
        raise StoreAway("gone")

    with monkeypatch.context() as broken:
        broken.setattr(log._store, "write", away)
        with pytest.raises(StoreAway):
            log.flush()
    log.flush()
    assert log.is_open
    frame = logged_lists(log._store)
    assert sorted(frame["user"].unique()) == [f"u{k}" for k in range(5)]
    assert frame["chosen"].sum() == 4


def test_lists_go_on_without_an_id_before_the_store_has_answered(sqlite_url):
    log = EventLog(RatingsStore(sqlite_url), lambda: ("", -1), 90, Health(), Metrics(None, []))
    assert log.keep(a_list()) is None
    assert not log.is_open
    assert not log.knows(new_id(""))


def test_a_running_service_of_two_workers_stores_events_and_logs_none_of_them(serve, tmp_path):
    service = serve(None, "--events", "--workers", "2")
    names = []
    for k in range(40):
        found = service.ask("GET", f"/v1/users/{k % 10}/recommendations?n=3")[1]
        names.append(found["list_id"])
        events = [{"list_id": found["list_id"], "kind": "chosen", "item": found["items"][0]["item"]}]
        assert service.ask("POST", "/v1/events", {"events": events})[0] == 202
    assert service.stop() == 0
    store = RatingsStore(f"sqlite:///{tmp_path}/ratings.db")
    frame = logged_lists(EventsStore(store))
    assert set(frame["list_id"]) == set(names)
    assert frame.filter(pl.col("position") == 1)["chosen"].all()
    assert not [name for name in names if name in service.log()]


def test_events_are_stored_while_the_service_runs(client):
    name = served(client)["list_id"]
    tell(client, (name, "shown"))
    store = EventsStore(client.app.service.ratings.store)
    until(lambda: logged_lists(store)["shown"].any())


def test_lists_do_not_wait_while_the_file_is_locked_to_store_events(make_client, models, monkeypatch, sqlite_url):
    monkeypatch.setattr(sqlite, "journal_mode", lambda _: "DELETE")
    client = make_client(models["ranking"], events=True, ratings=sqlite_url)
    served(client)
    store = client.app.service.ratings.store
    begun, seconds = threading.Event(), 3.0

    def slow(_):
        begun.set()
        time.sleep(seconds)

    monkeypatch.setattr(sqlite, "wait_for_turn", lambda connection: connection.execute("begin exclusive"))
    writing = threading.Thread(target=store.writing_aside, args=(slow,))
    writing.start()
    begun.wait(30)
    start = time.monotonic()
    assert store.peek() is None
    found = served(client, "2")
    took = time.monotonic() - start
    assert writing.is_alive()
    assert took < seconds
    assert found["current"] is True
    writing.join()
    monkeypatch.undo()
    assert store.held_at is None
    RatingsStore(sqlite_url).write("2", {found["items"][0]["item"]: 5.0})
    assert found["items"][0]["item"] not in {item["item"] for item in served(client, "2")["items"]}
