"""Background work that fails is told and tried again; what was acknowledged is never answered with an error."""

import asyncio
import shutil
import signal
import threading
from pathlib import Path

import pytest
from websupport import until

from cofactor.apps.web import app, refits, store
from cofactor.apps.web.health import Health
from cofactor.apps.web.ratings_cache import RatingsCache
from cofactor.apps.web.served_model import ModelHolder, ServedModel
from cofactor.apps.web.service import Service
from cofactor.apps.web.settings import ServiceSettings
from cofactor.apps.web.shared import Shared, Signal
from cofactor.apps.web.store import RatingsStore

WRITES = [("PUT", "/i1", {"value": 5}), ("PUT", "", {"ratings": [{"item": "i1", "value": 5}]}),
          ("DELETE", "/i1", None), ("DELETE", "", None)]  # fmt: skip


def test_it_is_ready_only_once_the_kernels_work_and_tries_until_they_do(make_client, models, monkeypatch):
    broken, warm = [True], ServedModel.warm

    def fragile(served):
        if broken:
            raise RuntimeError("no kernel")
        warm(served)

    monkeypatch.setattr(ServedModel, "warm", fragile)
    monkeypatch.setattr(app, "WARM_SECONDS", 0.05)
    client = make_client(models["ranking"])
    until(lambda: client.get("/readyz").json()["failing"] == ["warm-up"])
    found = client.get("/readyz")
    assert (found.status_code, found.json()["ready"]) == (503, False)
    assert "cofactor_ready 0\n" in client.get("/metrics").text
    assert "cofactor_background_failures 1\n" in client.get("/metrics").text
    assert client.get("/v1/users/u3/recommendations").status_code == 200
    broken.clear()
    until(lambda: client.get("/readyz").status_code == 200)
    assert client.get("/readyz").json()["failing"] == []
    assert "cofactor_ready 1\n" in client.get("/metrics").text


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_stored_rating_is_no_error_even_if_its_list_fails(ranking, monkeypatch, method, path, body):
    async def fails(*_):
        raise RuntimeError("no list")

    assert ranking.put("/v1/users/ann/ratings/i1", json={"value": 4}).status_code == 200
    monkeypatch.setattr(Service, "list_for", fails)
    answer = ranking.request(method, f"/v1/users/ann/ratings{path}", json=body)
    assert (answer.status_code, answer.json()["list"]) == (200, None)
    assert answer.json()["changed"] == ["i1"]
    ratings = ranking.get("/v1/users/ann/ratings").json()["ratings"]
    assert [one["rating"] for one in ratings] == ([] if body is None else [5.0])
    assert ranking.get("/readyz").json()["failing"] == ["list after a rating"]
    monkeypatch.undo()
    assert ranking.request(method, f"/v1/users/ann/ratings{path}", json=body).json()["list"]["items"]
    assert ranking.get("/readyz").json()["failing"] == []


def test_a_reload_that_fails_unexpectedly_does_not_end_the_watch_for_signals(models, monkeypatch):
    shared, health, tries = Shared(1), Health(), []

    class Holder(ModelHolder):
        def reload(self):
            tries.append(len(tries))
            if len(tries) == 1:
                raise OSError("the disk is gone")
            return self.current

    async def scenario():
        monkeypatch.setattr(app, "SIGNAL_SECONDS", 0.01)
        task = asyncio.create_task(
            app._heed([Holder(models["ranking"])], health, Signal(shared.reload), Signal(shared.keep))
        )
        await asyncio.sleep(0.05)
        for expected in (["reload"], []):
            Signal(shared.reload).send()
            while len(tries) < (1 if expected else 2):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            assert health.failing == expected
        task.cancel()

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_what_the_store_fails_with_unexpectedly_does_not_end_the_retries(sqlite_url, monkeypatch):
    monkeypatch.setattr("cofactor.apps.web.ratings_cache.RETRY_SECONDS", 0.01)
    health = Health()

    class Strange(RatingsStore):
        strange = True

        def probe(self):
            if self.strange:
                raise ValueError("not what was expected")
            super().probe()

    async def scenario():
        strange = Strange(sqlite_url)
        cache = RatingsCache(strange, health)
        await cache.start()
        cache.away_since = 1.0
        while health.failing != ["ratings store"]:
            await asyncio.sleep(0.01)
        strange.strange = False
        while not cache.is_current:
            await asyncio.sleep(0.01)
        assert health.failing == []
        await cache.stop()

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_retraining_goes_on_after_a_failure_and_says_so(monkeypatch, tmp_path):
    shared, outcomes = Shared(1), [OSError("no process"), "failed", "served"]
    told = []

    def once(*_):
        if told:
            told.append(shared.refit_failing.value)
        told.append(None)
        if not outcomes:
            raise KeyboardInterrupt  # the end of the test
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(refits, "refit_once", once)
    settings = ServiceSettings(tmp_path / "m", "sqlite:///x", refit_every=1.0)
    object.__setattr__(settings, "refit_every", 0.01)
    signal_of_others = Signal(shared.reload)
    with pytest.raises(KeyboardInterrupt):
        refits.refit_regularly(settings, shared)
    assert [one for one in told if one is not None] == [True, True, False]
    assert signal_of_others.received()


def test_counters_of_workers_that_ended_go_on(tmp_path):
    shared = Shared(2)
    first = shared.own_counters()
    first[0] += 3
    shared._owners[0] = 2**22 + 1  # no process has such a number
    again = shared.own_counters()
    again[0] += 4
    assert shared.counters().sum() == 7
    assert shared._owners[0] != 2**22 + 1


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_a_cleaned_temporary_folder_changes_nothing(serve, models, tmp_path, left):
    temporary, path = tmp_path / "temporary", tmp_path / "served.safetensors"
    temporary.mkdir()
    path.write_bytes(models["ranking"].read_bytes())
    service = serve(path, "--workers", "2", "--refit-every", "2s", environment={"TMPDIR": str(temporary)})
    digest = service.ask("GET", "/v1/model")[1]["model"]
    shutil.rmtree(temporary)
    if left != "nothing":
        temporary.mkdir()
    other = ModelHolder(models["other"]).current.digest
    path.write_bytes(models["other"].read_bytes())
    assert service.ask("POST", "/v1/admin/reload")[0] == 200
    digests = lambda: {service.ask("GET", "/v1/model")[1]["model"] for _ in range(16)}  # noqa: E731
    until(lambda: digest not in digests())
    service.process.send_signal(signal.SIGHUP)
    assert service.put("ann", "i1", 5)[0] == 200
    users = service.ask("GET", "/v1/model")[1]["users"]
    until(lambda: service.ask("GET", "/v1/model")[1]["users"] > users)  # a refit was served
    assert other != digest
    assert service.ask("GET", "/readyz")[1]["failing"] == []
    assert 'status="2xx"' in service.ask("GET", "/metrics")[1]
    assert service.stop() == 0
    assert "Traceback" not in service.log()
    assert Path(path).exists()


def test_it_is_ready_once_the_stored_ratings_are_read_and_says_how_far_it_is(
    make_client, models, sqlite_url, monkeypatch
):
    monkeypatch.setattr(store, "PAGE", 20)
    monkeypatch.setattr("cofactor.apps.web.ratings_cache.START_SECONDS", 0.05)
    RatingsStore(sqlite_url).write("ann", {f"i{k}": 3.0 for k in range(40)})
    go, whole = threading.Semaphore(1), RatingsStore.pages

    def pages(one, revision):
        for page in whole(one, revision):
            go.acquire()
            yield page

    monkeypatch.setattr(RatingsStore, "pages", pages)
    client = make_client(models["ranking"], ratings=sqlite_url)
    until(lambda: client.get("/readyz").json()["stored_ratings"] == 20)
    found = client.get("/readyz")
    assert (found.status_code, found.json()["ready"], found.json()["store"]) == (503, False, "loading")
    assert "cofactor_ready 0\n" in client.get("/metrics").text
    listed = client.get("/v1/users/ann/recommendations")
    assert (listed.status_code, listed.json()["current"]) == (200, False)
    assert client.put("/v1/users/ann/ratings/i1", json={"value": 5}).status_code == 503
    go.release(100)
    until(lambda: client.get("/readyz").status_code == 200)
    assert client.get("/v1/users/ann/recommendations").json()["current"] is True
    assert len(client.get("/v1/users/ann/ratings").json()["ratings"]) == 40
